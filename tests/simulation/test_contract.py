"""Rules of the contract on evidence that somebody has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulation.bodies import Witness
from tests.simulation.contract import two_bodies_of_an_exclusive_job_never_meet, what_lives_is_not_lost
from tests.simulation.evidence import Evidence, Row
from tests.simulation.journal import Entry


def _row(run: int, fence: int, *, alone: bool) -> Row:
    return {"id": run, "job_id": 1, "scope": "", "state": "running", "fence": fence, "exclusive": alone}


def _claim(at: int, row: Row, before: Row | None = None) -> Entry:
    return Entry(at, "runs", at, at, "n1", before, row, {})


def _body(row: Row, since: int, until: int) -> Witness:
    return Witness(row["id"], row["fence"], 1, row["id"], "job", "n1", since, since, until, "succeeded")


def _evidence(entries: Sequence[Entry], witnesses: Sequence[Witness]) -> Evidence:
    return Evidence(entries, witnesses, (), {}, {}, {}, {}, (), (), shared=False, job_ids={})


@pytest.mark.parametrize(("alone", "broken"), [(False, 0), (True, 2)])
def test_what_is_repeated_after_a_conflict_does_not_begin_beside_whoever_was_let_begin_beside_it(
    alone: bool, broken: int
) -> None:
    first, other, again = _row(1, 1, alone=True), _row(2, 2, alone=alone), _row(1, 3, alone=True)
    claims = [_claim(1, first), _claim(2, other), _claim(4, again, first)]
    bodies = [_body(first, 1, 4), _body(other, 2, 6), _body(again, 5, 7)]
    assert len(list(two_bodies_of_an_exclusive_job_never_meet(_evidence(claims, bodies)))) == broken


def test_what_begins_alone_does_not_begin_beside_another() -> None:
    other, alone = _row(1, 1, alone=False), _row(2, 2, alone=True)
    evidence = _evidence([_claim(1, other), _claim(2, alone)], [_body(other, 1, 4), _body(alone, 2, 6)])
    assert len(list(two_bodies_of_an_exclusive_job_never_meet(evidence))) == 1


@pytest.mark.parametrize(("gone", "broken"), [({}, 1), ({"n1": 4}, 0), ({"n1": 6}, 1)])
def test_what_a_node_could_not_record_is_lost_once_it_has_gone(gone: dict[str, int], broken: int) -> None:
    row = {**_row(1, 1, alone=True), "owner": "n1"}
    lost = Entry(5, "runs", 5, 5, "n2", row, {**row, "state": "lost"}, {})
    evidence = replace(_evidence([lost], []), gone=gone)
    assert len(list(what_lives_is_not_lost(evidence))) == broken
