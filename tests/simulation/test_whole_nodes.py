"""Whatever happens to whole nodes, the contract holds; and where it does not, the simulation sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jobrunner.aftermath import Aftermath
from jobrunner.clock import MILLISECOND, SECOND, from_iso
from jobrunner.dispatcher import Dispatcher
from jobrunner.liveness import Tenure
from jobrunner.scheduler import Scheduler
from jobrunner.store.sql import SqlStore
from jobrunner.store.sql.claims import Claims
from jobrunner.store.sql.runs import Runs
from tests.simulation.bodies import Habits
from tests.simulation.database import Private
from tests.simulation.history import live
from tests.simulation.script import Event, Script
from tests.simulation.stage import Presence

SEEDS = 200
PARTS = 8
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_to_whole_nodes_the_contract_holds(tmp_path: Path, part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        result = live(seed, tmp_path)
        assert result.broken == (), f"python -m tests.simulation --seed {seed} --trace"


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    stories = {_told(hash_seed) for hash_seed in ("0", "1", "77")}
    (story,) = stories
    assert "event:" in story
    assert "all is well" in story


def _told(hash_seed: str) -> str:
    words = [sys.executable, "-m", "tests.simulation", "--seed", "46", "--trace"]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(words, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout


# -- it can fail ------------------------------------------------------------------------------------


def _find(rule: str, folder: Path, most: int, start: int = 0) -> None:
    """Fail unless that rule is seen to be broken by one of so many seeds."""
    for seed in range(start, start + most):
        if any(rule in said for said in live(seed, folder).broken):
            return
    raise AssertionError(f"{most} seeds, and nobody saw that {rule}")


def test_it_sees_a_kernel_that_takes_the_living_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Presence, "is_dead", lambda *_: True)
    _find("fell over", tmp_path, 20)


def test_it_sees_exclusive_runs_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Claims.CANDIDATES
    start, end = whole.index("AND (r.exclusive = 0 OR"), whole.index("AND (r.run_group IS NULL")
    monkeypatch.setattr(Claims, "CANDIDATES", whole[:start] + whole[end:])
    _find("", tmp_path, 20, start=25)  # a rule of the schema forbids them, so nothing starts any more


def test_it_sees_fences_that_do_not_rise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claims, "FENCES", Claims.FENCES.replace("fence + ?", "9 + 0 * ?"))
    _find("fences rise", tmp_path, 20)


def test_it_sees_starts_that_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claims, "COUNT", Claims.COUNT.replace("executions + 1", "executions + 0"))
    _find("executions count scheduled starts", tmp_path, 20)


def test_it_sees_a_lost_run_that_nobody_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = Aftermath.settle
    monkeypatch.setattr(
        Aftermath, "settle",
        lambda self, run, outcome, now, *, last=False: settle(
            self, run, outcome, now, last=last or outcome.state == "lost"
        ),
    )  # fmt: skip
    _find("as its delivery says", tmp_path, 80)


def test_it_sees_what_was_due_and_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consume = SqlStore.consume

    def forgetful(
        self: SqlStore, standing: object, until: int, due: tuple[object, ...], **how: object
    ) -> bool:
        return consume(self, standing, until, due[1:] if len(due) > 1 else due, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(SqlStore, "consume", forgetful)
    _find("is in no row", tmp_path, 40)


def test_it_sees_a_node_that_never_looks_at_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "next_due", lambda _: None)
    monkeypatch.setattr(Scheduler, "turn", lambda *_: [])
    _find("does not start, though all is well", tmp_path, 20)


def test_it_sees_claims_that_are_never_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dispatcher, "hand_out", lambda *_: None)
    _find("nobody has begun it", tmp_path, 20)


def test_it_sees_a_commit_in_doubt_that_counts_as_never_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came_through = Private.came_through
    monkeypatch.setattr(Private, "came_through", lambda self: came_through(self) and False)
    _find("does not start, though all is well", tmp_path, 10, start=75)


def test_it_sees_a_commit_in_doubt_that_counts_as_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(self: Private) -> bool:
        doubted, self._db.doubt = self._db.doubt, None
        return doubted is not None

    monkeypatch.setattr(Private, "came_through", always)
    _find("each body has a claim of its own", tmp_path, 10, start=118)


def test_it_sees_a_lease_that_never_lapses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tenure, "lapsed", False)  # their zygotes know, so what is under way still ends
    _find("was taken for lost, and its body was under way", tmp_path, 20, start=40)


def test_it_sees_that_nobody_writes_down_who_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlStore, "begun", lambda *_: None)
    _find("what has succeeded has begun", tmp_path, 5)


def test_it_sees_a_run_that_is_ended_by_its_number_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a standby has not heard of a claim another node begins the run, and the first one goes on."""
    mine = "AND owner = :owner AND attempt = :attempt AND fence = :fence "
    assert mine in Runs.FINISH
    monkeypatch.setattr(Runs, "FINISH", Runs.FINISH.replace(mine, ""))
    _find("", tmp_path, 20, start=55)


def test_it_sees_a_cursor_that_nobody_sets_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlStore, "rewind", lambda *_: False)
    _find("does not start, though all is well", tmp_path, 10, start=62)


# -- what it has found -----------------------------------------------------------------------------

LONG = Habits((25 * SECOND,), bad=0, crash=0, hang=0, skip=0)
OTHER = {"name": "job-a", "schedule": "*/3 * * * * *"}
EDIT = Event("edit", SECOND, 0, {"job": 0, "config": OTHER, "whole": True})


def _script(*events: Event, shared: bool) -> Script:
    habits = Habits((0,), bad=0, crash=0, hang=0, skip=0)
    jobs = ({"name": "job-a", "schedule": "*/2 * * * * *"},)
    return Script(
        start=from_iso("2026-11-20T12:00:00Z"), shared=shared, machines=("m1", "m2"), nodes=2, slots=2,
        look_every=1.0, lease=6 * SECOND, skews=(0, 0), jobs=jobs, habits=habits, deaf=0, events=events,
    )  # fmt: skip


Written = Callable[[int], Script]


def _given_up(node: int) -> Script:
    """A node is stopped beyond its lease, and the files change meanwhile."""
    stall = Event("stall", 3 * SECOND, node, {"time": 15 * SECOND})
    return _script(stall, EDIT, Event("passes", 0, 0, {"time": 30 * SECOND}), shared=True)


def _given_up_in_a_turn(node: int) -> Script:
    """The same in the midst of a turn, so that it is over before it has looked at the files."""
    trap = {"kinds": frozenset({"begin"}), "left": 2, "time": 15 * SECOND}
    stall = Event("stall_at", SECOND, node, trap)
    wait = Event("passes", 0, 0, {"time": 6 * SECOND})
    return _script(stall, wait, EDIT, Event("passes", 0, 0, {"time": 30 * SECOND}), shared=True)


@pytest.mark.parametrize("written", [_given_up, _given_up_in_a_turn])
@pytest.mark.parametrize("node", [0, 1])
def test_a_node_that_was_given_up_while_files_changed_works_again_by_what_they_say(
    tmp_path: Path, written: Written, node: int
) -> None:
    assert live(1, tmp_path, written=written(node)).broken == ()


@pytest.mark.parametrize("left", range(1, 25))
def test_a_node_takes_over_edits_though_the_state_cannot_be_read_for_a_moment(
    tmp_path: Path, left: int
) -> None:
    fault = Event("fault", 2 * SECOND, 0, {"kinds": frozenset({"read"}), "left": left, "code": "io"})
    wait = Event("passes", 0, 0, {"time": 5 * SECOND})
    edits = [EDIT, Event("edit", 0, 0, {"job": 0, "config": {"schedule": "*/5 * * * * *"}, "whole": False})]
    assert live(1, tmp_path, written=_script(fault, *edits, wait, shared=False)).broken == ()


def test_what_a_node_that_is_to_end_has_begun_in_doubt_is_canceled_and_waits_for_no_lease(
    tmp_path: Path,
) -> None:
    unheard = {"kinds": frozenset({"commit"}), "left": 1, "code": "unheard"}
    doubt, stop = Event("unheard", 900 * MILLISECOND, 0, unheard), Event("stop", 200 * MILLISECOND, 0)
    told: list[str] = []
    script = replace(_script(doubt, stop, shared=True), nodes=1, habits=LONG)
    assert live(1, tmp_path, told.append, written=script).broken == ()
    ends = [line for line in told if "Finished(run_id=1" in line]
    assert len(ends) == 1
    assert "state='canceled', reason='shutdown'" in ends[0]


def test_a_doubt_is_settled_as_soon_as_somebody_can_say_and_not_when_something_else_is_due(
    tmp_path: Path,
) -> None:
    unheard = {"kinds": frozenset({"commit"}), "left": 1, "code": "unheard"}
    events = [Event("unheard", 18 * SECOND, 0, unheard), Event("passes", 0, 0, {"time": 5 * SECOND})]
    jobs = ({"name": "job-a", "schedule": "*/20 * * * * *"},)
    script = replace(_script(*events, shared=True), nodes=1, lease=120 * SECOND, jobs=jobs)
    told: list[str] = []
    assert live(1, tmp_path, told.append, written=script).broken == ()
    began = next(float(line.split()[0]) for line in told if "Started(run_id=1" in line)
    assert 20 <= began < 21.5


def test_whoever_dies_in_doubt_starts_nothing_any_more(tmp_path: Path) -> None:
    unheard = {"kinds": frozenset({"commit"}), "left": 1, "code": "unheard"}
    events = [Event("unheard", 950 * MILLISECOND * (1 - node), node, unheard) for node in (0, 1)]
    die = Event("all_die", 200 * MILLISECOND, 0, {"time": 20 * SECOND})
    assert live(1, tmp_path, written=_script(*events, die, shared=True)).broken == ()


@pytest.mark.parametrize("left", range(7, 13))
def test_a_node_that_was_given_up_is_another_though_the_database_cannot_be_read_for_a_moment(
    tmp_path: Path, left: int
) -> None:
    fault = Event("fault", 3 * SECOND, 0, {"kinds": frozenset({"read"}), "left": left, "code": "io"})
    stall = Event("stall", 0, 0, {"time": 15 * SECOND})
    wait = Event("passes", 0, 0, {"time": 30 * SECOND})
    assert live(1, tmp_path, written=_script(fault, stall, wait, shared=True)).broken == ()


def test_what_was_killed_with_a_lease_is_lost_though_its_renewal_turns_out_to_have_been_heard(
    tmp_path: Path,
) -> None:
    unheard = {"kinds": frozenset({"commit"}), "left": 2, "code": "unheard"}
    doubt = Event("unheard", 4 * SECOND, 1, unheard)
    stall = Event("stall", 1500 * MILLISECOND, 1, {"time": 3 * SECOND})
    script = _script(doubt, stall, Event("passes", 0, 0, {"time": 15 * SECOND}), shared=True)
    assert live(1, tmp_path, written=replace(script, habits=LONG)).broken == ()
