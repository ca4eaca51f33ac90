"""Moments as people type them: an ISO time, a date, or a length of time from now."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, Any

import click

from jobrunner import durations
from jobrunner.clock import Instant, SystemClock, from_datetime, to_datetime
from jobrunner.errors import BadRequest

if TYPE_CHECKING:
    from jobrunner.store.base import Store


def time_of(store: Store | None) -> Instant:
    """Return what time it is for all that a state holds; this machine's clock may be wrong."""
    local = SystemClock()
    return (local if store is None else store.clock(local)).now()


def instant_in(text: str, zone: str, now: Instant) -> Instant:
    """Return the moment that a text means; a time or date without an offset is one of `zone`.

    Beside what `Moment` takes it may be a time of today. Raises BadRequest.
    """
    from zoneinfo import ZoneInfo

    local, written = to_datetime(now).astimezone(ZoneInfo(zone)), text.strip()
    try:
        return now if written == "now" else now - durations.parse(written)
    except ValueError:
        pass
    try:
        if ":" in written[:3]:
            moment = datetime.combine(local.date(), time.fromisoformat(written))
        else:
            moment = datetime.fromisoformat(written)
        return from_datetime(moment.replace(tzinfo=moment.tzinfo or local.tzinfo))
    except (ValueError, OverflowError):
        hint = "write 2026-05-01T09:30, 09:30, 2026-05-01 or 2h"
        raise BadRequest(f"--at {text!a} is no moment", hint=hint) from None


class Moment(click.ParamType[Instant]):
    """An instant. A time without a zone is local; a duration counts back from now, or ahead if asked."""

    name = "moment"

    def __init__(self, *, ahead: bool = False) -> None:
        self._sign = 1 if ahead else -1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        """Return microseconds UTC."""
        if isinstance(value, int):
            return value
        text = value.strip()
        if text == "now":
            return SystemClock().now()
        try:
            return SystemClock().now() + self._sign * durations.parse(text)
        except ValueError:
            pass
        try:
            return from_datetime(datetime.fromisoformat(text).astimezone())
        except (ValueError, OverflowError):
            self.fail(f'"{value}" is no moment; write 2026-05-01, 2026-05-01T09:30 or 2h', param, ctx)
