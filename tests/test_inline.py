"""`run_inline`: a body in this process, with the container, the answers and the store that it always has."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Event, Thread
from typing import Any

import pytest

from jobrunner import PermanentFailure, Skip
from jobrunner.errors import BadArgument, UnknownJob
from jobrunner.simulation.inside import InnerLink
from jobrunner.testing import FakeClock, Runner, factory, run_inline

SERVICES = """
class Mailer:
    def send(self, text):
        raise RuntimeError("a test that sends mail")


def register(container):
    container.register("mailer", Mailer, "singleton")
    container.register("outbox", lambda mailer: [mailer], "singleton")
"""
MAIL = """
\"\"\"Send what there is to send.\"\"\"

config = {"name": "mail", "schedule": "0 9 * * *", "params": {"text": "hello"}, "retries": 3}


def default(mailer, text, ctx, logger):
    ctx.progress(1, 2, "sending")
    logger.info("sending %s", text)
    mailer.send(text)
    return {"sent": text}
"""


class FakeMailer:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobrunner.yaml").write_text("timezone: UTC\nsettings: {warehouse: test}\n")
    (tmp_path / "services.py").write_text(SERVICES)
    (tmp_path / "jobs" / "mail.py").write_text(MAIL)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    sys.modules.pop("services", None)


# --- what is run --------------------------------------------------------------------------------


def test_a_job_of_the_project_runs_by_its_name_or_its_file_with_services_overridden(project: Path) -> None:
    for what in ("Mail", "jobs/mail.py", project / "jobs" / "mail.py"):
        mailer = FakeMailer()
        run = run_inline(what, project=project, overrides={"mailer": mailer}, params={"text": "bye"})
        assert (run.job, run.state, run.result) == ("mail", "succeeded", {"sent": "bye"})
        assert mailer.sent == ["bye"]


def test_a_function_runs_as_if_it_were_a_job() -> None:
    def report(ctx: Any, rows: int, config: Any) -> list[Any]:
        return [ctx.job, rows, config["tags"]]

    run = run_inline(report, params={"rows": 3}, config={"tags": ["x"]})
    assert (run.job, run.result) == ("report", ["report", 3, ["x"]])


def test_an_async_function_and_a_lambda_are_functions_too() -> None:
    async def later(ctx: Any) -> str:
        return str(ctx.trigger)

    assert run_inline(later).result == "manual"
    assert run_inline(lambda: 5).result == 5


def test_a_file_without_config_is_a_body_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("def default(settings):\n    return dict(settings)\n")
    assert run_inline(file, project=tmp_path).result == {}


def test_a_file_of_a_folder_that_is_not_the_projects_keeps_its_config(project: Path) -> None:
    file = project / "more" / "extra.py"
    file.parent.mkdir()
    file.write_text(
        "config = {'name': 'extra', 'schedule': None, 'params': {'n': 4}}\n\n\n"
        "def default(n):\n    return n\n"
    )
    assert run_inline(file, project=project).result == 4


def test_what_is_no_job_is_named(project: Path) -> None:
    with pytest.raises(UnknownJob, match="'mial'"):
        run_inline("mial", project=project)
    with pytest.raises(BadArgument, match="config"):
        run_inline("mail", project=project, config={"tags": []})


# --- services -----------------------------------------------------------------------------------


def test_services_that_use_an_overridden_one_get_that(project: Path) -> None:
    (project / "jobs" / "box.py").write_text(
        "config = {'name': 'box', 'schedule': None}\n\n\ndef default(outbox, settings):\n"
        "    return [outbox[0], settings['warehouse']]\n"
    )
    assert run_inline("box", project=project, overrides={"mailer": "fake"}).result == ["fake", "test"]


def test_an_override_wins_over_what_virtualize_registers(project: Path) -> None:
    with (project / "services.py").open("a") as file:
        file.write("\n\ndef virtualize(container, params):\n    container.register('mailer', 'tenant')\n")
    mailer = FakeMailer()
    run_inline("mail", project=project, overrides={"mailer": mailer})
    assert mailer.sent == ["hello"]


def test_an_override_may_be_a_class_a_factory_or_a_service_of_jobrunners_own() -> None:
    made: list[int] = []

    def make() -> Iterator[str]:
        made.append(1)
        yield "database"
        made.append(2)

    def body(db: str, settings: Any, mailer: type) -> list[Any]:
        return [db, settings, mailer.__name__]

    run = run_inline(body, overrides={"db": factory(make), "settings": {"a": 1}, "mailer": FakeMailer})
    assert run.result == ["database", {"a": 1}, "FakeMailer"], "a class is a value, unless it is marked"
    assert made == [1, 2], "closed when the run has ended"


def test_a_body_runs_in_the_thread_of_the_test(tmp_path: Path) -> None:
    with sqlite3.connect(":memory:") as connection:

        def body(db: sqlite3.Connection) -> int:
            return int(db.execute("select 1").fetchone()[0])

        assert run_inline(body, overrides={"db": connection}).result == 1


# --- how it ends --------------------------------------------------------------------------------


def test_what_the_body_raises_is_raised_itself(project: Path) -> None:
    mistake = ValueError("no")

    def body() -> None:
        raise mistake

    with pytest.raises(ValueError, match="no") as raised:
        run_inline(body)
    assert raised.value is mistake
    with pytest.raises(RuntimeError, match="a test that sends mail"):
        run_inline("mail", project=project)


def test_without_raises_a_failure_is_data() -> None:
    def body() -> None:
        raise PermanentFailure("gone")

    run = run_inline(body, raises=False, config={"retries": 5})
    assert (run.state, type(run.error), run.result) == ("failed", PermanentFailure, None)
    assert run.failure is not None
    assert (run.failure["type"], run.failure["phase"]) == ("PermanentFailure", "body")


def test_a_skip_is_no_error() -> None:
    def body() -> None:
        raise Skip("nothing to do")

    run = run_inline(body)
    assert (run.state, run.reason, run.result, run.error) == ("skipped", "body", "nothing to do", None)


def test_a_failing_clean_up_is_raised_though_the_body_was_fine() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise OSError("still busy")

    with pytest.raises(Exception, match="still busy"):
        run_inline(lambda db: db, overrides={"db": factory(make)})


# --- what it leaves -----------------------------------------------------------------------------


def test_what_it_says_is_kept_and_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_inline("mail", project=project, overrides={"mailer": FakeMailer()})
    assert run.log.endswith("INFO sending hello\n")
    assert "sending hello" in capsys.readouterr().err
    assert run.progress[-1] == {"value": 1, "max": 2, "message": "sending"}


def test_its_records_reach_caplog(caplog: pytest.LogCaptureFixture) -> None:
    run_inline(lambda logger: logger.warning("careful"))
    assert [record.getMessage() for record in caplog.records] == ["careful"]


def test_state_is_given_and_read(project: Path) -> None:
    def body(state: Any) -> list[str]:
        state.set("seen", state.get("seen") + 1)
        return list(state.list())

    for delivery in ("at-most-once", "exactly-once"):
        run = run_inline(body, state={"seen": 4, "x": None}, config={"delivery": delivery})
        assert (run.result, run.documents) == (["seen", "x"], {"seen": 5, "x": None}), delivery


def test_calls_are_told_and_not_made() -> None:
    def body(scheduler: Any) -> None:
        scheduler.run_after("10m", "invoice", order=5)
        scheduler.run_after(0, "ship", immediate=True)

    clock = FakeClock("2026-01-01T00:00Z")
    run = run_inline(body, clock=clock)
    assert [(call.job, call.at, call.params, call.state) for call in run.calls] == [
        ("invoice", datetime(2026, 1, 1, 0, 10, tzinfo=UTC), {"order": 5}, "pending"),
        ("ship", datetime(2026, 1, 1, tzinfo=UTC), {}, "pending"),
    ]


def test_calls_of_a_run_that_fails_are_those_that_were_immediate() -> None:
    def body(scheduler: Any) -> None:
        scheduler.run_after("10m", "invoice")
        scheduler.run_after("10m", "alarm", immediate=True)
        raise ValueError("no")

    run = run_inline(body, raises=False)
    assert [call.job for call in run.calls] == ["alarm"]


def test_where_a_project_says_which_jobs_there_are_no_other_can_be_called(project: Path) -> None:
    with pytest.raises(UnknownJob, match="'mial'"):
        run_inline(lambda scheduler: scheduler.run_after(1, "mial"), project=project)
    assert (
        run_inline(lambda scheduler: scheduler.run_after(1, "mail"), project=project).calls[0].job == "mail"
    )


def test_the_clock_is_the_runs_and_stands_still() -> None:
    clock = FakeClock("2026-01-01T00:00Z")
    run = run_inline(lambda ctx: ctx.started_at.isoformat(), clock=clock)
    assert run.result == "2026-01-01T00:00:00+00:00"
    assert clock.now() == FakeClock("2026-01-01T00:00Z").now()


def test_a_run_can_look_as_one_by_schedule() -> None:
    def body(ctx: Any) -> list[Any]:
        return [ctx.trigger, ctx.scheduled_for.isoformat(), ctx.identity]

    run = run_inline(body, scheduled_for="2026-01-01T09:00Z", identity="ana")
    assert run.result == ["schedule", "2026-01-01T09:00:00+00:00", "ana"]


# --- steps --------------------------------------------------------------------------------------

undone: list[Any] = []


def refund(charged: int) -> None:
    undone.append(charged)


def test_steps_are_kept_and_taken_back_when_the_body_fails() -> None:
    def body(ctx: Any) -> None:
        ctx.step("charge", lambda: 40, undo=refund)
        ctx.step("ship", lambda: 1 / 0)

    undone.clear()
    run = run_inline(body, raises=False, config={"retries": 3})
    assert undone == [40]
    assert [(step.path, step.state, step.result, step.undone) for step in run.steps] == [
        ("charge", "done", 40, "done"), ("ship", "failed", None, None)
    ]  # fmt: skip
    assert run.state == "failed"
    assert isinstance(run.error, ZeroDivisionError)


def test_parallel_steps_are_threads_and_their_requests_are_answered() -> None:
    def body(ctx: Any, state: Any) -> list[int]:
        from jobrunner import workflow

        def count(number: int) -> int:
            state.set(str(number), number)
            return number

        return list(ctx.parallel(*(workflow.step(f"s{n}", count, n) for n in range(8))))

    run = run_inline(body)
    assert run.result == list(range(8))
    assert len(run.documents) == len(run.steps) == 8


def test_the_branches_of_a_body_speak_one_by_one() -> None:
    together = Barrier(2)
    met: list[bool] = []

    def node(*_: Any, **__: Any) -> list[dict[str, Any]]:
        try:
            together.wait(0.1)
            met.append(True)
        except BrokenBarrierError:
            met.append(False)
        return [{}]

    link = InnerLink(1, node)
    threads = [Thread(target=link.request, args=("state.get", {"key": "k"}, lambda: None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [False, False]


def test_a_step_that_waits_gets_its_event_or_the_run_waits() -> None:
    done: list[str] = []

    def body(ctx: Any) -> str:
        ctx.step("ask", done.append, "asked")
        return f"approved by {ctx.wait_for('approval')}"

    waiting = run_inline(body)
    assert (waiting.state, waiting.steps[-1].state) == ("waiting", "waiting")
    done.clear()
    run = run_inline(body, events={"approval": "ana"})
    assert (run.state, run.result) == ("succeeded", "approved by ana")
    assert done == ["asked"], "what was done before the wait is not done again"


# --- several runs, and the process around them --------------------------------------------------


def test_runs_of_one_runner_share_their_state_and_no_others() -> None:
    def body(ctx: Any, state: Any) -> list[Any]:
        first = ctx.once("greeting", lambda: "hello")
        seen, ctx.cursor = ctx.cursor, (ctx.cursor or 0) + 1
        state.set("n", state.get("n", 0) + 1)
        return [first, seen, state.get("n")]

    with Runner() as run:
        assert [run(body).result for _ in range(3)] == [["hello", None, 1], ["hello", 1, 2], ["hello", 2, 3]]
        assert run.documents == {"n": 3}
    assert run_inline(body).result == ["hello", None, 1]


def test_what_a_body_does_to_its_process_is_undone(tmp_path: Path) -> None:
    def body() -> None:
        os.chdir("/")
        os.environ["LEFT_BEHIND"] = "1"
        sys.path.insert(0, "/nowhere")
        sys.stdout = None

    before = os.getcwd(), list(sys.path), sys.stdout
    run_inline(body)
    assert (os.getcwd(), sys.path, sys.stdout) == before
    assert "LEFT_BEHIND" not in os.environ


def test_nothing_is_left_in_the_project(project: Path) -> None:
    before = {path for path in project.rglob("*") if "__pycache__" not in str(path)}
    run_inline("mail", project=project, overrides={"mailer": FakeMailer()})
    assert {path for path in project.rglob("*") if "__pycache__" not in str(path)} == before


def test_a_step_that_takes_too_long_is_timed_out() -> None:
    def body(ctx: Any) -> None:
        ctx.step("wait", lambda: Event().wait(30), timeout=0.05)

    run = run_inline(body, raises=False)
    assert (run.state, run.failure and run.failure["type"]) == ("failed", "TimeoutError")
