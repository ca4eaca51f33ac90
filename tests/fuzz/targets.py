"""What is fuzzed: each target takes bytes, and returns unless a promise is broken."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobrunner import config, durations, settings
from jobrunner.clock import DAY, SECOND, from_iso
from jobrunner.config import Place, Written
from jobrunner.config.keys import KEYS
from jobrunner.discovery import syntax
from jobrunner.errors import ConfigError, ScheduleError
from jobrunner.schedule import parse
from tests.schedule import differential, oracle

START = from_iso("2026-02-27T00:00:00Z")
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia")
PLACE = Place("/a.py", "/", "hash")
MEMBERS = 4


def cron(data: bytes) -> None:
    """A text is a schedule whose occurrences ascend, in UTC the oracle's, or an error with a hint."""
    text = data[1:].decode("utf-8", "surrogateescape")
    zone = ZONES[data[0] % len(ZONES)] if data else "UTC"
    try:
        schedule = parse(text, zone)
    except ScheduleError as error:
        assert error.hint and error.message.isprintable(), error
        return
    assert parse(schedule.text, zone) == schedule
    assert schedule.words().isprintable()
    after, shortest = START, schedule.shortest()
    for number in range(4):
        following = schedule.next_after(after, START)
        if following is None:
            assert number, "it never fires"
            break
        assert following > after and (not number or following - after >= shortest)
        after = following
    _compare(schedule.text)


def _compare(text: str) -> None:
    if len(text.split()) == 5:
        row = oracle.walls("UTC", START // SECOND, (START + 2 * DAY) // SECOND, 60)
        expected = oracle.due(oracle.Job(text), row, 60)
        assert differential.ours(parse(text), row[0][0], row[-1][0] + 60) == expected


def duration(data: bytes) -> None:
    """A text is a length of time from none to a hundred years, and the text of that is read as the same."""
    try:
        micros = durations.parse(data.decode("utf-8", "replace"))
    except ValueError as error:
        assert "is not a duration" in str(error)
        return
    assert 0 <= micros <= durations.LONGEST
    rounded = durations.parse(durations.text(micros))
    assert abs(rounded - micros) <= 500


_FOLDER = Path(tempfile.mkdtemp(prefix="jobrunner-fuzz-"))


def yaml(data: bytes) -> None:
    """A jobrunner.yaml is settings, or one error that names the file."""
    (_FOLDER / "jobrunner.yaml").write_bytes(data)
    try:
        found = settings.load({"project": str(_FOLDER)}, {"TZ": "UTC"})
    except ConfigError as error:
        assert error.message and error.message.isprintable() and len(error.message) < 2_000, error
        return
    json.dumps([dict(found.settings), dict(found.services)], allow_nan=False).encode()


def dictionary(data: bytes) -> None:
    """A config is a job, or errors that name file, line and key."""
    written = {"name": "a", "schedule": None, **_Made(data).config()}
    job, errors = config.read(Written(written, "jobs/a.py", 7), PLACE, "UTC")
    assert (job is None) == bool(errors)
    for error in errors:
        assert (error.file, error.line) == ("jobs/a.py", 7) and error.key is not None
        assert error.message and len(error.message) < 1_000
    if job is not None:
        assert config.read(Written(job.config, "jobs/a.py", 7), PLACE, "UTC")[0] == job


def source(data: bytes) -> None:
    """A job file is read, or one error says why not; its names are looked for in any case."""
    syntax.names(data)
    try:
        said = syntax.read(data)
    except (ConfigError, RecursionError, MemoryError):
        return  # of the last two discovery says that the file is nested too deeply
    for one in said.configs or []:
        config.read(Written(one.config, "jobs/a.py", one.line, one.lines), PLACE, "UTC")


class _Made:
    """Makes values out of bytes: the same bytes, the same values."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def config(self) -> dict[str, Any]:
        keys = sorted(KEYS)
        return {keys[self._byte() % len(keys)]: self._value(6) for _ in range(self._byte() % MEMBERS + 1)}

    def _byte(self) -> int:
        return next(self._data, 0)

    def _text(self) -> str:
        return bytes(self._byte() for _ in range(self._byte() % 24)).decode("utf-8", "replace")

    def _value(self, depth: int) -> Any:
        kind = self._byte() % (9 if depth else 7)
        simple: dict[int, Callable[[], Any]] = {
            0: lambda: None, 1: lambda: self._byte() > 127, 2: lambda: self._byte() - 128,
            3: lambda: (self._byte() - 128) << self._byte() * 60, 4: self._text, 5: self._float,
            6: lambda: self._text() * 50,
        }  # fmt: skip
        if kind < 7:
            return simple[kind]()
        members = range(self._byte() % MEMBERS)
        if kind == 7:
            return [self._value(depth - 1) for _ in members]
        return {self._text(): self._value(depth - 1) for _ in members}

    def _float(self) -> float:
        try:
            return float(self._text())
        except ValueError:
            return self._byte() / 7


TARGETS: dict[str, Callable[[bytes], None]] = {
    "cron": cron, "duration": duration, "yaml": yaml, "dictionary": dictionary, "source": source,
}  # fmt: skip
