"""state: what it is, whether it is sound, backups and copies of it, in a file and in a database."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from jobrunner import backup, moving
from jobrunner import store as stores
from jobrunner.clock import DAY, SECOND, SystemClock
from jobrunner.errors import StateError
from jobrunner.facts import Definition
from jobrunner.model import Job
from jobrunner.presence import Presence, boot_id
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.store import open_store, schema
from jobrunner.store.base import LogChunk, RunFilter, Store
from jobrunner.store.sqlite import migrate
from tests.cli.house import Done, House, a_node
from tests.furnished import NAMES, Furnished

KINDS = ("sqlite", "postgres")
MORE: dict[str, Any] = {"limited": {"numberOfExecutions": 3}, "each": {"runPerMachine": True}}
TOOK = re.compile(r',"took":[0-9.]+')  # of a step that waits: until now


@dataclass
class Keep:
    """A house with states; `kind` says of what kind the one is that commands mean."""

    house: House
    kind: str
    urls: Callable[[str], str]
    state: str

    def call(self, *args: str, state: str | None = None) -> Done:
        return self.house.call("--state", state or self.state, *args)

    def definitions(self) -> list[Definition]:
        with closing(open_store(self.state)) as store:
            return store.definitions()

    def copy(self, *args: str) -> Done:
        return self.house.call("state", "copy", *args)

    def jobs(self) -> dict[str, Job]:
        registry = Registry.load(load({"project": str(self.house.root)}, os.environ))
        return {name: registry.find(name) for name in NAMES}

    def furnish(self, state: str | None = None) -> Furnished:
        every = "* * * * *"
        for name in NAMES:
            more: dict[str, Any] = MORE.get(name, {})
            self.house.job(name, schedule=None if name in ("flow", "called") else every, **more)
        now = SystemClock().now() - 10 * DAY  # else what is due next might fall due meanwhile
        return Furnished(state or self.state, self.jobs(), now)

    def told(self, state: str | None = None) -> dict[str, Any]:
        """Return all that the commands tell of what there is."""
        words: list[list[str]] = [
            ["ls", "--all"], ["history", "--limit", "1000"], ["pending"], ["audit", "--limit", "1000"],
            ["stats"], ["show", "limited"], ["show", "overridden"], ["show", "1"], ["show", "14"],
        ]  # fmt: skip
        found = {" ".join(each): self.call(*each, "--json", state=state) for each in words}
        found |= {f"logs {number}": self.call("logs", str(number), state=state) for number in (1, 2, 5)}
        assert {key: (done.code, done.err) for key, done in found.items() if done.code} == {}
        return {key: TOOK.sub("", done.out) for key, done in found.items()}


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close what a command leaves open until its process ends."""
    opened: list[Store] = []
    real, real_open = House.call, stores.open_store

    def open_store(url: str, **how: Any) -> Store:
        opened.append(real_open(url, **how))
        return opened[-1]

    def call(self: House, *args: str) -> Done:
        try:
            return real(self, *args)
        finally:
            while opened:
                opened.pop().close()

    monkeypatch.setattr(stores, "open_store", open_store)
    monkeypatch.setattr(House, "call", call)


@pytest.fixture
def urls(house: House, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    made: list[str] = []

    def new(kind: str) -> str:
        if kind == "sqlite":
            made.append("")
            return f"sqlite:///{house.root}/{len(made)}/state.db"
        made.append(f"{request.getfixturevalue('postgres_schema')}_{len(made)}")
        return str(request.getfixturevalue("postgres").url(made[-1]))

    yield new
    for name in filter(None, made):
        request.getfixturevalue("postgres").drop(name)


@pytest.fixture(params=KINDS)
def keep(house: House, urls: Callable[[str], str], request: pytest.FixtureRequest) -> Keep:
    return Keep(house, request.param, urls, urls(request.param))


@pytest.fixture
def filed(house: House, urls: Callable[[str], str]) -> Keep:
    return Keep(house, "sqlite", urls, urls("sqlite"))


def file_of(url: str) -> Path:
    return Path("/" + url.removeprefix("sqlite:///").lstrip("/"))


def is_there(url: str) -> bool:
    try:
        with closing(open_store(url)) as store:
            return bool(store.jobs() or store.notes() or store.runs(RunFilter()) or store.paused())
    except StateError:
        return False


# -- copy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", KINDS)
def test_after_a_copy_every_command_tells_the_same(keep: Keep, goal: str) -> None:
    keep.furnish()
    before, there = keep.told(), keep.urls(goal)
    done = keep.copy(keep.state, there, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["same"] is True
    assert all(each["same"] and each["from"] == each["to"] for each in done.json["tables"])
    assert {each["table"]: each["from"]["rows"] for each in done.json["tables"]}["runs"] == 17
    after = keep.told(there)
    for key, text in before.items():
        assert after[key] == text, key
    assert keep.told() == before, "FROM is left as it is"


def test_a_round_trip_over_the_other_database_tells_the_same(filed: Keep) -> None:
    filed.furnish()
    before, there, back = filed.told(), filed.urls("postgres"), filed.urls("sqlite")
    assert filed.copy(filed.state, there).code == 0
    assert filed.copy(there, back).code == 0
    after = filed.told(back)
    for key, text in before.items():
        assert after[key] == text, key


def test_a_copy_shows_a_table_and_says_what_to_do_next(filed: Keep) -> None:
    filed.furnish()
    done = filed.copy(str(file_of(filed.state)), "new/state.db")
    new = filed.house.root / "new" / "state.db"
    head, *lines = done.out.splitlines()
    assert head.split() == ["TABLE", "FROM", "TO", "DIGEST", "RESULT"]
    assert all(line.endswith("  same") for line in lines)
    assert f"{file_of(filed.state)} is still there, unchanged" in done.err
    assert f"say `state: sqlite:///{new}` in jobrunner.yaml" in done.err
    assert filed.call("ls", state=f"sqlite:///{new}").code == 0
    assert new.stat().st_mode & 0o777 == 0o600


def test_a_password_is_told_nobody(filed: Keep) -> None:
    filed.furnish()
    there = filed.urls("postgres").replace("jobrunner@", "jobrunner:s3cret@")
    for words in (
        ["copy", filed.state, there],
        ["copy", there, filed.state],
        ["copy", there, filed.urls("sqlite")],
    ):
        done = filed.house.call("state", *words)
        assert "s3cret" not in done.out + done.err
    for words in (["info"], ["info", "--json"], ["migrate"]):
        done = filed.call("state", *words, state=there)
        assert (done.code, "s3cret" in done.out + done.err) == (0, False)


def test_a_start_on_the_copy_goes_on_where_the_last_one_ended(keep: Keep) -> None:
    """Its count is kept, nothing is new, and what was recorded is not due again."""
    keep.house.job("once-more", schedule="* * * * * *", numberOfExecutions=2)
    assert keep.house.process("--state", keep.state, "start", "--until-done").code == 0
    there = keep.urls("postgres" if keep.kind == "sqlite" else "sqlite")
    assert keep.copy(keep.state, there).code == 0
    keep.house.job("once-more", schedule="* * * * * *", numberOfExecutions=3)
    done = keep.house.process("--state", there, "start", "--until-done", "--for", "20s")
    assert done.code == 0
    assert "is new" not in done.err
    runs = keep.call("history", "once-more", "--json", state=there).json
    started = [run for run in runs if run["state"] == "succeeded"]
    assert len(started) == 3
    assert len({run["scheduledFor"] for run in runs}) == len(runs)
    assert keep.call("ls", "once-more", "--json", state=there).json[0]["executions"] == 3
    assert keep.call("state", "check", state=there).code == 0


def alive(keep: Keep, **facts: Any) -> Iterator[None]:
    """Let a node live on the state that this process plays."""
    with closing(open_store(keep.state, create=True)) as store:
        lease = {"lease": 60 * SECOND} if keep.kind == "postgres" else {}
        node = a_node(pid=os.getpid(), boot_id=boot_id(), **{**lease, **facts})
        folder = load({"project": str(keep.house.root), "state": keep.state}, {}).state_folder
        presence = Presence(Path(folder), node.owner)
        presence.announce()
        store.join(node)
        yield
        presence.leave()
        store.leave(node.owner)


@pytest.fixture
def company(keep: Keep) -> Iterator[None]:
    keep.furnish()
    yield from alive(keep)


@pytest.mark.usefixtures("company")
def test_a_state_on_which_a_node_lives_is_not_copied(keep: Keep) -> None:
    there = keep.urls("sqlite")
    done = keep.copy(keep.state, there)
    assert done.code == 4
    assert f"error: node here (pid {os.getpid()}) works on " in done.err
    assert "stop all its nodes first" in done.err
    assert not file_of(there).exists(), "nothing is made"


@pytest.mark.usefixtures("company")
def test_nor_is_one_copied_onto_it(keep: Keep) -> None:
    origin = keep.urls("sqlite")
    keep.furnish(origin)
    done = keep.copy(origin, keep.state)
    assert (done.code, "is not empty: nodes has 1 row" in done.err) == (4, True)


def test_of_dead_nodes_only_runs_are_in_the_way_and_a_start_settles_them(keep: Keep) -> None:
    keep.house.job("tick", schedule=None)
    with closing(open_store(keep.state, create=True)) as store:
        dead = a_node(boot_id="another", lease=1 if keep.kind == "postgres" else 0)
        registry = Registry.load(load({"project": str(keep.house.root)}, os.environ))
        store.join(dead)
        there = keep.urls("sqlite")
        assert keep.copy(keep.state, there).code == 0, "a dead node alone harms nobody"
        tick = registry.find("tick")
        now = SystemClock().now()
        claim = store.run_here(store.enroll(tick, now), tick, dead, 1, {}, identity="x", force=True, now=now)
    other = keep.urls("sqlite")
    done = keep.copy(keep.state, other)
    assert done.code == 4
    assert f"run {claim.run.id} of " in done.err
    assert "is running, and no node lives that could record its end" in done.err
    assert "start --for 1s` records it as lost" in done.err
    assert keep.house.process("--state", keep.state, "start", "--for", "1s").code == 0
    assert keep.copy(keep.state, other).code == 0
    assert [run["state"] for run in keep.call("history", "--json", state=other).json] == ["lost"]


@pytest.mark.parametrize("goal", KINDS)
def test_a_place_that_is_taken_is_refused_untouched(filed: Keep, goal: str) -> None:
    filed.furnish()
    there = filed.urls(goal)
    filed.house.job("mine", schedule=None)
    with closing(open_store(there, create=True)) as store:
        store.note("ann", "x", None, "y", 1)
    done = filed.copy(filed.state, there, "--json")
    assert done.code == 4
    assert done.error["message"].endswith(" is not empty: audit has 1 row")
    with closing(open_store(there)) as store:
        assert (store.jobs(), len(store.notes())) == ([], 1)


def test_a_state_is_not_copied_onto_itself_by_whatever_name(keep: Keep) -> None:
    with closing(open_store(keep.state, create=True)) as store:
        store.changed()
    done = keep.copy(keep.state, keep.state)
    assert (done.code, "is the state that is to be copied" in done.err) == (4, True)
    if keep.kind == "sqlite":
        (keep.house.root / "link.db").symlink_to(file_of(keep.state))
        assert keep.copy(keep.state, "link.db").code == 4


def test_what_is_not_there_cannot_be_copied_and_nothing_is_made(keep: Keep) -> None:
    there = keep.urls("sqlite")
    done = keep.copy(keep.state, there)
    assert (done.code, "there is no state at " in done.err) == (7, True)
    assert not file_of(there).exists()
    assert keep.copy("nowhere.db", there).code == 7
    assert keep.copy(keep.state).code == 2


@pytest.mark.parametrize("goal", KINDS)
def test_a_copy_that_fails_halfway_leaves_the_place_empty(
    filed: Keep, goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed.furnish()
    there = filed.urls(goal)

    def fail(*args: Any) -> Any:
        raise StateError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(moving, "measure", fail)
        done = filed.copy(filed.state, there)
    assert (done.code, "the disk is on fire" in done.err) == (7, True)
    assert not is_there(there)
    assert filed.copy(filed.state, there).code == 0


@pytest.mark.parametrize("goal", KINDS)
def test_sides_that_differ_are_shown_and_nothing_is_kept(
    filed: Keep, goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed.furnish()
    there, real = filed.urls(goal), moving.transfer

    def loses(source: Any, target: Any) -> Any:
        found = real(source, target)
        row = found[3]
        return [*found[:3], replace(row, here=row.here._replace(rows=row.here.rows - 1)), *found[4:]]

    monkeypatch.setattr(moving, "transfer", loses)
    done = filed.copy(filed.state, there)
    assert done.code == 7
    (different,) = (line.split() for line in done.out.splitlines() if "DIFFERENT" in line)
    assert different[:3] == ["runs", "17", "16"]
    assert "has not what was to be copied; nothing was kept there" in done.err
    assert not is_there(there)
    done = filed.copy(filed.state, there, "--json")
    assert (done.code, json.loads(done.out)["same"], "error" in done.err) == (7, False, True)


def test_nobody_can_begin_to_work_on_what_is_being_copied(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep.furnish()
    there, real = keep.urls("sqlite"), moving.transfer
    met: list[str] = []

    def meanwhile(source: Any, target: Any) -> Any:
        with closing(open_store(keep.state, patience=0.2)) as late, pytest.raises(StateError) as found:
            late.join(a_node())
        met.append(found.value.code)
        return real(source, target)

    monkeypatch.setattr(moving, "transfer", meanwhile)
    assert keep.copy(keep.state, there).code == 0
    assert met == ["busy"]


class Plain:
    """A store that offers what every store must, and no more."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in ("reading", "writing", "duplicate", "dissolve"):
            raise AttributeError(name)
        return getattr(self._store, name)


def test_a_store_that_cannot_be_moved_is_told_so(filed: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    filed.furnish()
    real = stores.open_store
    monkeypatch.setattr(stores, "open_store", lambda *args, **how: Plain(real(*args, **how)))
    for words in (["copy", filed.state, filed.urls("sqlite")], ["backup", "b.db"]):
        done = filed.call("state", *words)
        assert (done.code, "does not offer to read or write a state as a whole" in done.err) == (4, True)
    assert filed.call("state", "info", "--json").json["tables"] is None
    assert filed.call("state", "check").code == 0


# -- backup ----------------------------------------------------------------------------------------------


def test_a_backup_is_a_state_file_for_its_owner_only_that_tells_the_same(keep: Keep) -> None:
    keep.furnish()
    before = keep.told()
    done = keep.call("state", "backup", "b.db", "--json")
    file = keep.house.root / "b.db"
    assert done.json == {"file": str(file), "bytes": file.stat().st_size, "lost": 0}
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in keep.house.root.glob("b.db*")) == ["b.db"]
    assert keep.told("sqlite:///b.db") == before
    ids = [
        keep.call("state", "info", "--json", state=each).json["stateId"]
        for each in (keep.state, "sqlite:///b.db")
    ]
    assert ids[0] == ids[1], "it is the same state, at an earlier moment"
    assert keep.call("state", "check", state="sqlite:///b.db").code == 0


@pytest.mark.parametrize("taken", ["b.db", "b.db-wal"])
def test_a_backup_overwrites_nothing(keep: Keep, taken: str) -> None:
    keep.furnish()
    file = keep.house.write(taken, "precious")
    done = keep.call("state", "backup", "b.db")
    assert (done.code, f"{file} is there already" in done.err) == (4, True)
    assert file.read_text() == "precious"
    assert sorted(each.name for each in keep.house.root.glob("b.db*")) == [taken]


def test_nor_does_it_what_appears_while_it_is_made(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    keep.furnish()
    real = backup._part

    def meanwhile(*args: Any) -> int:
        keep.house.write("b.db", "precious")
        return real(*args)

    monkeypatch.setattr(backup, "_part", meanwhile)
    assert keep.call("state", "backup", "b.db").code == 4
    assert (keep.house.root / "b.db").read_text() == "precious"
    assert sorted(each.name for each in keep.house.root.glob("b.db*")) == ["b.db"]


def test_a_backup_that_fails_leaves_nothing(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    keep.furnish()

    def fail(*args: Any) -> Any:
        raise StateError("the disk is on fire")

    monkeypatch.setattr(backup, "_part", fail)
    assert keep.call("state", "backup", "b.db").code == 7
    assert list(keep.house.root.glob("b.db*")) == []
    assert keep.call("state", "backup", "nowhere/b.db").code == 4


@pytest.fixture
def at_work(keep: Keep) -> int:
    """A node lives on the state, and three of its runs are under way."""
    keep.house.job("careless", schedule=None)
    keep.house.job("careful", schedule=None, delivery="at-least-once")
    with closing(open_store(keep.state, create=True)) as store:
        node = a_node(node="busy", boot_id=boot_id(), pid=os.getpid())
        registry = Registry.load(load({"project": str(keep.house.root)}, os.environ))
        jobs = {name: registry.find(name) for name in ("careless", "careful")}
        store.join(node)
        now = SystemClock().now()
        idle = a_node(boot_id=boot_id(), pid=os.getpid())
        store.join(idle)
        store.register(idle.owner, [jobs["careful"]._replace(hash="an older one")], idle.machine, now)
        store.register(node.owner, list(jobs.values()), node.machine, now)
        hand = a_node(role="run", boot_id=boot_id(), pid=os.getpid())
        store.join(hand)
        for who, name in ((node, "careless"), (node, "careful"), (hand, "careful")):
            run = store.run_here(
                store.enroll(jobs[name], now), jobs[name], who, 1, {}, identity="x", force=True, now=now
            ).run
            store.append_log(run.id, who.owner, [LogChunk(0, b"so far\n")])
    return 3


def test_a_backup_is_made_while_nodes_work_and_what_runs_is_lost_in_it(keep: Keep, at_work: int) -> None:
    """As it would be had the machine died: what may be repeated is, unless somebody ran it by hand."""
    done = keep.call("state", "backup", "b.db")
    assert (done.code, f"{at_work} runs under way: lost in it" in done.err) == (0, True)
    here = keep.call("history", "--json").json
    assert {run["state"] for run in here} == {"running"}, "of those nothing is disturbed"
    there = keep.call("history", "--json", state="sqlite:///b.db").json
    assert [(run["job"], run["state"], run["attempt"]) for run in there] == [
        ("careful", "pending", 2), ("careful", "lost", 1), ("careful", "lost", 1), ("careless", "lost", 1),
    ]  # fmt: skip
    assert there[0]["rootId"] == 2
    found = keep.call("state", "info", "--json", state="sqlite:///b.db").json
    assert found["nodes"] == []
    assert {name: found["tables"][name] for name in ("definitions", "holdings")} == {
        "definitions": 2,
        "holdings": 0,
    }
    with closing(open_store("sqlite://" + str(keep.house.root / "b.db"))) as store:
        assert [each.hash for each in store.definitions()] == [each.hash for each in keep.definitions()]
    assert "so far" in keep.call("logs", "1", state="sqlite:///b.db").out
    assert keep.call("state", "check", state="sqlite:///b.db").code == 0


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize("how", ["copy", "file"])
def test_a_restored_backup_is_gone_on_with_by_the_next_start(keep: Keep, how: str) -> None:
    assert keep.call("state", "backup", "b.db").code == 0
    if how == "copy":
        back = keep.urls(keep.kind)
        assert keep.copy("sqlite:///b.db", back).code == 0
    else:
        back = keep.urls("sqlite")
        file_of(back).parent.mkdir()
        shutil.move(keep.house.root / "b.db", file_of(back))
    for _ in range(10):  # one is enough where nobody else keeps the machine busy
        done = keep.house.process("--state", back, "start", "--for", "3s")
        assert done.code == 0, done.err
        states = [(run["job"], run["state"]) for run in keep.call("history", "--json", state=back).json]
        if ("careful", "succeeded") in states:
            break
    assert ("careful", "succeeded") in states
    assert not any(state == "running" for _, state in states)
    assert keep.call("state", "check", state=back).code == 0


def test_nothing_of_a_backup_is_of_a_later_moment_than_the_rest(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counts, its runs and its numbers fit together, however much is written meanwhile."""
    keep.furnish()
    real = backup._write

    def meanwhile(*args: Any) -> Any:
        with closing(open_store(keep.state)) as other:
            source = args[0]
            opened = source.reading

            def reading(**how: Any) -> Any:
                return _then(opened(**how), lambda: other.note("late", "x", None, "y", 1))

            monkeypatch.setattr(source, "reading", reading)
            return real(*args)

    monkeypatch.setattr(backup, "_write", meanwhile)
    assert keep.call("state", "backup", "b.db").code == 0
    assert not any(
        note["actor"] == "late" for note in keep.call("audit", "--json", state="sqlite:///b.db").json
    )


class _then:
    """A context in which something is done first."""

    def __init__(self, inner: Any, do: Callable[[], None]) -> None:
        self.inner, self.do = inner, do

    def __enter__(self) -> Any:
        found = self.inner.__enter__()
        self.do()
        return found

    def __exit__(self, *how: Any) -> Any:
        return self.inner.__exit__(*how)


# -- info, check -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("company")
def test_info_tells_what_the_state_is_how_much_is_in_it_and_who_works(keep: Keep) -> None:
    found = keep.call("state", "info", "--json").json
    assert (found["version"], found["minReader"] <= found["version"]) == (schema.newest(), True)
    assert found["library"].startswith("SQLite" if keep.kind == "sqlite" else "PostgreSQL")
    assert found["bytes"] > 100_000
    assert found["path"] in keep.state
    assert found["createdAt"].endswith("Z")
    counts: Mapping[str, int] = found["tables"]
    assert (counts["runs"], counts["jobs"], counts["documents"], counts["nodes"]) == (17, 9, 2, 1)
    (node,) = found["nodes"]
    assert (node["node"], node["pid"], node["alive"]) == ("here", os.getpid(), True)
    text = keep.call("state", "info")
    assert text.code == 0
    assert f"nodes:   here (pid {os.getpid()}, alive)" in text.out
    assert "MiB" in text.out


def test_a_state_that_is_not_there_is_not_made(keep: Keep) -> None:
    for words in (["info"], ["check"], ["prune"], ["migrate"], ["backup", "b.db"]):
        done = keep.call("state", *words)
        assert (done.code, "there is no state at " in done.err) == (7, True), words
    assert not file_of(keep.state).exists()
    assert not (keep.house.root / "b.db").exists()


def test_check_says_that_all_is_well_or_what_is_not(keep: Keep) -> None:
    keep.furnish()
    done = keep.call("state", "check")
    assert (done.code, done.out, done.err) == (0, "the state is sound\n", "")
    assert keep.call("state", "check", "--json").json == {"problems": []}
    with closing(open_store(keep.state)) as store:
        store._db.rows("UPDATE cursors SET executions = 1 WHERE job_id = 1")  # type: ignore[attr-defined]
        store._db.rows("UPDATE jobs SET definition_hash = 'x' WHERE id = 1")  # type: ignore[attr-defined]
    done = keep.call("state", "check")
    assert done.code == 1
    assert done.out.splitlines() == [
        "the current definition of limited is not there",
        "limited counts 1 executions, and 3 are in its history",
    ]
    assert "2 problems" in done.err
    assert keep.call("state", "check", "--json").json["problems"] == done.out.splitlines()


def test_a_damaged_file_is_a_problem_and_what_is_no_state_cannot_be_checked(filed: Keep) -> None:
    filed.furnish()
    file = file_of(filed.state)
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("DROP INDEX one_at_a_time")
    done = filed.call("state", "check")
    assert (done.code, "index one_at_a_time is missing" in done.out) == (1, True)
    file.write_bytes(b"garbage" * 1000)
    done = filed.call("state", "check")
    assert (done.code, "is not a jobrunner state" in done.err) == (7, True)


# -- prune, migrate --------------------------------------------------------------------------------------


def test_prune_deletes_what_the_settings_do_not_keep_and_says_so(keep: Keep) -> None:
    keep.furnish()
    keep.house.write("jobrunner.yaml", "retention: 1d\nretention_failed: 1d\n")
    before = keep.call("history", "--limit", "100", "--json").json
    done = keep.call("state", "prune", "--dry-run", "--json")
    assert done.json["deleted"] == 0 < done.json["matching"]
    assert keep.call("history", "--limit", "100", "--json").json == before
    gone = keep.call("state", "prune", "--json", "--as", "ann").json["deleted"]
    assert gone == done.json["matching"]
    assert len(keep.call("history", "--limit", "100", "--json").json) == len(before) - gone
    newest = keep.call("audit", "--json").json[0]
    assert (newest["actor"], newest["action"], newest["detail"]) == ("ann", "pruned", f"{gone} rows")
    done = keep.call("state", "prune")
    assert (done.code, done.err) == (0, "0 rows deleted\n")
    assert keep.call("state", "check").code == 0


def test_migrate_says_from_where_to_where_or_that_nothing_is_to_do(keep: Keep) -> None:
    with closing(open_store(keep.state, create=True)):
        pass
    done = keep.call("state", "migrate")
    assert (done.code, f"has schema {schema.newest()}: nothing to do" in done.err) == (0, True)
    assert keep.call("state", "migrate", "--json").json == {"from": schema.newest(), "to": schema.newest()}


@pytest.fixture
def older(filed: Keep, tmp_path: Path) -> Path:
    """A file as the version before has made it."""
    file = file_of(filed.state)
    file.parent.mkdir(mode=0o700)
    connection = apsw.Connection(str(file))
    real = schema.steps(migrate.FOLDER)
    for step in real[:-1]:
        connection.execute(step.sql)
        connection.pragma("user_version", step.version)
    connection.execute(
        "INSERT INTO meta (id, state_id, version, min_reader, created_at) VALUES (1, 'x', ?, 1, 1)",
        (real[-2].version,),
    )
    connection.close()
    return file


def test_migrate_brings_an_older_file_up_to_date_and_keeps_a_copy(filed: Keep, older: Path) -> None:
    was, now = schema.newest() - 1, schema.newest()
    done = filed.call("state", "migrate")
    assert (done.code, done.err) == (0, f"{older} went from schema {was} to {now}\n")
    assert older.with_name(f"state.db.v{was}.bak").exists()
    assert filed.call("state", "migrate", "--json").json == {"from": now, "to": now}


def test_an_older_state_is_not_copied_since_that_would_change_it(filed: Keep, older: Path) -> None:
    before = older.read_bytes()
    done = filed.copy(filed.state, filed.urls("sqlite"))
    assert (done.code, "state migrate" in done.err) == (4, True)
    assert older.read_bytes() == before


@pytest.mark.parametrize("words", ["info", "check", "prune", "migrate", "backup b.db", "copy {state} {goal}"])
def test_a_newer_state_is_refused_untouched(keep: Keep, words: str) -> None:
    with closing(open_store(keep.state, create=True)) as store:
        store._db.rows("UPDATE meta SET version = 99, min_reader = 98")  # type: ignore[attr-defined]
    goal = keep.urls("sqlite")
    done = keep.call("state", *words.format(state=keep.state, goal=goal).split())
    assert done.code == 7
    assert f"has schema 99, for a jobrunner that knows 98; this one knows {schema.newest()}" in done.err
    assert "install the newer jobrunner again; nothing was touched" in done.err
    assert not file_of(goal).exists()


def test_one_that_only_grew_can_be_looked_at_and_not_be_copied_in_part(keep: Keep) -> None:
    keep.furnish()
    with closing(open_store(keep.state)) as store:
        store._db.rows("UPDATE meta SET version = 99")  # type: ignore[attr-defined]
    assert keep.call("state", "info", "--json").json["version"] == 99
    assert keep.call("state", "check").code == 0
    done = keep.copy(keep.state, keep.urls("sqlite"))
    assert (done.code, "has schema 99, for a jobrunner that knows 99" in done.err) == (7, True)
    if keep.kind == "postgres":
        assert keep.call("state", "backup", "b.db").code == 7
        assert list(keep.house.root.glob("b.db*")) == []


def test_of_two_kinds_each_command_of_the_family_explains_itself(house: House) -> None:
    for name in ("info", "backup", "check", "prune", "migrate", "copy"):
        done = house.call("state", name, "--help")
        assert (done.code, f"jobrunner state {name}" in done.out.partition("Examples:")[2]) == (0, True), name
    assert house.call("state").code == 2
    assert house.call("state", "nope").code == 2
