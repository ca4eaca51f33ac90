"""A run in an interpreter of its own, of another environment, is a run like any other."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from jobrunner.executor.happened import Began, Output
from jobrunner.model import Chosen
from tests.executor.household import alive, pid_in, wait_for
from tests.executor.test_family import DAEMON, locked
from tests.executors.abroad import Abroad, node_that_lives

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
STAYS = "import time\ndef default(ctx):\n    print('up')\n    while True: time.sleep(0.01)\n"


# -- whose interpreter -----------------------------------------------------------------------------------


def test_a_job_sees_the_packages_of_the_other_environment_and_none_of_ours(
    abroad: Abroad, other_python: str
) -> None:
    body = """
        import importlib.util, sys
        def default(ctx):
            import only_theirs
            ours = [name for name in ("apsw", "click", "pytest") if importlib.util.find_spec(name)]
            return [sys.executable, only_theirs.WHERE, ours]
    """
    assert abroad.run(body).result == [other_python, "in the other environment", []]


def test_what_a_run_needs_of_jobrunner_is_ours_and_lies_on_no_path(abroad: Abroad) -> None:
    body = """
        import os, sys
        def default(ctx):
            import jobrunner
            home = os.path.dirname(os.path.dirname(jobrunner.__file__))
            return [home, [each for each in sys.path if os.path.realpath(each).startswith(home)]]
    """
    ours = str(Path(__file__).parents[2])
    assert abroad.run(body).result == [ours, []]


def test_a_jobrunner_that_the_other_environment_has_does_not_come_before_ours(
    abroad: Abroad, tmp_path: Path, other_python: str
) -> None:
    (packages,) = Path(other_python).parents[1].glob("lib/python*/site-packages")
    there = packages / "jobrunner"
    there.mkdir()
    (there / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    try:
        assert abroad.run("def default(ctx): return 1").result == 1
    finally:
        (there / "__init__.py").unlink()
        there.rmdir()


def test_without_an_option_it_is_our_own_interpreter(abroad: Abroad) -> None:
    body = "import sys\ndef default(ctx): return sys.executable"
    abroad.executor = Chosen("subprocess")
    assert abroad.run(body).result == sys.executable


def test_a_relative_path_counts_from_the_project(abroad: Abroad, other_python: str) -> None:
    (abroad.root / "env").symlink_to(Path(other_python).parents[1])
    abroad.executor = Chosen("subprocess", {"python": "env/bin/python"})
    body = "def default(ctx):\n    import only_theirs\n    return only_theirs.WHERE"
    assert abroad.run(body).result == "in the other environment"


def test_jobs_of_different_interpreters_run_side_by_side(abroad: Abroad) -> None:
    body = "import sys\ndef default(ctx): return sys.prefix"
    abroad.write(body)
    ids = [abroad.start(), abroad.start(executor=Chosen("subprocess"))]
    theirs, ours = (abroad.finish(one).result for one in ids)
    assert ours == sys.prefix != theirs


def test_an_interpreter_that_is_not_there_fails_the_run_in_a_sentence(abroad: Abroad) -> None:
    abroad.executor = Chosen("subprocess", {"python": "/nowhere/bin/python"})
    outcome = abroad.run("def default(ctx): pass")
    error = abroad.error(outcome)
    assert (outcome.state, error["type"]) == ("failed", "Crashed")
    assert error["message"] == "cannot execute /nowhere/bin/python: No such file or directory"


def test_what_an_unfit_interpreter_says_is_in_the_log_of_the_run(abroad: Abroad) -> None:
    unfit = abroad.root / "unfit"
    unfit.write_text("#!/bin/sh\necho this is no Python\nexit 3\n")
    unfit.chmod(0o755)
    abroad.executor = Chosen("subprocess", {"python": str(unfit)})
    run_id = abroad.start(abroad.write("def default(ctx): pass"))
    outcome = abroad.finish(run_id)
    assert abroad.error(outcome)["message"] == "exited with status 3 without a reply"
    assert abroad.log(run_id) == b"this is no Python\n"


def test_an_interpreter_that_is_too_old_is_told_so(abroad: Abroad, tmp_path: Path) -> None:
    old = tmp_path / "old.py"
    old.write_text(
        "import runpy, sys\nsys.version_info = (3, 8, 1)\n"
        "sys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {old} "$@"\n')
    python.chmod(0o755)
    abroad.executor = Chosen("subprocess", {"python": str(python)})
    run_id = abroad.start(abroad.write("def default(ctx): pass"))
    assert abroad.finish(run_id).state == "failed"
    assert b"is Python 3.8; it takes 3.11 or later" in abroad.log(run_id)


def test_a_child_that_never_is_ready_is_given_up(abroad: Abroad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobrunner.executor.plugin.Launcher.ready_limit", 0.2)
    hangs = abroad.root / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 1000\n")
    hangs.chmod(0o755)
    abroad.executor = Chosen("subprocess", {"python": str(hangs)})
    error = abroad.error(abroad.run("def default(ctx): pass"))
    assert error["message"] == "its process was not ready within 0.2 s"


# -- as any other run ------------------------------------------------------------------------------------


def test_its_params_reach_the_body_and_its_result_comes_back(abroad: Abroad) -> None:
    outcome = abroad.run("def default(n, ctx): return {'twice': 2 * n}", params={"n": 21})
    assert (outcome.state, outcome.result) == ("succeeded", {"twice": 42})


def test_its_pid_is_that_of_the_interpreter_which_does_it(abroad: Abroad) -> None:
    run_id = abroad.start(abroad.write("import os\ndef default(ctx): return os.getpid()"))
    pid = abroad.finish(run_id).result
    assert [one.pid for one in abroad.events if isinstance(one, Began)] == [pid]


def test_its_output_is_heard_while_it_runs(abroad: Abroad) -> None:
    body = """
        import os, sys, time
        def default(ctx, logger):
            print("first")
            while not os.path.exists("go"): time.sleep(0.005)
            print("oh", file=sys.stderr)
            logger.info("done")
    """
    abroad.write(body)
    run_id = abroad.start()
    abroad.until(lambda: abroad.log(run_id) == b"first\n")
    (abroad.root / "go").touch()
    assert abroad.finish(run_id).state == "succeeded"
    assert abroad.log(run_id).startswith(b"first\noh\n") and b"done" in abroad.log(run_id)


def test_more_output_than_the_node_takes_makes_it_wait_and_none_is_lost(abroad: Abroad) -> None:
    run_id = abroad.start(abroad.write("def default(ctx):\n    for _ in range(3000): print('x' * 999)"))
    assert abroad.finish(run_id).state == "succeeded"
    assert len(abroad.log(run_id)) == 3_000_000
    assert all(len(one.data) <= 256 * 1024 for one in abroad.events if isinstance(one, Output))


def test_its_progress_and_what_it_writes_to_state_are_asked_of_the_node(abroad: Abroad) -> None:
    body = """
        def default(ctx, state):
            ctx.progress(1, 2, "half")
            before = state.get("seen", 0)
            state.set("seen", before + 1)
            return before
    """
    abroad.write(body)
    run_id = abroad.start()
    progress = abroad.asks(run_id, "progress", {})
    assert (progress.payload["value"], progress.payload["max"]) == (1, 2)
    abroad.asks(run_id, "state.get", {"value": 7, "version": 3})
    write = abroad.asks(run_id, "state.write", {"existed": [True]})
    assert write.payload["writes"] == [["seen", 8, False]]
    assert abroad.finish(run_id).result == 7


def test_an_exception_is_a_failure_with_its_traceback(abroad: Abroad) -> None:
    outcome = abroad.run("def default(ctx):\n    raise ValueError('no good')")
    error = abroad.error(outcome)
    assert (outcome.state, error["type"], error["message"]) == ("failed", "ValueError", "no good")
    assert "jobs/job.py" in error["traceback"] and "raise ValueError('no good')" in error["traceback"]


def test_sys_exit_is_a_failure_of_its_own(abroad: Abroad) -> None:
    assert abroad.error(abroad.run("import sys\ndef default(ctx): sys.exit(3)"))["type"] == "SystemExit"


def test_a_package_that_only_we_have_is_missing_there(abroad: Abroad) -> None:
    error = abroad.error(abroad.run("import click\ndef default(ctx): pass"))
    assert (error["type"], error["phase"]) == ("ModuleNotFoundError", "import")


def test_a_time_out_ends_it(abroad: Abroad) -> None:
    run_id = abroad.up(STAYS, timeout=2_000_000)
    outcome = abroad.finish(run_id)
    assert (outcome.state, abroad.error(outcome)["type"]) == ("timed_out", "TimedOut")
    assert abroad.error(outcome)["message"] == "ran longer than its time-out of 2 s"


def test_a_time_out_before_it_has_begun_says_so(abroad: Abroad) -> None:
    hangs = abroad.root / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 1000\n")
    hangs.chmod(0o755)
    abroad.executor = Chosen("subprocess", {"python": str(hangs)})
    outcome = abroad.finish(abroad.start(abroad.write(STAYS), timeout=100_000))
    assert outcome.state == "timed_out"
    assert abroad.error(outcome)["message"] == "had not begun within its time-out of 0.1 s"


def test_who_is_canceled_gets_to_clean_up(abroad: Abroad) -> None:
    body = """
        import time
        def default(ctx):
            print("up")
            try: time.sleep(99)
            finally: print("finally")
    """
    run_id = abroad.up(body)
    abroad.pool.stop(run_id, "canceled", "shutdown")
    outcome = abroad.finish(run_id)
    assert (outcome.state, outcome.reason) == ("canceled", "shutdown")
    assert abroad.log(run_id) == b"up\nfinally\n"


def test_one_that_resists_is_killed(abroad: Abroad) -> None:
    body = """
        import signal, time
        def default(ctx):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("up")
            while True: time.sleep(0.01)
    """
    run_id = abroad.up(body)
    abroad.pool.stop(run_id, "canceled", None)
    assert abroad.finish(run_id).state == "canceled"


def test_one_that_waits_for_its_interpreter_is_canceled_at_once(tmp_path: Path) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 1000\n")
    hangs.chmod(0o755)
    house = Abroad(tmp_path, Chosen("subprocess", {"python": str(hangs)}), grace=3_600_000_000)
    house.pool.start()
    run_id = house.start(house.write(STAYS))
    house.pool.stop(run_id, "canceled", None)
    assert house.finish(run_id).state == "canceled"
    house.close()


@linux
def test_what_it_leaves_behind_is_gone_before_its_end_is_told(abroad: Abroad) -> None:
    body = """
        import os, subprocess
        def default(ctx):
            return subprocess.Popen(["sleep", "1000"], start_new_session=True, env={}).pid
    """
    outcome = abroad.run(body)
    assert outcome.state == "succeeded"
    assert not alive(outcome.result)


def test_a_killed_child_is_a_crash_that_names_the_signal(abroad: Abroad) -> None:
    run_id = abroad.up(STAYS)
    pid = next(one.pid for one in abroad.events if isinstance(one, Began))
    os.kill(pid, signal.SIGKILL)
    outcome = abroad.finish(run_id)
    error = abroad.error(outcome)
    assert (outcome.state, error["type"]) == ("failed", "Crashed")
    assert error["message"] == "ended by signal 9 (SIGKILL)"


# -- its family ------------------------------------------------------------------------------------------


@linux
def test_a_killed_parent_takes_its_runs_along_and_the_next_run_has_another(abroad: Abroad) -> None:
    abroad.write(DAEMON)
    run_id, first = abroad.start(), abroad.launcher().pid
    abroad.until(lambda: (abroad.root / "daemon").exists())
    run, daemon = pid_in(abroad.root / "run"), pid_in(abroad.root / "daemon")
    os.kill(first, signal.SIGKILL)
    error = abroad.error(abroad.finish(run_id))
    assert error["message"] == "the parent of its process died, and the run with it"
    assert not alive(run) and not alive(daemon)
    assert abroad.run("def default(ctx): return 2").result == 2
    assert abroad.launcher().pid != first


@linux
def test_a_killed_node_leaves_neither_the_run_nor_what_it_has_started(
    tmp_path: Path, other_python: str
) -> None:
    chosen = Chosen("subprocess", {"python": other_python})
    with node_that_lives(tmp_path, chosen, DAEMON) as (node, parent):
        family = [parent, pid_in(tmp_path / "run"), pid_in(tmp_path / "daemon")]
        assert all(map(alive, family)) and holds(parent, tmp_path / "z.lock")
        node.kill()
        node.wait()
        wait_for(lambda: not any(map(alive, family)))
    wait_for(lambda: not locked(tmp_path / "z.lock"))


def holds(pid: int, path: Path) -> bool:
    """Say whether a process has a file open."""
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return str(path.resolve()) in links


def test_closing_ends_all(abroad: Abroad) -> None:
    run_id = abroad.up(STAYS)
    pid, parent = next(one.pid for one in abroad.events if isinstance(one, Began)), abroad.launcher().pid
    abroad.pool.close()
    abroad.events += abroad.pool.happened()
    outcome = abroad.finish(run_id)
    assert (outcome.state, outcome.reason) == ("canceled", "shutdown")
    assert not alive(pid) and not alive(parent)


# -- beside the processes --------------------------------------------------------------------------------


def test_all_executors_together_have_no_more_than_the_slots(abroad: Abroad) -> None:
    first = abroad.up(STAYS)
    assert len(abroad.pool.ready) <= 1
    second = abroad.up(STAYS, executor=Chosen())
    assert abroad.pool.ready == [] and abroad.pool.running == 2
    abroad.pool.stop(first, "canceled", None)
    abroad.finish(first)
    abroad.until(lambda: len(abroad.pool.ready) == 1)
    abroad.pool.stop(second, "canceled", None)
    abroad.finish(second)


def test_a_spare_process_that_was_claimed_with_stays_in_hand(abroad: Abroad) -> None:
    abroad.until(lambda: len(abroad.pool.ready) == 2)
    spares = abroad.pool.ready
    run_id = abroad.up(STAYS)
    assert abroad.pool.ready == spares[:1]
    abroad.pool.stop(run_id, "canceled", None)
    abroad.finish(run_id)
    assert abroad.pool.ready == spares


def test_nothing_of_an_executor_is_there_before_its_first_run(abroad: Abroad) -> None:
    abroad.executor = Chosen()
    assert abroad.run("def default(ctx): return 1").result == 1
    assert abroad.pool._others == {}


def test_an_executor_that_is_gone_fails_the_run_in_a_sentence(abroad: Abroad) -> None:
    abroad.executor = Chosen("gone")
    outcome = abroad.run("def default(ctx): pass")
    error = abroad.error(outcome)
    assert (outcome.state, error["type"]) == ("failed", "Crashed")
    assert "its executor cannot be started" in error["message"] and "not installed" in error["message"]


def test_a_run_that_no_child_can_be_told_of_ends_without_one(abroad: Abroad) -> None:
    run_id = abroad.start(abroad.write("def default(ctx): pass"), params={"n": float("nan")})
    assert abroad.error(abroad.finish(run_id))["type"] == "Unstorable"


@linux
def test_its_life_ends_with_the_lease_of_its_node_though_the_node_stands_still(abroad: Abroad) -> None:
    abroad.up(STAYS)
    pid = next(one.pid for one in abroad.events if isinstance(one, Began))
    abroad.pool.live_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 0.2)
    wait_for(lambda: not alive(pid))  # our loop does not turn meanwhile
    assert abroad.finish(1).state == "lost"


def test_an_executor_that_is_opened_later_knows_the_lease_too(abroad: Abroad) -> None:
    abroad.pool.live_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 3600)
    run_id = abroad.up(STAYS)
    assert abroad.launcher()._until > 0
    abroad.pool.kill_all()
    assert abroad.finish(run_id).state == "lost"
