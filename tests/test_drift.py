"""While deployments differ each job runs by its current definition, and nothing is lost."""

from __future__ import annotations

import pytest

from jobrunner.clock import MINUTE, SECOND
from jobrunner.drift import DIFFER, MOST
from jobrunner.events import DefinitionsOutdated
from jobrunner.log import sentence
from tests.desk import Desk, House, live
from tests.fakes import a_job


def look(desk: Desk, *dead: Desk, changed: bool = False) -> list[DefinitionsOutdated]:
    """Return what a node says when it looks around."""
    definitions = desk._definitions((), ())
    gone = [each.me for each in dead]
    events = desk.joining.look(definitions, gone, desk.clock.now(), changed=changed)
    return [event for event in events if isinstance(event, DefinitionsOutdated)]


def notes(desk: Desk) -> list[str]:
    found = [note for note in desk.store.notes() if note.action.startswith("definitions-")]
    return [f"{note.action} {note.detail}" for note in reversed(found)]


def test_a_new_deployment_takes_its_job_over_and_every_due_moment_has_its_row(house: House) -> None:
    old = house.open(a_job(hash="one"), a_job("same"))
    live(old, 2 * MINUTE)
    new = house.open(a_job(hash="two"), a_job("same"))
    live([old, new], 3 * MINUTE)
    assert (old.bodies("job"), new.bodies("job")) == ([1, 2], [3, 4, 5])
    assert old.ledger("job") == old.ledger("same") == [f"{minute} succeeded" for minute in range(1, 6)]


def test_what_the_old_deployment_had_planned_is_started_by_the_new_one(house: House) -> None:
    old = house.open(a_job(hash="one"), slots=0)
    live(old, MINUTE)
    assert old.ledger() == ["1 pending"]
    new = house.open(a_job(hash="two"))
    live([old, new], 2 * SECOND)
    assert (new.bodies(), old.ledger()) == ([1], ["1 succeeded"])


def test_an_old_deployment_with_free_slots_starts_nothing_of_what_the_new_one_has_no_slot_for(
    house: House,
) -> None:
    old, new = house.open(a_job(hash="one")), house.open(a_job(hash="two"), slots=0)
    live([old, new], MINUTE)
    old.turn()
    assert (old.bodies(), new.ledger()) == ([], ["1 pending"])
    new.leave()
    house.desks.remove(new)
    live(old, 2 * SECOND)
    assert (old.bodies(), old.ledger()) == ([1], ["1 succeeded"])


def test_when_the_new_deployment_goes_the_old_one_is_current_again_and_nothing_is_lost(house: House) -> None:
    old, new = house.open(a_job(hash="one")), house.open(a_job(hash="two"))
    live([old, new], 2 * MINUTE)
    new.leave()
    house.desks.remove(new)
    live(old, 2 * MINUTE)
    assert (old.bodies(), old.facts().definition_hash) == ([3, 4], "one")
    assert old.ledger() == [f"{minute} succeeded" for minute in range(1, 5)]


def test_so_it_is_when_the_new_deployment_dies_and_what_it_ran_is_lost_once(house: House) -> None:
    old, new = house.open(a_job(hash="one")), house.open(a_job(hash="two"))
    live([old, new], MINUTE, takes=HALF)
    dead = house.kill(new)
    old.turn(dead=(dead,))
    live(old, 2 * MINUTE)
    assert old.ledger() == ["1 lost", "2 succeeded", "3 succeeded"]
    assert old.bodies() == [2, 3]


def test_of_three_the_one_registered_last_among_the_living_is_current(house: House) -> None:
    one, two, three = (house.open(a_job(hash=name)) for name in ("one", "two", "three"))
    three.leave()
    house.desks.remove(three)
    live([one, two], MINUTE)
    assert (one.bodies(), two.bodies()) == ([], [1])


def test_a_changed_schedule_counts_from_its_deployment_and_from_the_rollback(house: House) -> None:
    old = house.open(a_job(hash="one"))
    live(old, 2 * MINUTE)
    new = house.open(a_job(schedule="30 * * * * *", hash="two"))
    live([old, new], 2 * MINUTE)
    new.leave()
    house.desks.remove(new)
    live(old, 2 * MINUTE)
    assert old.ledger() == [f"{due} succeeded" for due in ("1", "2", "2.5", "3.5", "5", "6")]


def test_the_others_are_told_once_who_holds_something_else_and_once_when_it_is_over(house: House) -> None:
    old = house.open(a_job(hash="one"), a_job("same"))
    new = house.open(a_job(hash="two"), a_job("same"))
    (said,) = [event for event in new.events if isinstance(event, DefinitionsOutdated)]
    assert (said.node, said.jobs, said.count, said.over) == (old.me.node, ("job",), 1, False)
    assert sentence(said) == (
        "warning",
        "node node-o0 (pid 1) holds another definition than the current one of job, which it does not run",
    )
    assert look(new) == look(new, changed=True) == []
    old.leave()
    house.desks.remove(old)
    (over,) = look(new)
    assert (over.node, over.over) == ("node-o0", True)
    assert look(new) == look(new, changed=True) == []
    assert notes(new) == ["definitions-differ node-o0 (pid 1): job", "definitions-agree node-o0 (pid 1)"]


def test_the_one_that_holds_something_else_hears_of_it_and_of_its_end(house: House) -> None:
    old = house.open(a_job(hash="one"))
    new = house.open(a_job(hash="two"))
    live([old, new], SECOND)
    assert look(old, changed=True) == []
    new.leave()
    house.desks.remove(new)
    live(old, SECOND)
    assert old.said(DefinitionsOutdated) == [
        DefinitionsOutdated(("job",)),
        DefinitionsOutdated(("job",), over=True),
    ]
    assert look(old, changed=True) == []


def test_a_node_that_takes_the_new_files_over_agrees_again(house: House) -> None:
    old, new = house.open(a_job(hash="one")), house.open(a_job(hash="two"))
    old.adopt(a_job(hash="two"))
    assert [event.over for event in look(new)] == [True]


def test_many_nodes_that_notice_write_one_note(house: House) -> None:
    house.open(a_job(hash="one"))
    for _ in range(3):
        newest = house.open(a_job(hash="two"))
    assert [note.partition(" ")[0] for note in notes(newest)] == [DIFFER]


def test_of_many_jobs_some_are_named_and_all_are_counted(house: House) -> None:
    names = [f"job-{number:03}" for number in range(MOST + 30)]
    house.open(*(a_job(name, hash="one") for name in names))
    new = house.open(*(a_job(name, hash="two") for name in names))
    (said,) = [event for event in new.events if isinstance(event, DefinitionsOutdated)]
    assert (len(said.jobs), said.count) == (MOST, MOST + 30)
    words = sentence(said)
    assert words is not None
    assert len(words[1]) < 200
    assert "50 jobs" in words[1]
    assert notes(new)[0].endswith("and 30 more")


def test_a_dead_node_is_not_named(house: House) -> None:
    old = house.open(a_job(hash="one"))
    new = house.open(a_job(hash="two"))
    assert [event.over for event in look(new, old)] == [True]


def test_what_could_not_be_noted_is_said_at_the_next_look(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = house.open(a_job(hash="two"))
    old = house.open(a_job(hash="one"))
    new.adopt(a_job(hash="two"))

    def full(*_: object) -> None:
        raise KeyError

    with monkeypatch.context() as patch:
        patch.setattr(new.store, "note", full)
        with pytest.raises(KeyError):
            look(new, changed=True)
    assert [event.node for event in look(new, changed=True)] == [old.me.node]


HALF = 30 * SECOND
