"""Statistics of runs: counts, durations, lateness; and the same as text that Prometheus reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jobrunner.clock import SECOND
from jobrunner.facts import JobFacts
from jobrunner.pace import percentile
from jobrunner.store.base import Figure

PERCENTS = (50, 95, 99)
FAILED = frozenset({"failed", "timed_out", "lost"})
UNMEASURED = frozenset({"skipped", "lost"})  # what it took says nothing


@dataclass(frozen=True, slots=True)
class Spread:
    """Sorted lengths of time, in microseconds."""

    values: Sequence[int]

    def at(self, percent: int) -> int | None:
        """Return a percentile, None without values."""
        return percentile(self.values, percent) if self.values else None

    @property
    def longest(self) -> int | None:
        """The last of them."""
        return self.values[-1] if self.values else None


@dataclass(frozen=True, slots=True)
class Stats:
    """What the rows of one job come to, beside what its own row says (`fact`).

    `states` counts occurrences: a chain of attempts once, by its newest one, and a row for many skips as
    many; `retries` are the attempts beyond the first that started. `took` are the durations of attempts that
    ran to an end, lost ones left out: nobody knows when those ended. `late` is how much later than due
    scheduled first attempts started.
    """

    fact: JobFacts
    limit: int | None
    enabled: bool
    states: Mapping[str, int] = field(default_factory=dict)
    took: Spread = Spread(())
    late: Spread = Spread(())
    retries: int = 0

    @property
    def success_rate(self) -> float | None:
        """Successes among all chains that came to succeed or fail, 0 to 1."""
        good = self.states.get("succeeded", 0)
        bad = sum(self.states.get(state, 0) for state in FAILED)
        return good / (good + bad) if good + bad else None


def stats(fact: JobFacts, figures: Iterable[Figure], *, limit: int | None, enabled: bool) -> Stats:
    """Return the statistics of one job's rows."""
    states: Counter[str] = Counter()
    took, late = [], []
    retries = 0
    for each in figures:
        if each.newest:
            states[each.state] += each.count
        if each.took is not None and each.state not in UNMEASURED:
            took.append(max(0, each.took))
        if each.late is not None and each.attempt > 1:
            retries += 1
        if each.late is not None and each.trigger == "schedule" and each.attempt == 1:
            late.append(max(0, each.late))
    return Stats(fact, limit, enabled, dict(states), Spread(sorted(took)), Spread(sorted(late)), retries)


# -- for Prometheus ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """What is measured of the whole project."""

    nodes: int
    running: int
    lag: int  # microseconds
    paused: bool


Sample = tuple[Mapping[str, str], float]  # labels, value


def prometheus(found: Sequence[Stats], whole: Whole) -> str:
    """Return the text format, version 0.0.4.

    What is counted is what the history holds, and pruning takes from it: so all are gauges, for a counter
    that goes down would be taken for one that began anew.
    """
    return "".join([*map(_family, _NAMES, _samples(found, whole))])


_NAMES = (
    (
        "runs",
        "gauge",
        "Runs, each with its retries, and skipped occurrences in the history, which is pruned.",
    ),
    ("retries", "gauge", "Attempts beyond the first in the history."),
    ("run_duration_seconds", "gauge", "How long the runs in the history took."),
    ("run_lateness_seconds", "gauge", "How much later than due scheduled runs started."),
    ("job_last_success_timestamp_seconds", "gauge", "When the job last succeeded."),
    ("job_consecutive_failures", "gauge", "Failures in a row."),
    ("job_enabled", "gauge", "1 if the job is enabled."),
    ("paused", "gauge", "1 while all schedules stand still."),
    ("nodes", "gauge", "Nodes that are alive."),
    ("running", "gauge", "Runs that are running."),
    ("lag_seconds", "gauge", "For how long something has been due that no node has taken."),
)


def _samples(found: Sequence[Stats], whole: Whole) -> list[list[Sample]]:
    """Return the samples of each of the names."""
    ok = [(one, one.fact.last_success_at) for one in found]
    return [
        _runs(found),
        [_of(one, one.retries) for one in found],
        _quantiles([(one, one.took) for one in found]),
        _quantiles([(one, one.late) for one in found]),
        [_of(one, at / SECOND) for one, at in ok if at is not None],
        [_of(one, one.fact.consecutive_failures) for one in found],
        [_of(one, one.enabled) for one in found],
        [({}, whole.paused)],
        [({}, whole.nodes)],
        [({}, whole.running)],
        [({}, whole.lag / SECOND)],
    ]


def _family(what: tuple[str, str, str], samples: Iterable[Sample]) -> str:
    name, kind, text = "jobrunner_" + what[0], what[1], what[2]
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _runs(found: Iterable[Stats]) -> list[Sample]:
    return [
        ({"job": one.fact.name, "state": state}, number)
        for one in found for state, number in sorted(one.states.items())
    ]  # fmt: skip


def _quantiles(found: Iterable[tuple[Stats, Spread]]) -> list[Sample]:
    samples: list[Sample] = []
    for one, spread in found:
        job = {"job": one.fact.name}
        for percent in PERCENTS:
            value = spread.at(percent)
            if value is not None:
                samples.append(({**job, "quantile": f"{percent / 100:g}"}, value / SECOND))
    return samples


def _of(one: Stats, value: float) -> Sample:
    return {"job": one.fact.name}, value


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}"


def escaped(value: str) -> str:
    """Return a label's value as the text format wants it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    """Return a number without an exponent that would lose digits: 1769900000.25, not 1.7699e+09."""
    return str(int(value)) if value == int(value) else repr(float(value))
