"""The client for Python: the verbs of the command line, from threads and processes, beside real nodes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobrunner import Client, connect
from jobrunner.client.connections import Connections
from jobrunner.errors import (
    BadArgument,
    ConfigError,
    JobrunnerError,
    NotEnded,
    Refused,
    StateError,
    UnknownJob,
    UnknownRun,
)
from jobrunner.schedules import every
from jobrunner.store import open_store
from tests.lifecycle.project import Project, stop, wait_until


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in [name for name in os.environ if name.startswith("JOBRUNNER_")]:
        monkeypatch.delenv(name)
    found = Project(tmp_path)
    yield found
    found.end()


@pytest.fixture
def client(project: Project) -> Iterator[Client]:
    with connect(project=project.root) as found:
        yield found


def on_demand(project: Project, name: str = "job", body: str = "note('ran')", **config: Any) -> None:
    project.job(name, body, schedule=None, **config)


def state_of(project: Project) -> Path:
    return project.root / ".jobrunner" / "state.db"


# -- what it opens -----------------------------------------------------------------------------------------


def test_looking_makes_no_state_and_neither_does_what_is_refused(project: Project, client: Client) -> None:
    on_demand(project)
    assert [job.name for job in client.jobs()] == ["job"]
    assert (client.runs(), client.pending(), client.runs("job"), client.resume()) == ([], [], [], False)
    for refused in (
        lambda: client.run(1),
        lambda: client.trigger("jbo"),
        lambda: client.run_after(-1, "job"),
        lambda: client.update("job", schedule="61 * * * *"),
    ):
        with pytest.raises(JobrunnerError):
            refused()
    with pytest.raises(Refused):
        client.remove("job")
    assert not client.remove("nobody")
    assert not state_of(project).exists()


def test_the_project_is_the_one_around_the_working_folder_or_that_the_state_lies_in(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_demand(project)
    monkeypatch.chdir(project.root)
    with connect() as client:
        assert [job.name for job in client.jobs()] == ["job"]
        run_id = client.trigger("job")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with connect(f"sqlite:///{state_of(project)}") as client:
        assert [(job.name, job.state) for job in client.jobs()] == [("job", "on-demand")]
        assert client.run(run_id).job == "job"
    monkeypatch.setenv("JOBRUNNER_STATE", f"sqlite:///{state_of(project)}")
    with connect() as client:
        assert client.run(run_id).state == "pending"


def test_without_job_files_a_client_goes_by_what_nodes_have_registered(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_demand(project, "far", "note(str(ctx.params['n']))", params={"n": 1})
    away = tmp_path_factory.mktemp("away")
    state = f"sqlite:///{away}/state.db"
    project.environment["JOBRUNNER_STATE"] = state
    project.start()
    monkeypatch.chdir(away)
    with connect(state) as client:
        wait_until(client.jobs, "the job to be registered")
        assert [(job.name, job.state) for job in client.jobs()] == [("far", "on-demand")]
        assert client.wait(client.trigger("far", n=7), timeout="60s").state == "succeeded"
        assert project.notes() == ["7"]
        with pytest.raises(UnknownJob, match="there is no job 'fra'") as caught:
            client.trigger("fra")
        assert caught.value.hint == 'did you mean "far"?'


def test_a_closed_client_says_so(project: Project) -> None:
    on_demand(project)
    with connect(project=project.root) as client:
        client.trigger("job")
    client.close()
    with pytest.raises(StateError, match="closed"):
        client.runs()


def test_threads_share_a_client_and_each_call_is_made_once(project: Project, client: Client) -> None:
    on_demand(project, concurrency="allow")
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.append(client.run_after("1h", "job"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(run.id for run in client.pending())
    assert len(set(made)) == 20


def test_many_calls_are_made_at_once_or_none_of_them(project: Project, client: Client) -> None:
    text = 'config = {"name": "job", "schedule": None}\ndef default(n: int):\n    return n\n'
    (project.jobs / "job.py").write_text(text)
    ids = client.run_many("job", ({"n": n} for n in range(1000)), delay="1h")
    assert [(run.id, run.params) for run in client.pending()] == [(i, {"n": n}) for n, i in enumerate(ids)]
    assert client.run_many("job", []) == []
    for wrong in ({"n": "x"}, {"m": 1}, {}, {"n": float("nan")}):
        with pytest.raises(BadArgument):
            client.run_many("job", [{"n": 1}, wrong])
    with pytest.raises(UnknownJob):
        client.run_many("jab", [{"n": 1}])
    assert len(client.pending()) == 1000


def test_a_forked_process_goes_on_with_a_connection_of_its_own(project: Project, client: Client) -> None:
    on_demand(project)
    first = client.run_after("1h", "job")
    child = os.fork()
    if child == 0:
        try:
            client.run_after("2h", "job")
        finally:
            os._exit(int(client.run(first).state != "pending"))
    assert os.waitpid(child, 0)[1] == 0
    assert len(client.pending()) == 2
    open_store(client.settings.state).healthy()


def test_a_store_is_shared_neither_by_threads_nor_by_processes(project: Project, client: Client) -> None:
    connections = Connections(client.settings)
    mine, others = connections.store(), list[object]()
    assert connections.store() is mine
    thread = threading.Thread(target=lambda: others.append(connections.store()))
    thread.start()
    thread.join()
    assert others != [mine]
    child = os.fork()
    if child == 0:
        os._exit(int(connections.store() is mine))
    assert os.waitpid(child, 0)[1] == 0
    connections.close()


# -- calls and triggers ------------------------------------------------------------------------------------


def test_a_call_keeps_its_moment_and_its_params(project: Project, client: Client) -> None:
    on_demand(project, params={"n": 0})
    when = datetime(2030, 5, 1, 9, tzinfo=UTC)
    first = client.run_at(when, "JOB", n=1)
    second = client.run_after(timedelta(hours=1), "job", params={"n": 2})
    assert [(run.id, dict(run.params)) for run in client.pending("job")] == [
        (second, {"n": 2}),
        (first, {"n": 1}),
    ]
    assert client.run(first).effective_at == when
    assert client.run(first).trigger == "call"
    past = client.run(client.run_at(0.0 + when.timestamp() - 4 * 366 * 86_400, "job"))
    assert past.effective_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("ask", "argument"),
    [
        (lambda c: c.run_after(-1, "job"), "delay"),
        (lambda c: c.run_after("soon", "job"), "delay"),
        (lambda c: c.run_at(datetime(2030, 5, 1), "job"), "when"),
        (lambda c: c.run_at(1e12, "job"), "when"),
        (lambda c: c.trigger("job", n={1, 2}), "n"),
        (lambda c: c.trigger("job", params={"n": 1}, n=2), "n"),
        (lambda c: c.trigger("job", params=[1]), "params"),
        (lambda c: c.trigger("job", force=1), "force"),
        (lambda c: c.trigger(7), "name"),
        (lambda c: c.run("1"), "run_id"),
        (lambda c: c.runs(states=["done"]), "states"),
        (lambda c: c.runs(limit=0), "limit"),
        (lambda c: c.runs(since=datetime(2030, 5, 1)), "since"),
        (lambda c: c.wait(c.run_after(1, "job"), timeout="x"), "timeout"),
        (lambda c: c.update("job", unset=["tags"]), "unset"),
        (lambda c: c.get_or_add("new", "no address"), "target"),
    ],
)
def test_a_bad_argument_is_named(
    project: Project, client: Client, ask: Callable[[Client], object], argument: str
) -> None:
    on_demand(project)
    with pytest.raises(BadArgument) as caught:
        ask(client)
    assert caught.value.argument == argument


def test_a_param_that_the_function_does_not_take_is_refused(project: Project, client: Client) -> None:
    (project.jobs / "typed.py").write_text(
        'config = {"name": "typed", "schedule": None}\ndef default(order: int):\n    return order\n'
    )
    with pytest.raises(BadArgument, match='typed has no param "odrer"'):
        client.run_after(1, "typed", odrer=1)
    with pytest.raises(BadArgument, match="is no int"):
        client.trigger("typed", order="x")


def test_a_param_that_nothing_can_bring_is_asked_for(project: Project, client: Client) -> None:
    text = 'config = {"name": "typed", "schedule": None}\ndef default(order: int):\n    return order\n'
    (project.jobs / "typed.py").write_text(text)
    for ask in (partial(client.trigger, "typed"), partial(client.run_after, 1, "typed")):
        with pytest.raises(BadArgument, match='typed needs the param "order"') as caught:
            ask()
        assert (caught.value.argument, caught.value.hint) == ("order", "give it: order=…")
    assert not state_of(project).exists()
    (project.root / "services.py").write_text("def register(container): pass\n")
    assert client.run(client.trigger("typed")).state == "pending"


def test_an_added_job_takes_what_its_function_says_though_nobody_imports_it_here(
    project: Project, client: Client
) -> None:
    (project.root / "tasks.py").write_text("raise SystemExit\ndef work(order: int): ...\n")
    client.get_or_add("added", "tasks:work", schedule=None)
    for given, said in (
        ({"order": "x"}, "is no int"),
        ({"odrer": 1}, 'no param "odrer"'),
        ({}, 'needs the param "order"'),
    ):
        with pytest.raises(BadArgument, match=said):
            client.trigger("added", params=given)
    assert client.trigger("added", order=1)
    (project.root / "tasks.py").write_text("work = lambda *args: None\n")
    with connect(project=str(project.root)) as later:  # this one has read the file a moment ago
        assert later.run_after(1, "added", anything=1)


@pytest.mark.parametrize(("how", "said"), [("url", "url is"), ("project", "project is")])
def test_what_connect_cannot_use_is_called_as_its_argument_is(how: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said} ") as caught:
        connect(**{how: "nonsense"})
    assert "--" not in f"{caught.value} {caught.value.hint}"


def test_a_trigger_is_refused_with_the_reason_unless_it_is_forced(project: Project, client: Client) -> None:
    on_demand(project)
    client.update("job", enabled=False, reason="the shop is down")
    with pytest.raises(Refused, match=r"job is disabled by .*: the shop is down"):
        client.trigger("job")
    client.update("job", enabled=True)
    client.pause("moving")
    with pytest.raises(Refused, match=r"all is paused by .*: moving, job too") as caught:
        client.trigger("job", queue=True)
    assert caught.value.hint == "force=True runs it all the same"
    assert client.resume()
    first = client.trigger("job")
    with pytest.raises(Refused, match=f"job is busy: run {first} is pending") as caught:
        client.trigger("job")
    assert caught.value.hint == "queue=True lets it wait for the end of that, force=True runs it beside it"
    assert [
        client.run(client.trigger("job", queue=True)).state,
        client.run(client.trigger("job", force=True)).state,
    ] == ["pending"] * 2


def test_a_triggered_run_is_waited_for_and_told_whole(project: Project, client: Client) -> None:
    on_demand(
        project, body="print('hello')\nreturn {'n': ctx.params['n'], 'who': ctx.identity}", params={"n": 1}
    )
    project.start()
    run = client.wait(client.trigger("job", n=2, identity="ana"), timeout=60)
    assert (run.state, run.result, run.trigger, run.attempt) == (
        "succeeded",
        {"n": 2, "who": "ana"},
        "manual",
        1,
    )
    assert client.logs(run.id) == "hello\n"
    assert run.started_at is not None and run.started_at.tzinfo is UTC
    assert client.job("job").last_status == "succeeded"
    assert [one.id for one in client.runs("job", states=["succeeded"], limit=1)] == [run.id]


def test_who_waits_for_a_run_waits_for_its_retries_too(project: Project, client: Client) -> None:
    on_demand(project, body="assert ctx.attempt == 2", retries={"max": 1, "delay": "200ms"})
    project.start()
    run_id = client.trigger("job")
    run = client.wait(run_id, timeout=60)
    assert (run.state, run.attempt, run.root_id) == ("succeeded", 2, run_id)


def test_waiting_in_vain_ends_with_a_timeout_error_and_leaves_the_run(
    project: Project, client: Client
) -> None:
    on_demand(project)
    run_id = client.trigger("job")
    with pytest.raises(NotEnded, match=r"has not ended in 0\.2 s") as caught:
        client.wait(run_id, timeout=0.2)
    assert isinstance(caught.value, TimeoutError)
    assert client.run(run_id).state == "pending"


def test_a_canceled_run_takes_the_calls_with_it_that_it_has_made(project: Project, client: Client) -> None:
    on_demand(project, "child")
    (project.jobs / "parent.py").write_text(
        'config = {"name": "parent", "schedule": None}\n'
        "def default(scheduler):\n"
        '    scheduler.run_after("1h", "child", immediate=True)\n'
        "    import time\n    time.sleep(60)\n"
    )
    project.start("--grace", "1s")
    parent = client.trigger("parent")
    calls = wait_until(lambda: client.pending("child"), "the call")
    assert [call.parent_id for call in calls] == [parent]
    assert client.cancel(parent) == "running"
    assert client.run(calls[0].id).state == "canceled"
    assert client.wait(parent, timeout=60).state == "canceled"
    assert client.cancel(parent) == "canceled"


def test_what_says_cancellable_false_is_canceled_by_force_only(project: Project, client: Client) -> None:
    on_demand(project, cancellable=False)
    run_id = client.trigger("job")
    with pytest.raises(Refused, match="cancellable: false"):
        client.cancel(run_id)
    assert client.cancel(run_id, force=True) == "canceled"
    with pytest.raises(UnknownRun):
        client.cancel(run_id + 1)


def test_a_step_that_waits_is_completed_from_outside(project: Project, client: Client) -> None:
    on_demand(project, body="return ctx.wait_for('approval')")
    project.start()
    run_id = client.trigger("job")
    wait_until(lambda: client.run(run_id).state == "waiting", "the run to wait")
    assert [(step.path, step.state) for step in client.steps(run_id)] == [("approval", "waiting")]
    with pytest.raises(Refused, match="it waits for approval"):
        client.complete(run_id, "aproval")
    client.complete(run_id, "approval", {"by": "ana"})
    assert client.wait(run_id, timeout=60).result == {"by": "ana"}
    second = client.trigger("job")
    wait_until(lambda: client.run(second).state == "waiting", "the run to wait")
    client.complete(second, "approval", error="too dear")
    ended = client.wait(second, timeout=60)
    assert ended.state == "failed" and ended.error is not None and "too dear" in ended.error["message"]


# -- changes -----------------------------------------------------------------------------------------------


def test_an_update_is_seen_by_the_command_line_and_leaves_a_trail(project: Project, client: Client) -> None:
    project.job("job", schedule="0 9 * * *")
    job = client.update("job", schedule=every(10).minutes, timeout=timedelta(minutes=5), params={"n": 1})
    assert (job.schedule, dict(job.overrides)["timeout"], job.overrides["params"]) == (
        "every 10m",
        300,
        {"n": 1},
    )
    assert project.ls("job")["schedule"] == "every 10m"
    with pytest.raises(ConfigError, match="61"):
        client.update("job", schedule="61 * * * *")
    assert client.update("job", unset=["schedule", "timeout", "params"]).schedule == "0 9 * * *"
    trail = project.run("audit", "job", check=0).stdout
    assert "schedule=" in trail and '"n"' not in trail


def test_a_job_that_code_adds_runs_and_is_removed(project: Project, client: Client) -> None:
    (project.root / "shop.py").write_text("def tidy(n=1):\n    return n\n")
    job = client.get_or_add("tidy", target="shop:tidy", schedule=None, params={"n": 3})
    assert (job.name, job.target, job.file, job.state) == ("tidy", "shop:tidy", "", "on-demand")
    assert client.get_or_add("TIDY", target="other:thing", schedule="@daily").target == "shop:tidy"
    project.start()
    assert client.wait(client.trigger("tidy"), timeout=60).result == 3
    assert (client.remove("tidy"), client.remove("tidy")) == (True, False)
    assert open_store(client.settings.state).notes("tidy")[0].action == "removed"


def test_a_job_that_a_file_defines_is_neither_added_nor_removed(project: Project, client: Client) -> None:
    on_demand(project)
    assert client.get_or_add("job", target="shop:tidy", schedule="@daily").file == "jobs/job.py"
    client.trigger("job")
    with pytest.raises(Refused, match=r"jobs/job\.py defines it"):
        client.remove("job")
    assert open_store(client.settings.state).added_jobs() == []


# -- never lost, never doubled -----------------------------------------------------------------------------


def test_a_trigger_is_done_once_when_its_node_dies_before_the_claim(project: Project, client: Client) -> None:
    on_demand(project)
    node = project.start(JOBRUNNER_TESTING="1", JOBRUNNER_FAILPOINT="after-claim:kill")
    run_id = client.trigger("job")
    assert node.wait(60) == -9
    assert client.run(run_id).state == "pending"
    assert project.notes() == []
    project.start()
    assert client.wait(run_id, timeout=60).state == "succeeded"
    assert project.notes() == ["ran"]
    assert [run.id for run in client.runs("job")] == [run_id]


@pytest.mark.parametrize("point", ["after-claim-commit", "body"])
def test_a_trigger_is_lost_and_never_doubled_when_its_node_dies_after_the_claim(
    project: Project, client: Client, point: str
) -> None:
    on_demand(project)
    node = project.start(JOBRUNNER_TESTING="1", JOBRUNNER_FAILPOINT=f"{point}:kill")
    run_id = client.trigger("job")
    assert node.wait(60) == -9
    project.start()
    assert client.wait(run_id, timeout=60).state == "lost"
    assert len(project.notes()) <= int(point == "body")
    assert [run.id for run in client.runs("job")] == [run_id]


def a_parent(project: Project, immediate: bool) -> None:
    on_demand(project, "child", "note(f'child {ctx.params[\"n\"]}')", params={"n": 0}, concurrency="allow")
    (project.jobs / "parent.py").write_text(
        'config = {"name": "parent", "schedule": None}\n'
        "def default(scheduler):\n"
        "    for n in (1, 2, 3):\n"
        f"        scheduler.run_after(0, 'child', n=n, immediate={immediate} and n == 2)\n"
        "    raise ValueError('no')\n"
    )


@pytest.mark.parametrize(("immediate", "ran"), [(False, []), (True, ["child 2"])])
def test_of_the_calls_of_a_parent_that_raises_only_the_immediate_one_runs(
    project: Project, client: Client, immediate: bool, ran: list[str]
) -> None:
    a_parent(project, immediate)
    on_demand(project, "last")
    project.start()
    parent = client.trigger("parent")
    assert client.wait(parent, timeout=60).state == "failed"
    for run in client.runs("child"):
        assert run.parent_id == parent
        client.wait(run.id, timeout=60)
    assert client.wait(client.trigger("last"), timeout=60).state == "succeeded"  # a turn of the node later
    assert [note for note in project.notes() if note != "ran"] == ran
    assert len(client.runs("child")) == len(ran)


# -- what it leaves alone ----------------------------------------------------------------------------------


HOST = """
import os, threading, time
from jobrunner import connect

go, ready = os.pipe()

def daemon():
    os.read(go, 1)
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        inner = os.fork()
        if not inner:
            time.sleep(600)
        os.write(tell, str(inner).encode())
        os._exit(0)
    os.waitpid(child, 0)
    found.append(int(os.read(told, 20)))

found = []
thread = threading.Thread(target=daemon)
thread.start()
os.write(ready, b"!")
with connect() as client:
    print([job.state for job in client.jobs()], os.path.exists("ran"))
thread.join()
os.kill(found[0], 9)  # it is there to be killed
"""


def test_a_client_executes_no_job_file_and_kills_no_process_of_its_program(project: Project) -> None:
    (project.jobs / "a.py").write_text(
        'import time\nopen("ran", "w").close()\ntime.sleep(2)\n'
        'config = dict(name="a", schedule=None)\n\n\ndef default(n: int = 0): pass\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", HOST], cwd=project.root, capture_output=True, text=True, timeout=60,
        check=False, env=project.env(),
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("['error'] False\n", "")


def test_a_job_whose_config_is_computed_is_known_once_a_node_has_registered_it(
    project: Project, client: Client
) -> None:
    file = project.jobs / "a.py"
    text = 'config = dict(name="a", schedule=None)\n\n\ndef default(n: int = 0): pass\n'
    file.write_text("from pathlib import Path\n" + text)
    with pytest.raises(ConfigError, match="computed"):
        client.trigger("a")
    project.start()
    wait_until(lambda: client.job("a").state == "on-demand", "the node to register it")
    assert [job.name for job in client.jobs()] == ["a"]
    assert client.job("a").file == "jobs/a.py"
    with pytest.raises(BadArgument, match="m"):
        client.run_after(1, "a", m=1)
    assert client.wait(client.trigger("a", n=1), timeout=60).state == "succeeded"
    assert client.get_or_add("a", "shop:sync", schedule=None).file == "jobs/a.py"
    with pytest.raises(Refused, match=r"jobs/a\.py"):
        client.remove("a")
    stop(project.nodes[-1])
    assert client.job("a").state == "on-demand"


# -- what it tells -----------------------------------------------------------------------------------------


def test_moments_are_exact_to_the_microsecond(project: Project, client: Client) -> None:
    on_demand(project)
    when = datetime(2031, 5, 1, 9, 30, 0, 123456, UTC)
    assert client.run(client.run_at(when, "job")).effective_at == when


def test_without_job_files_a_job_has_the_time_zone_of_the_node_that_registered_it(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.job("job", schedule="0 9 * * *")
    state = tmp_path_factory.mktemp("var") / "state.db"
    project.start("--state", f"sqlite:///{state}", "--timezone", "Asia/Tokyo")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("JOBRUNNER_TIMEZONE", "UTC")
    wait_until(state.exists, "the state")
    with connect(f"sqlite:///{state}") as client:
        wait_until(lambda: [job.name for job in client.jobs() if job.state == "active"], "the node to join")
        job = client.job("job")
        assert job.timezone == "Asia/Tokyo"
        assert job.next_execution_at is not None
        assert (job.next_execution_at.hour, job.next_execution_at.minute) == (0, 0)


def test_steps_are_told_without_secrets(
    project: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_demand(project, body="ctx.step('ask', str, os.environ['SHOP_TOKEN'])")
    secret = "s3cr3t-of-the-shop"
    with connect(project=project.root) as quiet:
        project.start(SHOP_TOKEN=secret)
        run = quiet.trigger("job")
        assert quiet.wait(run, timeout=60).state == "succeeded"
    monkeypatch.setenv("SHOP_TOKEN", secret)
    (step,) = client.steps(run)
    assert (step.path, secret in str(step)) == ("ask", False)


def test_the_end_of_a_log_that_was_cut_is_said(project: Project, client: Client) -> None:
    on_demand(project)
    run = client.trigger("job")
    project.start()
    assert client.wait(run, timeout=60).state == "succeeded"
    with closing(sqlite3.connect(state_of(project))) as state, state:
        state.execute("UPDATE runs SET log_bytes = log_bytes + 1000 WHERE id = ?", (run,))
    assert client.logs(run).endswith("[… 1,000 bytes cut …]\n")


def test_an_update_of_nothing_is_refused(project: Project, client: Client) -> None:
    on_demand(project)
    with pytest.raises(BadArgument, match="nothing to update"):
        client.update("job")
    assert not state_of(project).exists()
