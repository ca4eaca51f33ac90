"""New settings, packages or variables reach new runs by a new zygote; runs under way keep theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jobrunner.executor.launch import ZygoteLauncher
from jobrunner.presence import _takeable
from tests.executor.household import Household, alive, pid_in, wait_for
from tests.executor.test_family import package, zygote_of

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")
WAITS = """
import os, time
def default(ctx):
    open("run.tmp", "w").write(str(os.getpid())); os.rename("run.tmp", "run")
    while not os.path.exists("go"): time.sleep(0.005)
    return os.getppid()
"""


def go(house: Household) -> None:
    (house.root / "go").touch()


def test_a_run_under_way_finishes_in_the_old_zygote_which_then_ends(zygote_house: Household) -> None:
    house = zygote_house
    house.write(WAITS)
    run_id, old = house.start(), zygote_of(house)
    pid_in(house.root / "run")
    house.pool.renew([])
    new = zygote_of(house)
    assert new != old
    assert house.run("import os\ndef default(ctx): return os.getppid()", "next").result == new
    assert alive(old)
    go(house)
    assert house.finish(run_id).result == old
    house.until(lambda: not alive(old))
    with pytest.raises(ProcessLookupError):
        os.kill(old, 0)
    assert alive(new)


def test_spares_of_the_old_generation_are_retired_at_once(house: Household) -> None:
    house.until(lambda: len(house.pool.ready) == 2)
    old = house.pool.ready
    house.pool.renew([])
    assert house.pool.ready == []
    house.until(lambda: len(house.pool.ready) == 2)
    assert not set(old) & set(house.pool.ready)
    house.until(lambda: not any(map(alive, old)))


def test_an_old_zygote_without_runs_ends_soon(zygote_house: Household) -> None:
    house = zygote_house
    house.until(lambda: bool(house.pool.ready))
    old = zygote_of(house)
    house.pool.renew([])
    house.until(lambda: not alive(old))
    assert house.run("def default(ctx): return 1").result == 1


def test_new_spares_have_the_new_packages_and_the_new_environment(tmp_path: Path) -> None:
    environ = package(tmp_path, "odd", "import os\nSHADE = os.environ.get('SHADE')")
    (tmp_path / "project").mkdir()
    house = Household(tmp_path / "project", environ=environ)
    house.pool.start()
    body = (
        "import os, sys\nseen = 'odd' in sys.modules\ndef default(ctx): return seen, os.environ.get('SHADE')"
    )
    try:
        assert house.run(body).result == [False, None]
        house.pool.renew(["odd"])
        assert house.run(body).result == [True, None]
        house.pool.renew(["odd"], {**environ, "SHADE": "blue"})
        assert house.run(body).result == [True, "blue"]
    finally:
        house.close()


def test_a_package_that_was_repaired_is_tried_again(tmp_path: Path) -> None:
    environ = package(tmp_path, "odd", "raise RuntimeError('broken')")
    (tmp_path / "project").mkdir()
    house = Household(tmp_path / "project", environ=environ, preload=["odd"])
    house.pool.start()
    body = "import sys\nseen = 'odd' in sys.modules\ndef default(ctx): return seen"
    try:
        assert house.run(body).result is False
        assert "broken" in house.pool.skipped["odd"]
        package(tmp_path, "odd", "REPAIRED = True")
        house.pool.renew(["odd"])
        assert house.run(body).result is True
        assert house.pool.skipped == {}
    finally:
        house.close()


def test_a_warm_child_of_the_old_generation_serves_no_other_run(house: Household) -> None:
    house.write("import os\ndefault = lambda ctx: os.getpid()", "idle")
    idle = house.finish(house.start("idle", runs=9)).result
    house.write(WAITS.replace("getppid", "getpid"))
    run_id = house.start(runs=9)
    pid_in(house.root / "run")
    house.pool.renew([])
    assert house.finish(house.start("idle", runs=9)).result != idle
    go(house)
    busy = house.finish(run_id).result
    assert house.finish(house.start(runs=9)).result != busy
    house.until(lambda: not alive(busy))


def test_a_run_of_the_old_generation_can_be_stopped(house: Household) -> None:
    house.write("import signal, time\n" + WAITS.replace("def default(ctx):", IGNORES))
    run_id = house.start()
    run = pid_in(house.root / "run")
    house.pool.renew([])
    house.pool.stop(run_id, "canceled", None)
    assert house.finish(run_id).state == "canceled"
    assert not alive(run)


IGNORES = "def default(ctx):\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@linux
def test_an_old_zygote_that_is_killed_takes_its_run_along_and_not_the_new_ones(
    zygote_house: Household,
) -> None:
    house = zygote_house
    house.write(WAITS)
    run_id, old = house.start(), zygote_of(house)
    pid_in(house.root / "run")
    house.pool.renew([])
    new = zygote_of(house)
    house.write("import time\ndef default(ctx):\n    while not ctx.cancelled: time.sleep(0.01)", "next")
    other = house.start("next")
    house.until(lambda: house.began(other))
    os.kill(old, signal.SIGKILL)
    assert (house.finish(run_id).error or {})["message"] == "its zygote died, and the run with it"
    assert zygote_of(house) == new
    house.pool.stop(other, "canceled", None)
    assert house.finish(other).state == "succeeded"


def test_closing_ends_both_generations(house: Household) -> None:
    house.write(WAITS)
    run_id = house.start()
    run = pid_in(house.root / "run")
    house.pool.renew([])
    house.until(lambda: len(house.pool.ready) == 1)
    spare = house.pool.ready[0]
    house.close()
    ended = house.ended(run_id)
    assert ended is not None
    assert (ended.outcome.state, ended.outcome.reason) == ("canceled", "shutdown")
    assert not alive(run)
    assert not alive(spare)


def test_the_owner_counts_as_alive_while_any_generation_lives(zygote_house: Household) -> None:
    house = zygote_house
    lock = house.root / "zygote.lock"
    house.write(WAITS)
    run_id, old = house.start(), zygote_of(house)
    pid_in(house.root / "run")
    house.pool.renew([])
    house.until(lambda: bool(house.pool.ready))
    assert not _takeable(lock)
    go(house)
    house.finish(run_id)
    house.until(lambda: not alive(old))
    assert not _takeable(lock)  # the new one holds it
    house.pool.close()
    assert _takeable(lock)


@linux
def test_the_old_generation_alone_keeps_its_owner_alive(zygote_house: Household) -> None:
    house = zygote_house
    house.write(WAITS)
    house.start()
    pid_in(house.root / "run")
    house.pool.renew([])
    house.until(lambda: bool(house.pool.ready))
    new = zygote_of(house)
    os.kill(new, signal.SIGKILL)
    wait_for(lambda: not alive(new))  # our loop stands still: nobody replaces it
    assert not _takeable(house.root / "zygote.lock")


@linux
def test_a_killed_node_leaves_nothing_of_two_generations_behind(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from tests.executor.household import Household, pid_in
        house = Household(Path({str(tmp_path)!r}), lock_path={str(tmp_path / "z.lock")!r})
        house.pool.start()
        house.write({WAITS!r})
        house.start()
        pid_in(house.root / "run")
        old = house.pool._zygotes.current.pid
        house.pool.renew([])
        house.until(lambda: bool(house.pool.ready))
        print(old, house.pool._zygotes.current.pid, *house.pool.ready, flush=True)
        while True: house.turn()
    """)
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert node.stdout is not None
    with node.stdout:
        family = [pid_in(tmp_path / "run"), *map(int, node.stdout.readline().split())]
        assert all(map(alive, family))
        node.kill()
        node.wait()
        wait_for(lambda: not any(map(alive, family)))
    assert _takeable(tmp_path / "z.lock")


def test_a_generation_that_cannot_be_started_is_tried_again(
    zygote_house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = zygote_house
    house.until(lambda: bool(house.pool.ready))

    def refuse(_: object) -> None:
        raise OSError("no process left")

    with monkeypatch.context() as patch:
        patch.setattr(ZygoteLauncher, "start", refuse)
        house.pool.renew([])
        assert house.pool.ready == []
    assert house.run("def default(ctx): return 1").result == 1


def test_many_renewals_in_a_row_end_in_one_zygote(zygote_house: Household) -> None:
    house, zygotes = zygote_house, []
    for _ in range(5):
        house.pool.renew([])
        zygotes.append(zygote_of(house))
        house.turn()
    house.until(lambda: not any(map(alive, zygotes[:-1])))
    assert house.run("import os\ndef default(ctx): return os.getppid()").result == zygotes[-1]


@linux
def test_who_is_killed_because_nobody_renewed_its_leave_is_told_to_the_node(zygote_house: Household) -> None:
    house = zygote_house
    house.write(WAITS)
    run_id = house.start()
    house.until(lambda: bool(house.pool.ready))
    spares = house.pool.ready
    house.pool.live_until(boottime() + 0.2)
    assert house.finish(run_id).state == "lost"
    house.until(lambda: bool(house.pool.ready) and not set(spares) & set(house.pool.ready))
    house.pool.live_until(boottime() + 60)
    go(house)
    assert house.finish(house.start()).state == "succeeded"


def test_who_was_killed_because_the_node_may_not_act_is_handed_no_run(house: Household) -> None:
    house.write(WAITS)
    run_id = house.start()
    house.until(lambda: bool(house.pool.ready))
    house.pool.kill_all()
    assert house.pool.ready == []
    assert house.finish(run_id).state == "lost"
    go(house)
    house.pool.live_until(boottime() + 60)
    assert house.finish(house.start()).state == "succeeded"


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
