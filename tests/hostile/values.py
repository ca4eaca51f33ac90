"""Strategies for values that a config may hold, and for those that nobody should put there."""

# ruff: noqa: E501  (lists of values read best on few lines)

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jobrunner.config.keys import CANONICAL, KEYS

EXAMPLES = int(
    os.environ.get("JOBRUNNER_TEST_EXAMPLES", "0")
)  # of each property; 0: as many as fit the suite


def bounded(examples: int) -> settings:
    """Return how much is tried: the same each time, or more of something else when asked for more."""
    return settings(
        deadline=None, max_examples=EXAMPLES or examples, derandomize=not EXAMPLES, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


class Mute:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("repr")


def vast() -> int:
    """Return a number of more digits than Python writes."""
    return 10**5000


class Trap:
    """Seems to be a builder's result."""

    @property
    def text(self) -> str:
        raise RuntimeError("text")


PLAIN: tuple[Callable[[], Any], ...] = (  # what JSON and YAML can bring
    lambda: 2**63, lambda: 2**13_999, lambda: 1e999, lambda: -1e999, lambda: float("nan"), lambda: -0.0,
    lambda: "\ud800", lambda: "x" * 100_000, lambda: "; " * 200, lambda: ";", lambda: "\0",
    lambda: [[[[[[]]]]]], lambda: {"": {"": {}}}, lambda: "every 1s; every 2s", lambda: "9" * 5000 + "s",
)  # fmt: skip
HOSTILE: tuple[Callable[[], Any], ...] = (  # what Python can
    *PLAIN, Mute, Trap, object, vast, lambda: -vast(), lambda: b"x", lambda: 1j, lambda: {1, 2},
    lambda: ..., lambda: range(3), lambda: datetime.timedelta.max, lambda: datetime.timedelta(-1),
    lambda: datetime.datetime(1, 1, 1), lambda: iter([]), lambda: Mute, lambda: len,
)  # fmt: skip
WORDS = (
    "* * * * *", "0 0 31 2 *", "@daily", "every 5m", "every 0s", "UTC", "Europe/Berlin", "a", "30s", "1h30m", "high",
    "once", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-01-01", "512MB",
    ":f", "a:b", "second", "skip", "exactly-once", "gpu", "process", "nowhere",
)  # fmt: skip
INNER = ("max", "delay", "backoff", "maxDelay", "jitter", "name", "python", "on_start", "onSkip")

keys = st.one_of(st.sampled_from(sorted(CANONICAL)), st.sampled_from(sorted(KEYS)), st.text(max_size=8))


def values(odd: tuple[Callable[[], Any], ...]) -> st.SearchStrategy[Any]:
    """Return values of any shape; those that are made by `odd` among them."""
    leaves = st.one_of(
        st.sampled_from(WORDS), st.integers(0, len(odd) - 1).map(lambda number: odd[number]()), st.none(),
        st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    )  # fmt: skip
    names = st.one_of(st.sampled_from(INNER), st.text(max_size=4))
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=6,
    )
