"""Days and their numbers, and texts that spell dates and times (ECMA-376 part 1, 18.17.4).

Of texts only what every English locale reads alike: 2020-01-31, 2020/1/31, 31-Jan-2020, 31 January 20, with or without
a time of day. What 1/2/2020 means depends on the computer that reads it; it is no date here.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

LAST = 2_958_465  # 31 December 9999
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november")
_NAMES = {name: number for names in (_MONTHS, (*_FULL, "december")) for number, name in enumerate(names, 1)}
_TIME = (
    r"(?P<hour>\d{1,4})(?:\s*:\s*(?P<minute>\d{1,2})(?:\s*:\s*(?P<second>\d{1,2}(?:\.\d*)?))?|(?=\s+[AP]M))"
    r"(?:\s+(?P<half>AM|PM))?"
)
_DATES = (
    r"(?P<year>\d{4})(?P<mark>[-/])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
    r"(?P<day>\d{1,2})(?P<mark>[- ])(?P<name>[A-Z]{3,9})(?P=mark)(?P<year>\d{4}|\d\d)",
)
_PATTERNS = [re.compile(rf"{day}(?:[ T]+{_TIME})?", re.IGNORECASE | re.ASCII) for day in _DATES]
_TIME_ALONE = re.compile(rf"\s*{_TIME}\s*", re.IGNORECASE | re.ASCII)


def parts(number: float) -> tuple[int, int, int] | None:
    """Year, month and day of a number; day 0 is shown as 0 January 1900."""
    days = int(number)
    if not 0 <= days <= LAST or number < 0:
        return None
    if days == 0:
        return 1900, 1, 0
    if days == 60:
        return 1900, 2, 29
    day = date(1899, 12, 31 if days < 60 else 30) + timedelta(days)
    return day.year, day.month, day.day


def serial(day: date) -> int:
    """The number of a day; 29 February 1900, which never was, is day 60."""
    number = (day - date(1899, 12, 30)).days
    return number if number > 60 else number - 1


def text_date(text: str) -> float | None:
    """The serial number of a text that spells a date, with or without a time; None for any other."""
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            part = match.groupdict()
            month = _NAMES.get(part["name"].lower()) if part.get("name") else int(part["month"])
            time = _time(part) if part["hour"] else 0.0
            year, day = int(part["year"]), int(part["day"])
            if month is None or time is None:
                return None
            if year < 100:  # Microsoft: 00 to 29 are 2000 to 2029
                year += 2000 if year < 30 else 1900
            if (year, month, day) == (1900, 2, 29):
                return 60 + time
            try:
                return serial(date(year, month, day)) + time if year >= 1900 else None
            except ValueError:
                return None
    return None


def text_time(text: str) -> float | None:
    """The part of a day that a text such as "12:30" or "1:15 PM" spells; None for any other."""
    match = _TIME_ALONE.fullmatch(text)
    return None if match is None else _time(match.groupdict())


def _time(part: dict[str, str]) -> float | None:
    hours = int(part["hour"])
    if part["half"]:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if part["half"].upper() == "PM" else 0)
    minutes = int(part["minute"] or 0)
    if minutes > 59:
        return None
    return (hours * 3600 + minutes * 60 + float(part["second"] or 0)) / 86400
