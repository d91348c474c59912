"""Dates and times as serial numbers (ECMA-376 part 1, 18.17.4 and 18.17.7): day 1 is 1 January 1900, and the
29 February 1900 that never was is day 60. TODAY and NOW are left out: a workbook of ours has nothing volatile."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from gpt2xl.formula.datetext import LAST, parts, serial, text_date
from gpt2xl.formula.registry import per_cell
from gpt2xl.formula.values import NUM, VALUE, ExcelError


def _shifted(year: int, month: int, day: int) -> float | ExcelError:
    """The day `day` of the month `month`, both of which may be out of range."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    if not 1900 <= year <= 9999:
        return NUM
    number = serial(date(year, month, 1)) + day - 1
    return float(number) if 0 <= number <= LAST else NUM


@per_cell("DATE", "nnn", dated=True)
def date_(year: float, month: float, day: float) -> float | ExcelError:
    """DATE(year, month, day): years below 1900 count from 1900 (ECMA-376, 18.17.7)."""
    years = int(year)
    if not 0 <= years <= 9999:
        return NUM
    return _shifted(years + 1900 if years < 1900 else years, int(month), int(day))


@per_cell("YEAR", "d")
def year(number: float) -> float | ExcelError:
    """YEAR(date) (ECMA-376, 18.17.7)."""
    found = parts(number)
    return NUM if found is None else float(found[0])


@per_cell("MONTH", "d")
def month(number: float) -> float | ExcelError:
    """MONTH(date) (ECMA-376, 18.17.7)."""
    found = parts(number)
    return NUM if found is None else float(found[1])


@per_cell("DAY", "d")
def day(number: float) -> float | ExcelError:
    """DAY(date) (ECMA-376, 18.17.7)."""
    found = parts(number)
    return NUM if found is None else float(found[2])


def _seconds(number: float) -> int | None:
    return None if number < 0 else round(number % 1 * 86400) % 86400


@per_cell("HOUR", "n")
def hour(number: float) -> float | ExcelError:
    """HOUR(time) (ECMA-376, 18.17.7)."""
    seconds = _seconds(number)
    return NUM if seconds is None else float(seconds // 3600)


@per_cell("MINUTE", "n")
def minute(number: float) -> float | ExcelError:
    """MINUTE(time) (ECMA-376, 18.17.7)."""
    seconds = _seconds(number)
    return NUM if seconds is None else float(seconds % 3600 // 60)


@per_cell("SECOND", "n")
def second(number: float) -> float | ExcelError:
    """SECOND(time) (ECMA-376, 18.17.7)."""
    seconds = _seconds(number)
    return NUM if seconds is None else float(seconds % 60)


@per_cell("TIME", "nnn")
def time(hours: float, minutes: float, seconds: float) -> float | ExcelError:
    """TIME(hour, minute, second): the part of a day (ECMA-376, 18.17.7)."""
    total = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return NUM if total < 0 else total % 86400 / 86400


@per_cell("WEEKDAY", "dn?")
def weekday(number: float, kind: float = 1) -> float | ExcelError:
    """WEEKDAY(date, [type]): 1 from Sunday, 2 from Monday, 3 from Monday as 0, 11 to 17 from Monday on
    (ECMA-376, 18.17.7)."""
    if not 0 <= number <= LAST + 1:
        return NUM
    sunday = (int(number) - 1) % 7  # day 1 counts as a Sunday
    which = int(kind)
    if which == 3:
        return float((sunday - 1) % 7)
    first = {1: 0, 2: 1, **{10 + start: start % 7 for start in range(1, 8)}}.get(which)
    return NUM if first is None else float((sunday - first) % 7 + 1)


@per_cell("EDATE", "es", dated=True)
def edate(number: float, months: float) -> float | ExcelError:
    """EDATE(date, months): the same day, or the last of a shorter month (ECMA-376, 18.17.7)."""
    found = parts(number)
    if found is None:
        return NUM
    count = found[0] * 12 + found[1] - 1 + int(months)
    years, index = divmod(count, 12)
    if not 1900 <= years <= 9999:
        return NUM
    return _shifted(years, index + 1, min(found[2], monthrange(years, index + 1)[1]))


@per_cell("EOMONTH", "es", dated=True)
def eomonth(number: float, months: float) -> float | ExcelError:
    """EOMONTH(date, months): the last day of the month (ECMA-376, 18.17.7)."""
    found = parts(number)
    if found is None:
        return NUM
    years, index = divmod(found[0] * 12 + found[1] - 1 + int(months), 12)
    if not 1900 <= years <= 9999:
        return NUM
    return _shifted(years, index + 1, 29 if (years, index) == (1900, 1) else monthrange(years, index + 1)[1])


@per_cell("DAYS", "dd")
def days(end: float, start: float) -> float | ExcelError:
    """DAYS(end, start) (Microsoft, DAYS)."""
    if not (0 <= int(end) <= LAST and 0 <= int(start) <= LAST):
        return NUM
    return float(int(end) - int(start))


@per_cell("DATEVALUE", "t", dated=True)
def datevalue(text: str) -> float | ExcelError:
    """DATEVALUE(text): dates that every locale reads alike (ECMA-376, 18.17.7)."""
    number = text_date(text)
    return VALUE if number is None else float(int(number))
