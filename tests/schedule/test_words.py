"""Schedules in English."""

from __future__ import annotations

import pytest

from jobrunner.schedule import parse

TABLE = {
    "* * * * *": "every minute",
    "* * * * * *": "every second",
    "*/10 * * * * *": "every 10 seconds",
    "*/5 * * * *": "every 5 minutes",
    "*/7 * * * *": "every 7 minutes from minute 0 to 56 of every hour",
    "0 * * * *": "at minute 0 of every hour",
    "@hourly": "at minute 0 of every hour",
    "5,20 * * * *": "at minutes 5 and 20 of every hour",
    "30 2 * * *": "every day at 02:30",
    "15 30 2 * * *": "every day at 02:30:15",
    "@daily": "every day at 00:00",
    "0 9,17 * * *": "every day at 09:00 and 17:00",
    "0,30 9,17 * * *": "every day at 09:00, 09:30, 17:00 and 17:30",
    "0 9-17 * * *": "every hour from 09:00 to 17:00",
    "0 */2 * * *": "every 2 hours from 00:00 to 22:00",
    "*/5 9-16 * * *": "every 5 minutes from 09:00 to 16:55",
    "* 2 * * *": "every minute from 02:00 to 02:59",
    "*/5 9,12 * * *": "every 5 minutes of hours 9 and 12",
    "*/5 */2 * * *": "every 5 minutes of every 2nd hour",
    "5,10 9-17 * * *": "at minutes 5 and 10 of hours 9 to 17",
    "*/20 5 * * * *": "every 20 seconds of minute 5 of every hour",
    "15 */5 * * * *": "at second 15 of every 5th minute of every hour",
    "0 9 * * 1-5": "at 09:00 on Monday to Friday",
    "0 9 * * 6,0": "at 09:00 on Saturday and Sunday",
    "0 9 * * mon": "at 09:00 on Monday",
    "@weekly": "at 00:00 on Sunday",
    "0 0 1 * *": "at 00:00 on day 1 of the month",
    "0 0 1,15 * *": "at 00:00 on days 1 and 15 of the month",
    "0 0 L * *": "at 00:00 on the last day of the month",
    "0 0 1,L * *": "at 00:00 on day 1 and the last day of the month",
    "0 0 * * 1#1": "at 00:00 on the first Monday of the month",
    "0 0 * * 5L": "at 00:00 on the last Friday of the month",
    "0 0 * * 1,3#2,0L": "at 00:00 on Monday, the second Wednesday and the last Sunday of the month",
    "0 0 13 * 5": "at 00:00 on day 13 of the month or on Friday",
    "0 0 */2 * *": "at 00:00 on every 2nd day of the month from day 1",
    "0 0 2/3 * *": "at 00:00 on every 3rd day of the month from day 2",
    "0 0 1-9/2 * *": "at 00:00 on every 2nd day of the month from day 1 to 9",
    "0 0 */2,L * *": "at 00:00 on every 2nd day of the month from day 1, and on the last day",
    "0 0 */10 * *": "at 00:00 on days 1, 11, 21 and 31 of the month",
    "0 0 5-20 * *": "at 00:00 on days 5 to 20 of the month",
    "0 0 */2 * 1": "at 00:00 on every 2nd day of the month from day 1, only if it is Monday",
    "0 0 1 * */2": "at 00:00 on day 1 of the month, only if it is Tuesday, Thursday, Saturday or Sunday",
    "0 0 */10 * 1,3#1": "at 00:00 on days 1, 11, 21 and 31 of the month, only if it is Monday or the first "
    "Wednesday of the month",
    "0 0 1 1 1": "at 00:00 in January, on day 1 of the month or on Monday",
    "0 0 */2 1,2 1": "at 00:00 in January and February, on every 2nd day of the month from day 1, "
    "only if it is Monday",
    "0 0 */2 1 *": "at 00:00 on every 2nd day of the month from day 1 in January",
    "0 0 1 1 *": "at 00:00 on day 1 of the month in January",
    "0 0 * 6-8 *": "every day at 00:00 in June to August",
    "*/5 * * 1,12 *": "every 5 minutes in January and December",
    "0 0 13,* * 5": "every day at 00:00",
    "every 30s": "every 30 seconds",
    "every 1m": "every minute",
    "every 1h30m": "every 1 hour 30 minutes",
    "every day": "every 24 hours",
    "every 2d": "every 2 days",
    "every 500ms": "every 500 milliseconds",
    "every 10m after end": "10 minutes after each run ends",
    "0 9 * * 1; 30 17 * * *": "at 09:00 on Monday, and every day at 17:30",
}


@pytest.mark.parametrize(("text", "words"), TABLE.items())
def test_a_schedule_reads_as_english(text: str, words: str) -> None:
    assert parse(text).words() == words
