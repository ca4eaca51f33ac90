"""Moments as people type them: an ISO time, a date, or a length of time from now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from jobrunner import durations
from jobrunner.clock import Instant, SystemClock, from_datetime


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
