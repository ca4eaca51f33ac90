"""A command that looks at the state lets go of it, and reads the jobs as `set` has changed them."""

from __future__ import annotations

from functools import partial, partialmethod
from typing import Any

import pytest

from jobrunner.cli.asking import Asked
from jobrunner.errors import StateError
from jobrunner.registry import Registry
from jobrunner.store.base import Store
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """Return the stores that commands open from now on."""
    found: list[Store] = []
    wholes = {"open": Asked.open, "state": Asked.state}

    def noted(verb: str, *args: Any, **options: Any) -> Store:
        store = wholes[verb](*args, **options)
        assert store is not None
        found.append(store)
        return store

    for verb in wholes:
        monkeypatch.setattr(Asked, verb, partialmethod(partial(noted, verb)))
    return found


@pytest.mark.parametrize(
    ("command", "times"),
    [("run a", 2), ("why a", 1), ("doctor", 1), ("doctor a", 1), ("stats", 1), ("ls", 1), ("health", 1)],
)
def test_a_command_opens_the_state_no_more_often_than_it_must_and_closes_it(
    house: House, opened: list[Store], command: str, times: int
) -> None:
    house.job("a")
    house.ran("a")
    house.call(*command.split())
    assert len(opened) == times
    for store in opened:
        with pytest.raises(StateError):
            store.nodes()


@pytest.mark.parametrize("command", ["ls", "show a", "next a", "why a", "doctor a", "stats", "run a"])
def test_a_command_reads_the_jobs_as_set_has_changed_them(
    house: House, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    house.job("a")
    house.ran("a")
    assert house.call("set", "a", "timeout=7m").code == 0
    whole, loaded = Registry.load, []

    def noted(settings: Any, *args: Any) -> Registry:
        loaded.append(dict(settings.stored))
        return whole(settings, *args)

    monkeypatch.setattr(Registry, "load", noted)
    house.call(*command.split())
    assert loaded[-1:] == [{"a": {"timeout": "7m"}}]
