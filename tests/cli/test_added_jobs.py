"""Jobs that code has added, at the command line: without a jobs folder, and without their module."""

from __future__ import annotations

import os

import pytest

from jobrunner import connect
from jobrunner.presence import Presence
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")


@pytest.fixture
def added(house: House) -> House:
    """A project without a jobs folder."""
    (house.root / "jobs").rmdir()
    house.write("tasks.py", "def work(): ...\n")
    with connect(project=os.fspath(house.root)) as client:
        client.get_or_add("work", "tasks:work", schedule="@daily")
    return house


def test_where_code_adds_the_jobs_a_folder_for_files_is_not_missed(added: House) -> None:
    listed = added.call("ls")
    assert (listed.code, listed.err) == (0, "")
    checked = added.process("check")
    assert (checked.code, "folder" in checked.err + checked.out) == (0, False)


def test_a_name_that_is_near_an_added_one_is_asked_back(added: House) -> None:
    done = added.call("trigger", "wrk")
    assert (done.code, "did you mean" in done.err) == (3, True)


def test_a_module_that_is_nowhere_is_told_by_ls_and_by_trigger(added: House) -> None:
    (added.root / "tasks.py").unlink()
    assert "its module tasks cannot be found here" in added.call("ls").out
    presence = Presence(added.root / ".jobrunner", "x" * 32)
    added.register(owner="x" * 32, stays=True)
    presence.announce()
    done = added.call("trigger", "work")
    presence.leave()
    assert "note: no node holds it: its module tasks cannot be found; run 1 waits for one" in done.err
