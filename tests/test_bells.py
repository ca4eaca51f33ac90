"""The doorbells of a folder, and who rings them."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobrunner.presence import Presence, Ringer, bells_in

LONG = "x" * 200  # no socket's address has so many bytes


@pytest.fixture(params=["s", LONG], ids=["short", "long"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / str(request.param)


@pytest.fixture
def ringer(folder: Path) -> Iterator[Ringer]:
    with closing(Ringer(bells_in(folder))) as made:
        yield made


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the folders that are listed from here on."""
    found, listdir = list[str](), os.listdir

    def counted(path: str) -> list[str]:
        found.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", counted)
    return found


def announced(folder: Path, owner: str) -> Presence:
    made = Presence(folder, owner)
    made.announce()
    return made


def has_heard(node: Presence) -> bool:
    heard = bool(select.select([node.bell() or -1], [], [], 0)[0])
    node.hush()
    return heard


def settle(folder: Path) -> None:
    """Let the folder have been as it is for long."""
    os.utime(bells_in(folder), (1e9, 1e9))


def test_each_ring_is_heard_by_every_node_those_too_that_came_later(folder: Path, ringer: Ringer) -> None:
    nodes = [announced(folder, "a")]
    try:
        for owner in "bcd":
            for _ in range(2):
                ringer.ring_all()
                assert [has_heard(node) for node in nodes] == [True] * len(nodes)
            nodes.append(announced(folder, owner))
        ringer.ring_all()
        assert [has_heard(node) for node in nodes] == [True] * 4
    finally:
        for node in nodes:
            node.leave()


def test_the_folder_is_listed_again_when_it_has_changed_and_else_not(
    folder: Path, ringer: Ringer, listed: list[str]
) -> None:
    node = announced(folder, "a")
    settle(folder)
    for _ in range(5):
        ringer.ring_all()
        assert has_heard(node)
    assert len(listed) == 1
    other = announced(folder, "b")
    for _ in range(2):
        ringer.ring_all()
        assert has_heard(node)
        assert has_heard(other)
    assert len(listed) == 3, "what has just changed may change again in the same tick"
    node.leave()
    other.leave()


def test_who_does_not_hear_is_passed_over_and_looked_for_again(folder: Path, ringer: Ringer) -> None:
    deaf, node = announced(folder, "a"), announced(folder, "b")
    settle(folder)
    ringer.ring_all()
    assert deaf._bell is not None
    deaf._bell.close()
    for _ in range(2):
        node.hush()
        ringer.ring_all()
        assert has_heard(node)
    deaf.forget("a")
    again = announced(folder, "a")
    settle(folder)
    ringer.ring_all()
    assert has_heard(again)
    again.leave()
    node.leave()


def test_a_bell_that_nobody_has_answered_for_long_is_not_taken_for_deaf(
    folder: Path, ringer: Ringer, listed: list[str]
) -> None:
    node = announced(folder, "a")
    settle(folder)
    for _ in range(2000):
        ringer.ring_all()
    assert has_heard(node)
    assert len(listed) == 1
    node.leave()


def test_without_a_folder_nothing_is_rung(folder: Path, ringer: Ringer) -> None:
    ringer.ring_all()
    assert not folder.exists()


def test_after_its_end_it_can_ring_again(folder: Path, ringer: Ringer) -> None:
    node = announced(folder, "a")
    for _ in range(2):
        ringer.ring_all()
        assert has_heard(node)
        ringer.close()
    node.leave()
