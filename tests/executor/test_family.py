"""Nothing outlives what it belongs to, and the zygote is lean, replaceable and alone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jobrunner.executor.happened import Began
from jobrunner.executor.launch import ZygoteLauncher
from tests.executor.household import Household, alive, pid_in, wait_for

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
DAEMON = """
import os, time
def default(container):
    open("run.tmp", "w").write(str(os.getpid())); os.rename("run.tmp", "run")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("daemon.tmp", "w").write(str(os.getpid())); os.rename("daemon.tmp", "daemon")
            time.sleep(1000)
        os._exit(0)
    time.sleep(1000)
"""


def zygote_of(house: Household) -> int:
    launcher = house.pool._zygotes.current
    assert isinstance(launcher, ZygoteLauncher)
    return launcher.pid


@linux
def test_a_killed_zygote_takes_its_runs_along_and_the_node_goes_on_with_another(
    zygote_house: Household,
) -> None:
    house = zygote_house
    house.write(DAEMON)
    run_id, first = house.start(), zygote_of(house)
    run, daemon = pid_in(house.root / "run"), pid_in(house.root / "daemon")
    os.kill(first, signal.SIGKILL)
    outcome = house.finish(run_id)
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["message"]) == (
        "Crashed",
        "its zygote died, and the run with it",
    )
    assert not alive(run)
    assert not alive(daemon)
    assert house.run("def default(container): return 2", "next").result == 2
    assert zygote_of(house) != first


@linux
def test_a_killed_node_leaves_nothing_behind_after_a_second(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from tests.executor.household import Household
        house = Household(Path({str(tmp_path)!r}), lock_path={str(tmp_path / "z.lock")!r})
        house.pool.start()
        house.write({DAEMON!r})
        house.start()
        print(house.pool._zygotes.current.pid, flush=True)
        while True: house.turn()
    """)
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert node.stdout is not None
    with node.stdout:
        zygote = int(node.stdout.readline())
        family = [zygote, pid_in(tmp_path / "run"), pid_in(tmp_path / "daemon")]
        assert all(map(alive, family))
        assert locked(tmp_path / "z.lock")
        node.kill()
        node.wait()
        before = time.monotonic()
        wait_for(lambda: not any(map(alive, family)), 5)
    assert time.monotonic() - before < 1
    assert not locked(tmp_path / "z.lock")


@linux
def test_a_run_dies_with_its_zygote_though_no_node_cleans_up(zygote_house: Household) -> None:
    house = zygote_house
    house.write(DAEMON)
    house.start()
    run = pid_in(house.root / "run")
    os.kill(zygote_of(house), signal.SIGKILL)
    wait_for(lambda: not alive(run), 1)  # our loop stands still meanwhile


def locked(path: Path) -> bool:
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def test_only_the_zygote_holds_its_lock(zygote_house: Household) -> None:
    from filelock import FileLock, Timeout

    house = zygote_house
    house.write(DAEMON)
    house.start()
    with pytest.raises(Timeout), FileLock(house.root / "zygote.lock", timeout=0, fallback_to_soft=False):
        pass
    run = pid_in(house.root / "run")
    os.kill(zygote_of(house), signal.SIGKILL)
    wait_for(lambda: not locked(house.root / "zygote.lock"), 1)
    wait_for(lambda: not alive(run), 1)


@linux
def test_signals_to_the_terminals_group_reach_neither_zygote_nor_runs(zygote_house: Household) -> None:
    house = zygote_house
    house.write(DAEMON)
    house.start()
    run, zygote = pid_in(house.root / "run"), zygote_of(house)
    assert len({os.getsid(0), os.getsid(zygote), os.getsid(run)}) == 3
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(zygote, number)
    assert house.run("def default(container): return 1", "other").result == 1
    assert alive(run)


@linux
def test_a_zygote_is_lean_before_it_preloads(zygote_house: Household) -> None:
    words = (
        "import sys; from jobrunner.executor import zygote;"
        "print(open('/proc/self/smaps_rollup').read()); print(*sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-P", "-c", words], capture_output=True, text=True, check=True
    ).stdout
    pss = next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:"))
    assert pss <= 12 * 1024
    heavy = {
        "asyncio", "filelock", "click", "apsw", "croniter", "yaml", "dataclasses", "inspect", "rich",
        "pathlib", "random", "shutil", "tempfile", "urllib",
    }  # fmt: skip
    assert not heavy & set(told.split())


def package(root: Path, name: str, text: str) -> dict[str, str]:
    """Install a package outside of the project; returns the environment in which it is found."""
    site = root / "site"
    (site / name).mkdir(parents=True, exist_ok=True)
    (site / name / "__init__.py").write_text(textwrap.dedent(text))
    return {**os.environ, "PYTHONPATH": str(site)}


def preloading(tmp_path: Path, text: str, name: str = "odd") -> Household:
    environ = package(tmp_path, name, text)
    project = tmp_path / "project"
    project.mkdir()
    house = Household(project, environ=environ, preload=[name, "colorsys"])
    house.pool.start()
    return house


IS_LOADED = "import sys\ndef default(container): return ['odd' in sys.modules, 'colorsys' in sys.modules]"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
            "starts a thread",
        ),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import os; os.kill(os.getpid(), 9)", "kills the process"),
    ],
)
def test_a_package_that_cannot_be_preloaded_is_left_out_and_named(
    tmp_path: Path, text: str, reason: str
) -> None:
    house = preloading(tmp_path, text)
    try:
        assert house.run(IS_LOADED).result == [False, True]
        assert reason in house.pool.skipped["odd"]
        assert list(house.pool.skipped) == ["odd"]
    finally:
        house.close()


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobrunner.executor.launch.PRELOAD_LIMIT", 0.7)
    house = preloading(tmp_path, "import time\ntime.sleep(1000)")
    try:
        assert house.run(IS_LOADED).result == [False, True]
        assert "takes longer than" in house.pool.skipped["odd"]
    finally:
        house.close()


def test_an_installed_package_is_loaded_before_the_fork_and_a_projects_own_never(tmp_path: Path) -> None:
    environ = package(tmp_path, "even", "import os\nHOME = os.getpid()")
    package(tmp_path, "site_of_project", "")
    inside = Household(tmp_path, environ=environ, preload=["even"])
    inside.pool.start()
    body = "import sys, os\nloaded = 'even' in sys.modules\ndef default(container): return loaded"
    try:
        assert inside.run(body).result is False
        assert inside.pool.skipped == {"even": "part of the project"}
    finally:
        inside.close()
    (tmp_path / "p").mkdir()
    outside = Household(tmp_path / "p", environ=environ, preload=["even"])
    outside.pool.start()
    try:
        assert outside.run(body).result is True
        assert outside.pool.skipped == {}
    finally:
        outside.close()


def test_a_zygote_that_keeps_dying_is_restarted_at_most_once_a_second(zygote_house: Household) -> None:
    house = zygote_house
    house.until(lambda: bool(house.pool.ready))
    first = house.pool._zygotes.started_at
    os.kill(zygote_of(house), signal.SIGKILL)
    house.until(lambda: house.pool._zygotes.started_at != first)
    assert house.pool._zygotes.started_at - first >= 1.0


def test_ready_offers_no_more_than_the_free_slots(zygote_house: Household) -> None:
    house = zygote_house
    house.write("import time\ndef default(container): time.sleep(1000)")
    house.until(lambda: len(house.pool.ready) == 2)
    house.start()
    assert len(house.pool.ready) == 1
    house.start()
    for _ in range(10):
        house.turn(0.01)
    assert house.pool.ready == []


def test_a_spare_that_died_unnoticed_does_not_lose_its_run(zygote_house: Household) -> None:
    house = zygote_house
    house.until(lambda: len(house.pool.ready) == 2)
    pid = house.pool.ready[0]
    os.kill(pid, signal.SIGKILL)
    house.write("def default(container): return 1")
    house.count += 1
    house.pool.run(house.spec(1, "job", {}), pid)
    outcome = house.finish(1)
    assert outcome.state == "failed"
    assert not house.began(1)


def test_a_run_for_which_there_is_no_child_ends_without_having_begun(tmp_path: Path) -> None:
    house = Household(tmp_path)
    assert house.pool.run(house.spec(1, "job", {}), 12345) == 0
    house.events += house.pool.happened()
    ended = house.ended(1)
    assert ended is not None
    assert ended.outcome.state == "failed"
    house.close()


# -- runsPerProcess ----------------------------------------------------------------------------------

PERSISTENT = """
import os
runs = 0
def default(container, box):
    global runs
    runs += 1
    box.append(runs)
    return [os.getpid(), runs, len(box), os.getcwd(), os.environ.get("LEAK")]
"""


def test_runs_per_process_keeps_process_module_and_singletons_for_so_many_runs(house: Household) -> None:
    (house.root / "services.py").write_text(
        "def register(container): container.register('box', list, lifetime='singleton')"
    )
    house.write(PERSISTENT)
    results = [house.finish(house.start(runs=3)).result for _ in range(4)]
    assert [result[1:3] for result in results] == [[1, 1], [2, 2], [3, 3], [1, 1]]
    assert len({result[0] for result in results[:3]}) == 1
    assert results[3][0] != results[0][0]
    began = [one.pid for one in house.events if isinstance(one, Began)]
    assert began == [result[0] for result in results]


def test_runs_of_one_process_do_not_see_each_others_surroundings_or_children(house: Household) -> None:
    house.write(
        """
        import os, signal, subprocess, sys, time
        def default(container):
            seen = [os.getcwd(), os.environ.get("LEAK"), os.umask(0), "/leak" in sys.path, time.tzname[0]]
            os.chdir("/"); os.environ["LEAK"] = "1"; os.umask(0o777); sys.path.append("/leak")
            os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
            signal.signal(signal.SIGALRM, lambda *_: None)
            child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            return [seen, child.pid, os.getpid()]
        """
    )
    one, two = (house.finish(house.start(runs=2)).result for _ in range(2))
    assert one[2] == two[2]
    assert one[0] == two[0]
    assert not alive(one[1])
    assert not alive(two[1])


def test_each_run_of_a_process_finds_the_project_root_on_its_path(house: Household) -> None:
    (house.root / "helpers.py").write_text("def answer(): return 42")
    house.write(
        """
        def default(params):
            if params:
                from helpers import answer
                return answer()
        """
    )
    house.finish(house.start(runs=2))
    assert house.finish(house.start(runs=2, params={"late": 1})).result == 42


def test_a_crash_of_one_run_gives_the_next_a_new_process(house: Household) -> None:
    house.write("import os\ndef default(params):\n    if params: os._exit(1)\n    return os.getpid()")
    first = house.finish(house.start(runs=9)).result
    assert house.finish(house.start(runs=9, params={"die": 1})).state == "failed"
    assert house.finish(house.start(runs=9)).result != first


def test_a_process_kept_for_one_job_serves_no_other_nor_another_version(house: Household) -> None:
    house.write("import os\ndef default(container): return os.getpid()", "a")
    house.write("import os\ndef default(container): return os.getpid()", "b")
    pids = [
        house.finish(house.start("a", runs=9, fileHash="1")).result,
        house.finish(house.start("b", runs=9, fileHash="1")).result,
        house.finish(house.start("a", runs=9, fileHash="2")).result,
    ]
    assert len(set(pids)) == 3
    assert house.finish(house.start("a", runs=9, fileHash="1")).result == pids[0]


def test_a_cancel_meant_for_one_run_does_not_reach_the_next(house: Household) -> None:
    house.write(
        "def default(ctx, params):\n    while params and not ctx.cancelled: pass\n    return ctx.cancelled"
    )
    run_id = house.start(runs=5, params={"wait": 1})
    house.until(lambda: house.began(run_id))
    house.pool.stop(run_id, "canceled", "x")
    assert house.finish(run_id).result is True
    assert house.finish(house.start(runs=5)).result is False
