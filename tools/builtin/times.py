"""The tools that know the time, in the zones of the IANA database."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, available_timezones

from ...core import ToolError
from ..tool import Tool
from .reading import reading_tool

Clock = Callable[[], datetime]
"""Returns the present moment, with a zone."""

_TIME = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)[ T])?(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?::(?P<second>\d\d))?"
    r" ?(?P<half>[ap])?(?(half)\.?m\.?)",
    re.ASCII | re.IGNORECASE,
)
# Not strftime's names, which follow the machine's language.
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def system_clock() -> datetime:
    """Returns the present moment in UTC."""
    return datetime.now(UTC)


def time_tools(clock: Clock) -> list[Tool]:
    """Returns the tools that tell and convert times; `clock` says what is now."""

    def current_time(timezone: str = "UTC") -> str:
        zone = _zone(timezone)
        now = clock().astimezone(zone)
        weekday = _WEEKDAYS[now.weekday()]
        return f"It is {now:%H:%M:%S} on {weekday} {now.date()} in {zone.key} ({_offset(now)})."

    def convert_time(time: str, from_timezone: str, to_timezone: str) -> str:
        source, target = _zone(from_timezone), _zone(to_timezone)
        local = _moment(time, today=clock().astimezone(source).date()).replace(tzinfo=source)
        try:
            there = local.astimezone(UTC).astimezone(target)
            back = there.astimezone(source)
        except OverflowError:
            raise ToolError(f"{time!r} is too far away to convert") from None
        if back.replace(tzinfo=None) != local.replace(tzinfo=None):
            raise ToolError(f"{_shown(local)} does not exist there: the clocks were put forward")
        later = local.replace(fold=1)
        note = ""
        if later.utcoffset() != local.utcoffset():
            note = " The clocks were put back, so that time came twice; this is for the first one."
        return f"{_shown(local)} is {_shown(there)} ({_offset(there)}).{note}"

    return [
        reading_tool(
            current_time,
            "Tells what time and date it is right now in one time zone.",
            timezone={
                "type": "string",
                "default": "UTC",
                "description": "Time zone, for example 'Europe/Paris', or its city.",
            },
        ),
        reading_tool(
            convert_time,
            "Converts a given time of day from one time zone to another.",
            time={
                "type": "string",
                "description": "Time to convert, for example '15:30' or '3 pm' (today) or '2026-03-01 15:30'.",
            },
            from_timezone={
                "type": "string",
                "description": "Time zone of the given time, for example 'Europe/Paris', or its city.",
            },
            to_timezone={
                "type": "string",
                "description": "Time zone to convert to, for example 'Asia/Tokyo', or its city.",
            },
        ),
    ]


@functools.cache
def _zone_names() -> dict[str, tuple[str, ...]]:
    """Returns zone names by lower-case name and by lower-case city."""
    by_key: dict[str, list[str]] = {}
    for name in sorted(available_timezones()):
        for key in {name.casefold(), name.rpartition("/")[2].casefold()}:
            by_key.setdefault(key, []).append(name)
    return {key: tuple(names) for key, names in by_key.items()}


def _zone(text: str) -> ZoneInfo:
    """Returns the zone of that name or city; case and blanks do not matter."""
    names = _zone_names()
    key = text.strip().replace(" ", "_").casefold()
    found = names.get(key, ())
    exact = [name for name in found if name.casefold() == key]
    if len(found) == 1 or exact:
        return ZoneInfo((exact or found)[0])
    close = found or [
        names[match][0] for match in difflib.get_close_matches(key, names, n=3, cutoff=0.7)
    ]
    mend = (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else "give one like 'Europe/Paris'"
    )
    raise ToolError(f"no time zone {text!r}; {mend}")


def _moment(text: str, *, today: date) -> datetime:
    match = _TIME.fullmatch(text.strip())
    if match and (match["minute"] or match["half"]):
        hour = int(match["hour"])
        half = match["half"]
        if half and not 1 <= hour <= 12:
            hour = 24  # no such hour, like 13 pm
        elif half:
            hour = hour % 12 + (12 if half in "pP" else 0)
        try:
            day = date.fromisoformat(match["date"]) if match["date"] else today
            clock_time = time(hour, int(match["minute"] or 0), int(match["second"] or 0))
            return datetime.combine(day, clock_time)
        except ValueError:
            pass
    raise ToolError(f"{text!r} is not a time; write it like '15:30', '3 pm' or '2026-03-01 15:30'")


def _shown(moment: datetime) -> str:
    zone = moment.tzinfo
    clock_time = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    return f"{clock_time} on {moment.date()} in {zone}"


def _offset(moment: datetime) -> str:
    digits = f"{moment:%z}"
    return f"UTC{digits[:3]}:{digits[3:]}"
