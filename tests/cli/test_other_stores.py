"""The command line over a store that another package brings: whose fault it is, and no password anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.house import Done, House
from tests.store.plugins import BORROWED, installed

PASSWORD = "correct-horse"


class Theirs:
    """A project whose state is in a store of another package."""

    def __init__(self, house: House, site: Path) -> None:
        self._house = house
        self._site = site

    def have(self, code: str) -> None:
        installed(self._site, "theirs", code)

    def process(self, *args: str) -> Done:
        state = f"theirs://me:{PASSWORD}@{self._house.root}/theirs.db"
        done = self._house.process(
            *args, env={"PYTHONPATH": str(self._site), "JOBRUNNER_STATE": state, "THEIR_URL": state}
        )
        assert PASSWORD not in done.out + done.err
        return done


@pytest.fixture
def theirs(house: House, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    return Theirs(house, tmp_path_factory.mktemp("site"))


def test_jobs_run_over_it_and_nothing_shows_its_password(house: House, theirs: Theirs) -> None:
    theirs.have(BORROWED)
    house.job("tick", "import os; print(os.environ['THEIR_URL'])", schedule="every 1s", numberOfExecutions=1)
    started = theirs.process("start", "--until-done", "--no-watch")
    assert (started.code, f"theirs://me:***@{house.root}/theirs.db" in started.err) == (0, True)
    assert "theirs://me:***@" in theirs.process("run", "tick").err
    assert "theirs://me:***@" in theirs.process("logs", "tick").out
    assert len(theirs.process("history", "--json").json) == 2
    assert not (house.root / ".jobrunner" / "state.db").exists()


def test_before_the_first_start_there_is_no_state_and_looking_makes_none(
    house: House, theirs: Theirs
) -> None:
    theirs.have(BORROWED)
    house.job("tick")
    for command in ("ls", "history", "nodes", "pending", "check"):
        assert theirs.process(command).code == 0
    assert theirs.process("health").code == 1
    assert not (house.root / "theirs.db").exists()


def test_doctor_names_the_state_and_leaves_out_what_it_has_not(house: House, theirs: Theirs) -> None:
    theirs.have(
        BORROWED
        + """
    class Remote:
        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            if name in ("reading", "writing", "duplicate", "dissolve"):
                raise AttributeError(name)
            return getattr(self._store, name)

        def info(self):
            found = dict(self._store.info(), library="Theirs 9", path=self._store.url)
            return {key: found[key] for key in found if key != "journal_mode"}

    ours = open_state

    def open_state(url, **how):
        return Remote(ours(url, **how))
"""
    )
    house.job("tick")
    theirs.process("run", "tick")
    (said,) = [line for line in theirs.process("doctor").out.splitlines() if "Theirs 9" in line]
    assert said.startswith(f"ok:      theirs://me:***@{house.root}/theirs.db: ")
    assert said.split("Theirs 9, ")[1].split()[0] == "schema"
    assert "journal" not in said
    assert "are free for the state" not in theirs.process("doctor").out
    for command in ("info", "check", "migrate"):
        assert theirs.process("state", command).code == 0
    done = theirs.process("state", "backup", str(house.root / "copy.db"))
    assert done.code == 4
    assert f"the store of theirs://me:***@{house.root}/theirs.db does not offer" in done.err


@pytest.mark.parametrize(
    "command", ["ls", "history", "nodes", "health", "stats", "why tick", "run tick", "start --for 0.1s"]
)
def test_what_their_code_raises_is_one_sentence_and_exit_code_7(
    house: House, theirs: Theirs, command: str
) -> None:
    theirs.have("def open_state(url, **how): raise ConnectionError(f'cannot reach {url}')")
    house.job("tick")
    done = theirs.process(*command.split())
    said = f"cannot reach theirs://me:***@{house.root}/theirs.db"
    assert done.code == 7
    assert done.err.splitlines() == [
        "error: the store theirs:open_state of theirs 1.2 fails to open a state (ConnectionError: "
        + said
        + ")",
        "hint: it is a fault of that package, not of jobrunner; --debug shows where",
    ]


def test_debug_shows_where_in_their_code_it_was(house: House, theirs: Theirs) -> None:
    theirs.have("def open_state(url, **how): raise ConnectionError(f'cannot reach {url}')")
    done = theirs.process("ls", "--debug")
    assert done.code == 7
    assert 'theirs.py", line 1, in open_state' in done.err
    assert done.err.count("error: ") == 1


def test_doctor_reports_a_store_that_cannot_be_opened(theirs: Theirs) -> None:
    theirs.have("import nobody_has_this")
    done = theirs.process("doctor", "--json")
    assert done.code == 1
    assert "No module named 'nobody_has_this'" in done.out
