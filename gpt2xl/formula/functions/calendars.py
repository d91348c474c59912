"""Weeks, working days and spans between dates (ECMA-376 part 1, 18.17.7; ISOWEEKNUM from Microsoft's page).

Dates come as days of the calendar that begins in 1900, with its 29 February 1900.
"""

from __future__ import annotations

import math
from calendar import monthrange
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import BLANK
from gpt2xl.formula import coerce
from gpt2xl.formula.datetext import LAST, parts, text_date, text_time
from gpt2xl.formula.functions.ranges import flat, wrong
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, per_cell, whole
from gpt2xl.formula.values import NUM, VALUE, ExcelError, Value

if TYPE_CHECKING:
    from collections.abc import Callable


_HALF_SECOND = 0.5 / 86400  # DAYS360 takes the last half second of a day for the next
_FIRSTS = {1: 6, 2: 0, 11: 0, 12: 1, 13: 2, 14: 3, 15: 4, 16: 5, 17: 6}  # the first weekday of a kind of week; Monday 0


def _day(number: float) -> date | None:
    """A day of the calendar; 29 February 1900 and day 0 are none."""
    days = int(number)
    if not 1 <= days <= LAST or number < 0:
        return None
    return date(1899, 12, 31 if days < 60 else 30) + timedelta(days)


def _weekday(number: int) -> int:
    """Monday is 0; day 1 counts as a Sunday."""
    return (number - 2) % 7


@per_cell("WEEKNUM", "es?")
def weeknum(number: float, kind: float = 1) -> float | ExcelError:
    """WEEKNUM(date, [type]): the week with 1 January is the first; type 21 as ISOWEEKNUM (ECMA-376, 18.17.7)."""
    which, found = int(kind), parts(number)
    if found is None or (which not in _FIRSTS and which != 21):
        return NUM
    if which == 21:
        return _iso_week(number)
    days = int(number)
    first = _start_of_year(found[0])
    return float((days - first + (_weekday(first) - _FIRSTS[which]) % 7) // 7 + 1)


def _start_of_year(year: int) -> int:
    days = (date(year, 1, 1) - date(1899, 12, 30)).days
    return days if days > 60 else days - 1


@per_cell("ISOWEEKNUM", "d")
def isoweeknum(number: float) -> float | ExcelError:
    """ISOWEEKNUM(date): the week with the year's first Thursday is the first (Microsoft, ISOWEEKNUM)."""
    return _iso_week(number)


def _iso_week(number: float) -> float | ExcelError:
    days = int(number)
    if number < 0 or days > LAST:
        return NUM
    thursday = days - _weekday(days) + 3
    found = parts(thursday)
    return 52.0 if found is None or thursday < 1 else float((thursday - _start_of_year(found[0])) // 7 + 1)


@per_cell("DAYS360", "ddb?")
def days360(start: float, end: float, european: bool = False) -> float | ExcelError:
    """DAYS360(start, end, [European]): days in years of twelve months of 30 days (ECMA-376, 18.17.7)."""
    first, last = parts(start + _HALF_SECOND), parts(end + _HALF_SECOND)
    if first is None or last is None:
        return NUM
    return float(_thirties(first, last, european=european))


def _thirties(first: tuple[int, int, int], last: tuple[int, int, int], *, european: bool) -> int:
    (year, month, day), (to_year, to_month, to_day) = first, last
    if european:
        day, to_day = min(day, 30), min(to_day, 30)
    else:
        if day == monthrange(year, month)[1]:
            day = 30
        if to_day == 31:
            if day < 30:
                to_day, to_month = 1, to_month + 1
            else:
                to_day = 30
    return (to_year - year) * 360 + (to_month - month) * 30 + to_day - day


@per_cell("DATEDIF", "ddt")
def datedif(start: float, end: float, unit: str) -> float | ExcelError:
    """DATEDIF(start, end, unit): whole years "Y", months "M", days "D"; what is left over "YM", "YD", "MD"
    (Microsoft, DATEDIF)."""
    first, last = _day(start), _day(end)
    if first is None or last is None or first > last:
        return NUM
    months = (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
    match unit.upper():
        case "Y":
            return float(months // 12)
        case "M":
            return float(months)
        case "D":
            return float(int(end) - int(start))
        case "YM":
            return float(months % 12)
        case "MD":
            if last.day >= first.day:
                return float(last.day - first.day)
            before = last.replace(day=1) - timedelta(1)
            return float(last.day + before.day - first.day)
        case "YD":
            year = last.year - ((last.month, last.day) < (first.month, first.day))
            day = min(first.day, monthrange(year, first.month)[1])
            return float((last - date(year, first.month, day)).days)
    return NUM


@per_cell("YEARFRAC", "ees?")
def yearfrac(start: float, end: float, basis: float = 0) -> float | ExcelError:
    """YEARFRAC(start, end, [basis]): 0 and 4 count months of 30 days, 1 real years, 2 and 3 days by 360 and 365
    (ECMA-376, 18.17.7)."""
    first, last = sorted((int(start), int(end)))
    one, other = parts(first), parts(last)
    kind = int(basis)
    if one is None or other is None or not 0 <= kind <= 4:
        return NUM
    if kind == 0:
        return _american(one, other) / 360
    if kind == 4:
        return _thirties(one, other, european=True) / 360
    if kind in (2, 3):
        return (last - first) / (360 if kind == 2 else 365)
    return (last - first) / _year_length(one, other)


def _american(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    """Days in years of twelve months of 30 days, the last of February being a 30th (NASD)."""
    ends = [month == 2 and day == monthrange(year, month)[1] for year, month, day in (one, other)]
    day, to_day = one[2], other[2]
    if ends[0]:
        day, to_day = 30, 30 if ends[1] else to_day
    if to_day == 31 and day >= 30:
        to_day = 30
    return (other[0] - one[0]) * 360 + (other[1] - one[1]) * 30 + to_day - min(day, 30)


def _year_length(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The mean length of the years that a span touches; of one that is no longer than a year, the year that counts."""
    if other[0] == one[0] or (other[0] == one[0] + 1 and other[1:] <= one[1:]):
        leap = any(
            monthrange(year, 2)[1] == 29 and one <= (year, 2, 29) <= other for year in range(one[0], other[0] + 1)
        )
        return 366.0 if leap or (one[0] == other[0] and monthrange(one[0], 2)[1] == 29) else 365.0
    years = range(one[0], other[0] + 1)
    return sum(365 + (monthrange(year, 2)[1] == 29) for year in years) / len(years)


def _working(name: str, compute: Callable[[float, float, set[int]], float | ExcelError], *, dated: bool) -> None:
    """Register a function of two dates, or of a date and a number of days, and a list of holidays."""

    def apply(context: Context, start: Value, other: Value, holidays: Value | None = None) -> Value:
        epoch = context.pool.epoch
        pairs = [coerce.strict_numbers(context.pool, value) for value in align(start, other)]
        errors = coerce.merge(pairs[0][1], pairs[1][1])
        free: list[set[int]] = [set()]
        if holidays is not None:
            num, bad = coerce.strict_numbers(context.pool, holidays)
            days, counted = flat(num + epoch), flat(np.broadcast_to(holidays.kinds != BLANK, num.shape))
            free = [{math.floor(day) for day in row[mask]} for row, mask in zip(days, counted, strict=True)]
            if bad is not None:
                rows = flat(np.broadcast_to(bad, num.shape))
                first = rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)]
                errors = coerce.merge(errors, first.reshape(-1, 1, 1))
            errors = coerce.merge(errors, wrong([[[min(own, default=0) < 0]] for own in free], NUM))
        arrays = np.broadcast_arrays(
            pairs[0][0] + epoch, pairs[1][0] + (0 if dated else epoch), np.zeros((len(free), 1, 1))
        )
        result = np.empty(arrays[0].shape, object)
        for place in np.ndindex(result.shape):
            found = compute(float(arrays[0][place]), float(arrays[1][place]), free[place[0] if len(free) > 1 else 0])
            result[place] = found - epoch if dated and not isinstance(found, ExcelError) else found
        return coerce.from_texts(context.pool, result, errors)

    apply.__doc__ = f"{name}: without Saturdays, Sundays and holidays (ECMA-376, 18.17.7)."
    whole(name, "vva?", "scalars")(apply)


def _networkdays(start: float, end: float, free: set[int]) -> float | ExcelError:
    first, last = sorted((int(start), int(end)))
    if first < 0 or last > LAST:
        return NUM
    weeks, rest = divmod(last - first + 1, 7)
    count = weeks * 5 + sum(_weekday(first + day) < 5 for day in range(rest))
    count -= sum(first <= day <= last and _weekday(day) < 5 for day in free)
    return float(count if int(start) <= int(end) else -count)


def _workday(start: float, count: float, free: set[int]) -> float | ExcelError:
    day, left = int(start), math.floor(count)
    step = 1 if left > 0 else -1
    if not 0 <= day <= LAST:
        return NUM
    weeks = abs(left) // 5 - 2  # whole weeks pass at once
    if weeks > 0:
        first, last = sorted((day + step, day + step * 7 * weeks))
        day += step * 7 * weeks
        left -= step * (5 * weeks - sum(first <= other <= last and _weekday(other) < 5 for other in free))
    while left and 0 <= day <= LAST:
        day += step
        if _weekday(day) < 5 and day not in free:
            left -= step
    return float(day) if 0 <= day <= LAST else NUM


_working("NETWORKDAYS", _networkdays, dated=False)
_working("WORKDAY", _workday, dated=True)


@per_cell("TIMEVALUE", "t")
def timevalue(text: str) -> float | ExcelError:
    """TIMEVALUE(text): the part of a day of a time, with or without a date (ECMA-376, 18.17.7)."""
    number = text_date(text)
    number = text_time(text) if number is None else number
    return VALUE if number is None else number % 1
