"""Whatever is planned, skipped and set back: each occurrence consumed is counted once in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.clock import SECOND
from jobrunner.model import Due, Reason, Run
from jobrunner.store.base import Store
from jobrunner.store.contract.things import T0, Bench, at, make_job, run_at, skip_at, skips
from tests.place import NewPlace, Place

REASONS: tuple[Reason, ...] = ("missed", "overlap", "paused")

piece = st.one_of(
    st.just(("run", 1, "")),
    st.tuples(st.just("skip"), st.integers(1, 130), st.sampled_from(REASONS)),
    st.tuples(st.just("many"), st.integers(2, 130), st.sampled_from(REASONS)),
)
step: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("consume"), st.lists(piece, min_size=1, max_size=4), st.booleans()),
    st.tuples(st.just("claim"), st.just([]), st.booleans()),
    st.tuples(st.just("rewind"), st.integers(1, 200), st.booleans()),
)


class Ledger(Bench):
    """A store and what should be in it: a second consumed before is not consumed again."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def make_store(self, folder: Path) -> Store:
        return self.place.open()

    def __enter__(self) -> Ledger:
        self.setup_method()
        self.job = make_job(concurrency="allow")
        self.register(self.job)
        self.consumed: set[int] = set()
        return self

    def __exit__(self, *_: object) -> None:
        self.teardown_method()

    def do(self, verb: str, what: object, flag: bool) -> None:
        if verb == "consume":
            self.plan(what, flag)  # type: ignore[arg-type]
        elif verb == "claim":
            self.claim(1, seconds=10**6)
        else:
            standing = self.standing()
            to = max(T0, standing.consumed - int(str(what)) * SECOND)
            if self.store.rewind(standing, to, self.job):
                limit = (to - T0) // SECOND
                started = {
                    second
                    for run in self.rows()
                    if run.started_at
                    for second in seconds(run.scheduled_for or 0, None)
                }
                self.consumed = {second for second in self.consumed if second <= limit or second in started}

    def plan(self, pieces: list[tuple[str, int, Reason]], supersede: bool) -> None:
        cursor = (self.standing().consumed - T0) // SECOND
        due: list[Due] = []
        for kind, number, reason in pieces:
            due += self._due(kind, cursor + 1, number, reason)
            cursor += number
        assert self.consume(self.job, *due, until=cursor, supersede="missed" if supersede else None)
        self.consumed |= {second for each in due for second in seconds(each.scheduled_for, each.last_for)}

    def _due(self, kind: str, first: int, number: int, reason: Reason) -> Iterator[Due]:
        if kind == "run":
            yield run_at(first)
        elif kind == "many":
            yield skips(first, first + number - 1, reason)
        else:
            yield from (skip_at(second, reason) for second in range(first, first + number))


def seconds(first: int, last: int | None) -> range:
    return range((first - T0) // SECOND, ((last or first) - T0) // SECOND + 1)


def spans(runs: list[Run]) -> list[range]:
    return [seconds(run.scheduled_for or 0, run.last_for) for run in runs]


def test_the_counts_add_up_to_the_occurrences_consumed_and_none_is_in_two_rows(
    new_place: NewPlace, store_kind: str
) -> None:
    @settings(max_examples=120 if store_kind == "sqlite" else 20, deadline=None)
    @given(st.lists(step, min_size=1, max_size=12))
    def whatever_happens(steps: list[tuple[str, object, bool]]) -> None:
        with new_place() as place, Ledger(place) as ledger, ledger.store.transaction():
            for one in steps:
                ledger.do(*one)
            rows = ledger.rows()
            covered = [second for span in spans(rows) for second in span]
            assert len(covered) == len(set(covered)), "two rows stand for one occurrence"
            assert set(covered) == ledger.consumed
            assert ledger.counted() == len(ledger.consumed)

    whatever_happens()


def test_no_more_than_a_hundred_neighbouring_rows_are_skips_of_one_reason(
    new_place: NewPlace, store_kind: str
) -> None:
    @settings(max_examples=60 if store_kind == "sqlite" else 12, deadline=None)
    @given(st.lists(piece, min_size=1, max_size=30))
    def whatever_is_due(pieces: list[tuple[str, int, Reason]]) -> None:
        with new_place() as place, Ledger(place) as ledger, ledger.store.transaction():
            for one in pieces:
                ledger.plan([one], False)
            assert longest_streak(ledger.rows()) <= 100

    whatever_is_due()


def longest_streak(runs: list[Run]) -> int:
    rows = sorted(runs, key=lambda run: run.scheduled_for or 0)
    longest = now = 0
    for before, run in zip([None, *rows], rows, strict=False):
        same = before is not None and before.reason == run.reason and run.reason is not None
        now = now + 1 if same else 1
        longest = max(longest, now)
    return longest


def test_a_streak_whose_row_was_pruned_begins_anew(place: Place) -> None:
    with Ledger(place) as ledger, ledger.store.transaction():
        for second in range(1, 121):
            ledger.consume(ledger.job, skip_at(second))
        ledger.store._db.rows("DELETE FROM runs")  # type: ignore[attr-defined]
        ledger.consume(ledger.job, skip_at(121))
        assert [(run.scheduled_for, run.count) for run in ledger.rows()] == [(at(121), 1)]
