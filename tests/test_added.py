"""Jobs that code adds, without a file: what is kept, who holds them, and who wins over them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobrunner import added, connect, definitions, presence, schedules, settings
from jobrunner.clock import SECOND, SystemClock
from jobrunner.discovery.catalog import Catalog, Gathered
from jobrunner.errors import BadArgument, ConfigError, NotYetSupported, ScheduleError
from jobrunner.registry import Registry
from jobrunner.store import open_store
from jobrunner.store.values import AddedJob
from tests.lifecycle.project import Project, stop, wait_until

SECONDLY, YEARLY = "* * * * * *", "0 0 1 1 *"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    made.job("other", schedule=YEARLY)
    yield made
    made.end()


def module(project: Project, text: str = "ran", path: str = "tasks.py") -> None:
    """Write a module whose function `work` notes a text."""
    file = project.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        f"def work():\n    with open({str(project.out)!r}, 'a') as file:\n        file.write('{text}\\n')\n"
    )


def add(project: Project, name: str, target: str = "tasks:work", **config: Any) -> bool:
    """Add a job as code of another process does."""
    with closing(open_store(f"sqlite:///{project.root}/.jobrunner/state.db", create=True)) as store:
        new = store.add_job(added.check(name, target, {"schedule": SECONDLY, **config}), SystemClock().now())
    presence.ring(project.root / ".jobrunner" / "nodes")
    return new


def remove(project: Project, name: str) -> bool:
    with closing(open_store(f"sqlite:///{project.root}/.jobrunner/state.db")) as store:
        gone = store.remove_job(name)
    presence.ring(project.root / ".jobrunner" / "nodes")
    return gone


def up(project: Project) -> None:
    """Start a node and wait until it works."""
    project.start()
    wait_until(lambda: project.ls("other")["nextExecutionAt"] and _joined(project), "a node")


def _joined(project: Project) -> bool:
    if not (project.root / ".jobrunner" / "state.db").exists():
        return False
    with project.state() as state:
        return bool(state.execute("SELECT count(*) FROM holdings").fetchone()[0])


def ran(project: Project, text: str = "ran") -> None:
    wait_until(lambda: text in project.notes(), f"a run that says {text}")


def held(project: Project, name: str) -> bool:
    with project.state() as state:
        found = state.execute(
            "SELECT count(*) FROM holdings JOIN jobs ON jobs.id = job_id WHERE name = ?", (name,)
        )
        return bool(found.fetchone()[0])


# --- what is kept -------------------------------------------------------------------------------


def test_a_config_is_kept_as_plain_json_with_canonical_keys() -> None:
    found = added.check(
        "a",
        "shop.orders:sync",
        {"schedule": schedules.every(30).minutes, "timeout": timedelta(minutes=1), "stall_after": "5m"},
    )
    assert (found.name, found.target) == ("a", "shop.orders:sync")
    assert found.config == {"schedule": "every 30m", "timeout": 60.0, "stallAfter": "5m"}
    assert json.loads(json.dumps(found.config)) == found.config


@pytest.mark.parametrize(
    ("name", "config", "kind", "said"),
    [
        ("a b", {}, ConfigError, "a b"),
        ("jobrunner.prune", {}, ConfigError, "jobrunner."),
        ("17", {}, ConfigError, "digits"),
        ("a", {"timeuot": 5}, ConfigError, "timeuot"),
        ("a", {"timeout": -1}, ConfigError, "timeout"),
        ("a", {"schedule": "every never"}, ScheduleError, "never"),
        ("a", {"shift": "next-business-day"}, NotYetSupported, "shift"),
        ("a", {"params": {"x": object()}}, ConfigError, "params"),
        ("a", {"name": "b"}, BadArgument, "name"),
    ],
)
def test_a_config_that_no_file_could_have_is_refused_by_its_key(
    name: str, config: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        added.check(name, "shop:sync", {"schedule": None, **config})


def test_a_misspelt_key_is_answered_with_the_right_one() -> None:
    with pytest.raises(ConfigError) as raised:
        added.check("a", "shop:sync", {"schedule": None, "timeuot": 5})
    assert raised.value.hint == 'did you mean "timeout"?'
    assert raised.value.file is None


@pytest.mark.parametrize(
    "target",
    [
        "",
        "shop",
        "shop:",
        ":sync",
        "shop/orders:sync",
        "shop:sync()",
        "shop.:sync",
        "a b:c",
        "class:x",
        "__main__:sync",
    ],
)
def test_a_target_that_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(BadArgument) as raised:
        added.check("a", target, {"schedule": None})
    assert raised.value.argument == "target"


def test_a_function_itself_is_no_target_and_the_error_names_its_address() -> None:
    with pytest.raises(BadArgument) as raised:
        added.check("a", up, {"schedule": None})  # type: ignore[arg-type]
    assert raised.value.hint is not None
    assert "test_added:up" in raised.value.hint


# --- where its module is ------------------------------------------------------------------------


def test_a_module_is_found_without_a_line_of_it_or_of_its_packages_being_executed(tmp_path: Path) -> None:
    package = tmp_path / "shop_of_ours" / "inner"
    package.mkdir(parents=True)
    for file in (package.parent / "__init__.py", package / "__init__.py", package / "orders.py"):
        file.write_text("raise SystemExit('executed')")
    before = set(sys.modules)
    assert added.module_file("shop_of_ours.inner.orders:sync", str(tmp_path)) == str(package / "orders.py")
    assert added.module_file("shop_of_ours.inner.nothing:sync", str(tmp_path)) is None
    assert added.module_file("shop_of_ours.inner.orders.deeper:sync", str(tmp_path)) is None
    assert {name for name in set(sys.modules) - before if "shop" in name} == set()


def test_modules_of_folders_without_init_and_those_of_python_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "loose_folder" / "deeper"
    folder.mkdir(parents=True)
    (folder / "orders.py").write_text("")
    assert added.module_file("loose_folder.deeper.orders:sync", str(tmp_path)) == str(folder / "orders.py")
    assert added.module_file("time:sleep", str(tmp_path)) == ""
    assert added.module_file("json.decoder:JSONDecoder.decode", str(tmp_path)) is not None


# --- beside the files ---------------------------------------------------------------------------


def load(project: Project, *jobs: AddedJob, **more: Any) -> Registry:
    found = settings.load({"project": str(project.root), "timezone": "UTC"}, {})
    return Registry.load(found._replace(added=jobs, **more))


JOB = AddedJob("a", "tasks:work", {"schedule": YEARLY})


def test_an_edit_of_its_module_makes_another_definition_and_nothing_else_does(project: Project) -> None:
    module(project)
    first = load(project, JOB).find("a")
    assert load(project, JOB).find("A").hash == first.hash
    module(project, "otherwise")
    assert load(project, JOB).find("a").hash != first.hash
    assert (first.file, first.path, first.target) == ("", "", "tasks:work")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def work(to: str, times: int = 1): pass\n", ["to", "times"]),
        ("async def work(*, to): pass\n", ["to"]),
        ("def work(ctx, **more): pass\n", ["**"]),
        ("def work(to): pass\nwork = print\n", None),  # nobody can tell what it is in the end
        ("from elsewhere import work\n", None),
        ("import functools\n\n\n@functools.cache\ndef work(to): pass\n", None),
        ("class Tasks:\n    def work(self, to): pass\n", None),
        ("def work(:\n", None),
    ],
)
def test_what_its_function_takes_is_read_from_the_module_and_nothing_is_executed(
    project: Project, text: str, names: list[str] | None
) -> None:
    module(project, path="shop/__init__.py", text="raise SystemExit")
    (project.root / "shop" / "tasks.py").write_text(text + "open('ran', 'w').close()\n")
    job = load(project, AddedJob("work", "shop.tasks:work", {"schedule": None})).find("work")
    assert (None if job.parameters is None else [one.name for one in job.parameters]) == names
    assert not (project.root / "ran").exists()


def test_a_call_of_an_added_job_is_held_to_what_its_function_takes(project: Project) -> None:
    (project.root / "tasks.py").write_text('def work(to: str):\n    """Send a mail.\n\n    Or not."""\n')
    with connect(project=project.root) as client:
        assert client.get_or_add("work", "tasks:work", schedule=None).description == "Send a mail."
        with pytest.raises(BadArgument, match="subject") as raised:
            client.run_after(1, "work", subject="x")
        assert raised.value.argument == "subject"
        assert client.run_after(1, "work", to="ana") == 1


def test_another_signature_is_another_definition_wherever_the_module_lies(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("installed")
    monkeypatch.syspath_prepend(str(elsewhere))
    monkeypatch.syspath_prepend(str(tmp_path_factory.mktemp("first")))  # a run leaves out the first one
    job = AddedJob("work", "installed_tasks:work", {"schedule": None})
    seen = []
    for text in ("def work(a): pass\n", "def work(a): return 1\n", "def work(a, b): pass\n"):
        (elsewhere / "installed_tasks.py").write_text(text)
        seen.append(load(project, job).find("work").hash)
    assert (seen[0] == seen[1], seen[1] == seen[2]) == (True, False)


def test_overrides_reach_it_and_one_that_cannot_be_is_a_problem_of_its_name(project: Project) -> None:
    assert load(project, JOB, stored={"A": {"timeout": 3}}).find("a").timeout == 3 * SECOND
    (project.root / "jobrunner.yaml").write_text("jobs:\n  a:\n    timezone: Nowhere\n")
    registry = load(project, JOB)
    (problem,) = registry.problems
    assert (problem.name, problem.file, problem.line) == ("a", "jobrunner.yaml", 3)
    assert [each.name for each in registry.summaries] == ["other"]


def test_an_override_in_jobrunner_yaml_of_an_added_job_names_no_unknown_job(project: Project) -> None:
    (project.root / "jobrunner.yaml").write_text("jobs:\n  A:\n    timeout: 3s\n")
    (project.root / ".jobrunner").mkdir()  # so that there is a cache, with the opposite in it
    wait_until(lambda: _vouches(project), "a cache that vouches for the opposite")
    assert load(project, JOB).problems == []
    wait_until(lambda: _vouches(project, JOB), "a cache that vouches for that")
    assert len(load(project).problems) == 1


def _vouches(project: Project, *jobs: AddedJob) -> bool:
    """Load, and say whether the stamps in the cache are old enough to be believed."""
    load(project, *jobs)
    entries = project.root / ".jobrunner" / "cache" / "entries.json"
    return all(json.loads(entries.read_bytes()[9:])["stamps"])


@pytest.mark.parametrize("config", [{}, {"name": "b", "formerNames": ["A"]}])
def test_a_file_of_its_name_or_that_once_had_it_wins_and_that_is_said(
    project: Project, config: dict[str, Any]
) -> None:
    named = {"name": "a", **config}
    project.job(**named)
    registry = load(project, JOB)
    assert registry.summary(named["name"]).file
    (problem,) = registry.problems
    assert (problem.file, problem.name) == ("added a", None)
    assert f"jobs/{named['name']}.py" in problem.message
    assert [each.name for each in registry.summaries] == [named["name"], "other"]


def test_a_broken_file_of_its_name_wins_too(project: Project) -> None:
    project.job("a", schedule="every never")
    registry = load(project, JOB)
    assert [each.name for each in registry.summaries] == ["other"]
    assert {each.file for each in registry.problems} == {"jobs/a.py", "added a"}


def test_of_two_added_jobs_a_former_name_gives_way_to_a_name(project: Project) -> None:
    later = AddedJob("b", "tasks:work", {"schedule": None, "formerNames": ["a"]})
    registry = load(project, JOB, later)
    assert [each.name for each in registry.summaries] == ["a", "other"]
    (problem,) = registry.problems
    assert problem.file == "added b"


# --- with nodes ---------------------------------------------------------------------------------


def test_a_job_that_is_added_while_a_node_works_runs_by_its_schedule_within_two_seconds(
    project: Project,
) -> None:
    module(project)
    up(project)
    before = SystemClock().now()
    assert add(project, "late")
    ran(project)
    with project.state() as state:
        (first,) = state.execute("SELECT min(scheduled_for) FROM runs").fetchone()
    assert first - before <= 2 * SECOND
    job = project.ls("late")
    assert (job["file"], job["target"], job["state"]) == ("", "tasks:work", "active")


def test_it_survives_a_restart_and_a_second_adding_changes_nothing(project: Project) -> None:
    module(project)
    assert add(project, "kept", params={"x": 1})
    assert not add(project, "KEPT", "tasks:other", schedule=YEARLY)
    up(project)
    ran(project)
    stop(project.nodes[-1])
    count = len(project.notes())
    up(project)
    wait_until(lambda: len(project.notes()) > count, "a run after the restart")
    assert project.ls("kept")["schedule"] == SECONDLY


def test_a_removed_job_is_dropped_and_its_history_stays_until_it_is_forgotten(project: Project) -> None:
    module(project)
    up(project)
    add(project, "gone")
    ran(project)
    assert project.run("forget", "gone").returncode == 4
    assert remove(project, "Gone")
    wait_until(lambda: not held(project, "gone"), "the node to drop it")
    wait_until(lambda: project.ls("gone")["state"] == "orphan", "it to be nobody's")
    assert project.ls("gone")["stateReason"] == "it was removed"
    assert "was removed" in project.run("run", "gone", check=3).stderr
    rows = project.history("gone")
    assert rows and {row["state"] for row in rows} == {"succeeded"}
    project.run("forget", "gone", check=0)
    assert project.run("history", "gone").returncode == 3


def test_a_run_of_a_removed_job_ends_well(project: Project) -> None:
    (project.root / "tasks.py").write_text(
        "import pathlib, time\n\n\ndef work():\n"
        f"    pathlib.Path({str(project.out)!r}).write_text('begun\\n')\n"
        f"    while not pathlib.Path({str(project.root / 'go')!r}).exists():\n        time.sleep(0.01)\n"
    )
    up(project)
    add(project, "slow")
    ran(project, "begun")
    remove(project, "slow")
    wait_until(lambda: not held(project, "slow"), "the node to drop it")
    (project.root / "go").touch()
    wait_until(lambda: "succeeded" in {row["state"] for row in project.history("slow")}, "its end")


def test_a_job_whose_module_is_not_here_is_not_held_and_that_is_said(project: Project) -> None:
    add(project, "lost", "no_such.module:work")
    up(project)
    wait_until(lambda: "lost is not held here: its module no_such.module" in project.words(), "a line of it")
    assert not held(project, "lost")
    assert project.history("lost") == []
    found = project.run("doctor", "lost", check=1)
    assert "its module no_such.module cannot be found" in found.stdout
    assert "cannot be found" in project.run("why", "lost", check=0).stdout


def test_a_module_that_appears_later_is_found_by_a_watching_node(project: Project) -> None:
    (project.root / "shop").mkdir()
    up_watching(project)
    add(project, "soon", "shop.tasks:work")
    wait_until(lambda: "soon is not held here" in project.words(), "a line of it")
    module(project, path="shop/tasks.py")
    ran(project)


def up_watching(project: Project) -> None:
    project.start("--watch")
    wait_until(lambda: _joined(project), "a node")


def test_an_edit_of_its_module_is_what_the_next_run_runs_and_a_new_definition(project: Project) -> None:
    module(project, path="shop/tasks.py")
    up_watching(project)
    add(project, "edited", "shop.tasks:work")
    ran(project)
    module(project, "another text", path="shop/tasks.py")
    ran(project, "another text")
    wait_until(lambda: "job-updated" in project.run("audit", "edited").stdout, "the node to notice")


def test_a_file_of_its_name_takes_its_place_in_a_running_node(project: Project) -> None:
    module(project)
    up_watching(project)
    add(project, "both")
    ran(project)
    project.job("both", "note('from the file')")
    ran(project, "from the file")
    assert project.ls("both")["file"] == "jobs/both.py"
    wait_until(lambda: "a job file comes before an added job" in project.words(), "a line of it")
    assert "added both" in project.run("check", "--static", check=1).stdout


def test_a_call_of_an_added_job_that_no_node_holds_yet_waits_for_one(project: Project) -> None:
    from jobrunner.store.values import Call

    up(project)
    add(project, "called", schedule=None)
    wait_until(lambda: "called is not held here" in project.words(), "a line of it")
    job = load(project, AddedJob("called", "tasks:work", {"schedule": None})).find("called")
    now = SystemClock().now()
    with closing(open_store(f"sqlite:///{project.root}/.jobrunner/state.db")) as store:
        store.enroll(job, now)
        run_id = store.call(Call(at=now), job, now)
    add(project, "next", schedule=None)
    wait_until(lambda: "next is not held here" in project.words(), "the node to have looked around")
    stop(project.nodes[-1])
    assert [row["state"] for row in project.history("called")] == ["pending"]
    module(project)
    up(project)
    ran(project)
    wait_until(lambda: project.history("called")[0]["state"] == "succeeded", "its end")
    assert project.history("called")[0]["id"] == run_id


# --- by hand ------------------------------------------------------------------------------------


def test_all_that_works_for_a_job_of_a_file_works_for_it(project: Project) -> None:
    module(project)
    add(project, "a", schedule=YEARLY)
    project.run("run", "a", check=0)
    assert project.notes() == ["ran"]
    assert "tasks:work" in project.run("show", "a", check=0).stdout
    assert "01-01" in project.run("next", "a", "-n", "1", check=0).stdout
    assert project.run("check", check=0).stdout == "2 jobs, no problems\n"
    project.run("disable", "a", check=0)
    assert project.ls("a")["state"] == "disabled"
    project.run("enable", "a", check=0)
    project.run("set", "a", "schedule=@daily", "timeout=5s", check=0)
    assert (project.ls("a")["schedule"], project.ls("a")["state"]) == ("@daily", "active")
    assert "code that has added it" in project.run("forget", "a", check=4).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def other(): pass", "work"),
        ("raise OSError('no disk')", "no disk"),
        ("def work(lacking): pass", "lacking"),
        ("def work():\n    yield", "generator"),
    ],
)
def test_check_imports_its_module_and_names_what_is_wrong(project: Project, text: str, said: str) -> None:
    (project.root / "tasks.py").write_text(text)
    add(project, "a", schedule=YEARLY)
    found = project.run("check", "a", check=1).stdout
    assert "added a: " in found
    assert said in found
    assert project.run("check", "a", "--static", check=0)


def test_a_project_without_a_job_file_can_have_added_jobs_only(project: Project) -> None:
    for file in project.jobs.iterdir():
        file.unlink()
    project.jobs.rmdir()
    module(project)
    add(project, "alone")
    project.start()
    ran(project)


# --- while files are read -----------------------------------------------------------------------


def test_a_wrong_override_leaves_the_job_that_a_node_holds_as_it_was(project: Project) -> None:
    module(project)
    before = definitions.of_registry(load(project, JOB))
    (project.root / "jobrunner.yaml").write_text("jobs:\n  a:\n    timezone: Nowhere\n")
    again = settings.load({"project": str(project.root), "timezone": "UTC"}, {})
    after = definitions.reload(before, again._replace(added=[JOB]))
    assert (after.jobs["a"], after.kept) == (before.jobs["a"], ("a",))
    removed = definitions.reload(after, again)
    assert "a" not in removed.jobs


def test_while_a_file_is_unread_that_had_its_name_the_added_job_does_not_take_its_place(
    project: Project,
) -> None:
    module(project)
    (project.jobs / "a.py").write_text(
        'NAME = "a"\nconfig = {"name": NAME + "", "schedule": "0 0 1 1 *"}\n\n\ndef default():\n    pass\n'
    )
    before = definitions.of_registry(load(project, JOB), keep_sources=True)
    assert before.jobs["a"].file == "jobs/a.py"
    with (project.jobs / "a.py").open("a") as file:
        file.write("# edited\n")
    unhurried = before.settings._replace(import_limit=0)
    catalog = Catalog(unhurried, SystemClock())
    after = definitions.renew(before, Gathered(before.settings, catalog.entries(), catalog.around))
    assert after.jobs["a"].file == "jobs/a.py"
