"""A change is noticed where it counts and nowhere else; when the system tells nothing, that is said."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobrunner import watching
from jobrunner.watching import LONGEST, QUIET, Quiet, Watch

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs inotify")


class Place:
    """A project with a jobs folder, and a watch over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = root / "jobs"
        (self.jobs / "sub").mkdir(parents=True)
        (self.jobs / "__pycache__").mkdir()
        (self.jobs / ".git").mkdir()
        for path in (self.jobs / "a.py", self.jobs / "sub" / "b.py", root / "app.py", root / "data.txt"):
            path.write_text("")
        self.watch = Watch([str(self.jobs)], [str(root / "jobrunner.yaml")])

    def noticed(self) -> bool:
        """Wait for an event of any kind that the last act must have caused; say whether it counted."""
        descriptor = self.watch.fileno()
        assert descriptor is not None
        assert select.select([descriptor], [], [], 20)[0]
        return self.watch.read()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "project")
    assert made.watch.read() is False
    yield made
    made.watch.close()


def _written(path: Path) -> Path:
    path.write_text("x")
    return path


COUNTS: dict[str, Callable[[Place], object]] = {
    "an edit": lambda it: (it.jobs / "a.py").write_text("x"),
    "a new file": lambda it: (it.jobs / "n.py").write_text("x"),
    "a deleted file": lambda it: (it.jobs / "a.py").unlink(),
    "a file moved in": lambda it: os.rename(it.root / "app.py", it.jobs / "app.py"),
    "a file moved out": lambda it: os.rename(it.jobs / "a.py", it.root / "a.txt"),
    "an editor that replaces": lambda it: os.rename(_written(it.jobs / "a.py~"), it.jobs / "a.py"),
    "other rights": lambda it: (it.jobs / "a.py").chmod(0o400),
    "an edit in a sub-folder": lambda it: (it.jobs / "sub" / "b.py").write_text("x"),
    "a helper": lambda it: (it.jobs / "_part.py").write_text("x"),
    "a new folder": lambda it: (it.jobs / "more").mkdir(),
    "a folder that goes": lambda it: os.rename(it.jobs / "sub", it.root / "sub"),
    "jobrunner.yaml": lambda it: (it.root / "jobrunner.yaml").write_text("x"),
    "services.py": lambda it: (it.root / "services.py").write_text("x"),
    "a sibling of the jobs folder": lambda it: (it.root / "app.py").write_text("x"),
    "the jobs folder itself": lambda it: os.rename(it.jobs, it.root / "old"),
}  # fmt: skip


@linux
@pytest.mark.parametrize("what", COUNTS)
def test_a_change_that_may_matter_is_noticed(place: Place, what: str) -> None:
    COUNTS[what](place)
    assert place.noticed()
    assert place.watch.complete


IGNORED: dict[str, Callable[[Place], object]] = {
    "an editor's own file": lambda it: (it.jobs / ".a.py.swp").write_text("x"),
    "a hidden Python file": lambda it: (it.jobs / ".#a.py").write_text("x"),
    "a data file": lambda it: (it.jobs / "data.csv").write_text("x"),
    "a folder that holds no jobs": lambda it: (it.jobs / "tests").mkdir(),
    "a data file of the project": lambda it: (it.root / "data.txt").write_text("x"),
    "a new folder of the project": lambda it: (it.root / ".jobrunner").mkdir(),
}


@linux
@pytest.mark.parametrize("what", IGNORED)
def test_what_cannot_matter_is_no_change(place: Place, what: str) -> None:
    IGNORED[what](place)
    assert not place.noticed()


@linux
def test_reading_is_no_change(place: Place) -> None:
    (place.jobs / "a.py").read_text()
    list(place.jobs.iterdir())
    (place.jobs / ".git" / "index").write_text("")
    (place.jobs / "__pycache__" / "a.pyc").write_text("")
    (place.jobs / "mark.py").write_text("")
    names = [event.name for event in place.watch._events()]
    assert set(names) == {"mark.py"}


@linux
def test_a_folder_that_is_new_is_watched_with_all_below_it_and_so_is_one_that_comes_back(
    place: Place,
) -> None:
    (place.jobs / "one" / "two").mkdir(parents=True)
    assert place.noticed()
    for path in (place.jobs / "one" / "two" / "x.py", place.jobs / "one" / "y.py"):
        path.write_text("")
        assert place.noticed()
    os.rename(place.jobs, place.root / "old")
    assert place.noticed()
    place.jobs.mkdir()
    assert place.noticed()
    (place.jobs / "z.py").write_text("")
    assert place.noticed()


@linux
def test_a_jobs_folder_that_is_not_there_yet_is_noticed_when_it_comes(tmp_path: Path) -> None:
    watch = Watch([str(tmp_path / "jobs")])
    (tmp_path / "jobs").mkdir()
    assert watch.read()
    (tmp_path / "jobs" / "a.py").write_text("")
    assert watch.read()
    watch.close()


@linux
def test_files_may_be_added_to_a_watch(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "lib"
    other.mkdir()
    place.watch.follow([str(other / "rates.json")])
    (other / "rates.json").write_text("")
    assert place.noticed()
    (other / "else.json").write_text("")
    assert not place.noticed()


@linux
def test_lost_events_count_as_a_change_and_the_watch_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = watching._Event(-1, watching._OVERFLOW, "")
    (place.jobs / "deep").mkdir()
    assert list(place.watch._events())
    monkeypatch.setattr(place.watch, "_events", lambda: iter([lost]))
    assert place.watch.read()
    monkeypatch.undo()
    (place.jobs / "deep" / "x.py").write_text("")
    assert place.noticed()


def test_where_the_system_tells_nothing_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_adder", lambda: None)
    watch = Watch([str(tmp_path)])
    assert (watch.fileno(), watch.complete, watch.read()) == (None, False, False)
    watch.close()


@linux
@pytest.mark.parametrize("lack", ["descriptors", "watches"])
def test_a_watch_that_the_system_has_no_room_for_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    if lack == "descriptors":
        monkeypatch.setattr(watching, "_opened", lambda: None)
    else:
        monkeypatch.setattr(watching, "_adder", lambda: lambda *_: -1)
    watch = Watch([str(tmp_path)])
    assert not watch.complete
    assert (watch.fileno() is None) == (lack == "descriptors")
    watch.close()


@linux
def test_a_closed_watch_tells_nothing_and_holds_nothing(place: Place) -> None:
    descriptor = place.watch.fileno()
    assert descriptor is not None
    for _ in range(2):
        place.watch.close()
    assert place.watch.fileno() is None
    assert not place.watch.read()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_one_acts_after_a_short_quiet_and_never_waits_long() -> None:
    quiet = Quiet()
    assert quiet.due(5.0) is None
    quiet.note(10.0)
    assert quiet.due(10.0) == pytest.approx(QUIET)
    assert quiet.due(10.0 + QUIET) == 0.0
    quiet.note(10.05)
    assert quiet.due(10.1) == pytest.approx(QUIET - 0.05)
    for i in range(100):
        quiet.note(10.05 + i / 100)
    assert quiet.due(10.0 + LONGEST - 0.01) == pytest.approx(0.01)
    assert quiet.due(10.0 + LONGEST) == quiet.due(99.0) == 0.0
    quiet.clear()
    assert quiet.due(99.0) is None
    quiet.note(99.0)
    assert quiet.due(99.0) == pytest.approx(QUIET)
