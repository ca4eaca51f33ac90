"""Schedules in Python: `from jobrunner.schedules import every, daily`.

config = {"name": "report", "schedule": daily(at="02:30")}

Each builder returns a value whose `.text` is the schedule; see jobrunner/schedule/build.py for all forms.
"""

from __future__ import annotations

from jobrunner.schedule.build import (
    cron,
    daily,
    every,
    hourly,
    monthly,
    weekdays,
    weekends,
    weekly,
    yearly,
)

__all__ = ["cron", "daily", "every", "hourly", "monthly", "weekdays", "weekends", "weekly", "yearly"]
