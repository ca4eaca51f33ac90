"""A run on a Ray cluster is a run like any other; and what becomes of it when something of Ray dies."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from pathlib import Path

import pytest

from jobrunner.executor.happened import Began
from jobrunner.executor.ray_launcher import BridgeLauncher
from jobrunner.model import Chosen
from tests.executor.household import alive, pid_in, wait_for
from tests.executor.test_family import DAEMON, locked
from tests.executors.abroad import Abroad, node_that_lives
from tests.executors.test_subprocess import holds
from tests.lifecycle.project import Project, stop, wait_until
from tests.ray.clusters import PATIENCE, Cluster

pytestmark = pytest.mark.timeout(300)
STAYS = "import time\ndef default(ctx):\n    print('up')\n    while True: time.sleep(0.01)\n"


def up(house: Abroad, body: str, **how: object) -> int:
    """Wait for both that it began and that it says so: words and output come by two ways, in any order."""
    house.write(body)
    run_id = house.start(**how)  # type: ignore[arg-type]
    house.until(lambda: house.is_up(run_id) or house.ended(run_id) is not None, PATIENCE)
    assert house.ended(run_id) is None, house.failure(run_id)
    return run_id


def over(house: Abroad, run_id: int) -> dict[str, object]:
    """Wait for the end; returns state, result, and error as they are."""
    house.until(lambda: house.ended(run_id) is not None, PATIENCE)
    ended = house.ended(run_id)
    assert ended is not None
    error = dict(ended.outcome.error or {})
    return {"state": ended.outcome.state, "result": ended.outcome.result, **error}


def run(house: Abroad, body: str, **how: object) -> dict[str, object]:
    house.write(textwrap.dedent(body))
    return over(house, house.start(**how))  # type: ignore[arg-type]


def family(house: Abroad) -> list[int]:
    """Start a body that has a grandchild of its own; returns both pids."""
    house.write(DAEMON)
    house.start()
    house.until(lambda: (house.root / "daemon").exists() or bool(house.ended(1)), PATIENCE)
    return [pid_in(house.root / name) for name in ("run", "daemon")]


# -- as any other run ------------------------------------------------------------------------------------


def test_params_go_there_and_the_result_comes_back_from_a_worker(house: Abroad) -> None:
    body = """
        import os
        def default(n): return [2 * n, "RAY_RAYLET_PID" in os.environ, os.getpid()]
    """
    found = run(house, body, params={"n": 21})
    pid = next(one.pid for one in house.events if isinstance(one, Began))
    assert (found["state"], found["result"]) == ("succeeded", [42, True, pid])


def test_output_is_heard_while_it_runs(house: Abroad) -> None:
    body = """
        import os, sys, time
        def default(ctx, logger):
            print("up")
            while not os.path.exists("go"): time.sleep(0.005)
            print("oh", file=sys.stderr)
            logger.info("done")
    """
    run_id = up(house, body)
    assert house.log(run_id) == b"up\n"
    (house.root / "go").touch()
    assert over(house, run_id)["state"] == "succeeded"
    assert house.log(run_id).startswith(b"up\noh\n") and b"done" in house.log(run_id)


def test_much_output_arrives_whole_though_nobody_takes_it_for_a_while(house: Abroad) -> None:
    body = """
        def default(ctx):
            print("up", flush=True)
            for n in range(60_000):
                print(f"{n:0100}")
                if n == 20_000: open("half", "w").close()
    """
    run_id = up(house, body)
    wait_for(lambda: (house.root / "half").exists(), PATIENCE)  # our loop stands still meanwhile
    assert over(house, run_id)["state"] == "succeeded"
    assert house.log(run_id).split()[1:] == [f"{n:0100}".encode() for n in range(60_000)]


def test_progress_and_state_are_asked_of_the_node(house: Abroad) -> None:
    body = """
        def default(ctx, state):
            ctx.progress(1, 2, "half")
            before = state.get("seen", 0)
            state.set("seen", before + 1)
            return before
    """
    house.write(body)
    run_id = house.start()
    house.until(lambda: bool(house.asked(run_id)), PATIENCE)
    assert house.asks(run_id, "progress", {}).payload["value"] == 1
    house.asks(run_id, "state.get", {"value": 7, "version": 3})
    assert house.asks(run_id, "state.write", {"existed": [True]}).payload["writes"] == [["seen", 8, False]]
    assert over(house, run_id)["result"] == 7


def test_a_large_document_goes_both_ways(house: Abroad) -> None:
    body = """
        def default(state):
            text = state.get("large")
            state.set("large", text[::-1])
            return len(text)
    """
    text = "".join(chr(ord("a") + n % 26) for n in range(900_000))
    house.write(body)
    run_id = house.start()
    house.until(lambda: bool(house.asked(run_id)), PATIENCE)
    house.asks(run_id, "state.get", {"value": text, "version": 1})
    write = house.asks(run_id, "state.write", {"existed": [True]})
    assert write.payload["writes"] == [["large", text[::-1], False]]
    assert over(house, run_id)["result"] == 900_000


def test_an_exception_is_a_failure_with_its_traceback(house: Abroad) -> None:
    found = run(house, "def default(ctx):\n    raise ValueError('no good')")
    assert (found["state"], found["type"], found["message"]) == ("failed", "ValueError", "no good")
    assert "raise ValueError('no good')" in str(found["traceback"])


def test_a_body_that_is_killed_is_a_crash_that_names_the_signal(house: Abroad) -> None:
    found = run(house, "import os\ndef default(ctx): os.kill(os.getpid(), 9)")
    assert (found["type"], found["message"]) == ("Crashed", "ended by signal 9 (SIGKILL)")


def test_a_time_out_ends_it(house: Abroad) -> None:
    house.write(STAYS)
    for seconds in (3, 6, 12, 24, 48):  # a worker takes as long as it takes, and its time counts
        run_id = house.start(timeout=seconds * 1_000_000)
        found = over(house, run_id)
        assert (found["state"], found["type"]) == ("timed_out", "TimedOut")
        if house.began(run_id):
            break
    assert found["message"] == f"ran longer than its time-out of {seconds} s"


def test_who_is_canceled_gets_to_clean_up(house: Abroad) -> None:
    body = """
        import time
        def default(ctx):
            print("up")
            try: time.sleep(99)
            finally: print("finally")
    """
    run_id = up(house, body)
    house.pool.stop(run_id, "canceled", None)
    assert over(house, run_id)["state"] == "canceled"
    assert house.log(run_id) == b"up\nfinally\n"


def test_one_that_resists_is_killed_with_all_that_it_has(house: Abroad) -> None:
    pids = family(house)
    house.pool.stop(1, "canceled", None, now=True)
    assert over(house, 1)["state"] == "canceled"
    assert not any(map(alive, pids))


def test_what_it_leaves_behind_is_gone_before_its_end_is_told(house: Abroad) -> None:
    body = """
        import subprocess
        def default(ctx): return subprocess.Popen(["sleep", "1000"], start_new_session=True, env={}).pid
    """
    found = run(house, body)
    assert found["state"] == "succeeded" and not alive(int(str(found["result"])))


def test_several_run_at_the_same_time(house: Abroad) -> None:
    body = """
        import os, time
        def default(n):
            open(f"in-{n}", "w").close()
            while not all(os.path.exists(f"in-{each}") for each in range(3)): time.sleep(0.005)
            return n
    """
    house.write(body)
    ids = [house.start(params={"n": n}) for n in range(3)]
    assert [over(house, each)["result"] for each in ids] == [0, 1, 2]


# -- what Ray is told ------------------------------------------------------------------------------------


def test_its_runtime_env_is_that_of_the_options(house: Abroad) -> None:
    env = {"env_vars": {"WHERE": "over there"}}
    house.executor = Chosen("ray", {**house.executor.options, "runtimeEnv": env})
    assert run(house, "import os\ndef default(): return os.environ['WHERE']")["result"] == "over there"


def test_a_runtime_env_that_cannot_be_had_is_said(house: Abroad) -> None:
    env = {"py_modules": ["file:///nowhere/at/all.whl"]}
    house.executor = Chosen("ray", {**house.executor.options, "runtimeEnv": env})
    found = run(house, "def default(): pass")
    assert (found["state"], found["type"]) == ("failed", "Crashed")


def test_a_run_waits_for_the_resources_that_it_asks_for_and_can_be_canceled_then(house: Abroad) -> None:
    special = {**house.executor.options, "numCpus": 0, "resources": {"special": 1}}
    house.executor = Chosen("ray", special)
    first = up(house, STAYS)
    second = house.start()
    beside = Chosen("ray", {**special, "resources": {}})
    (house.root / "jobs" / "job.py").rename(house.root / "jobs" / "stays.py")
    assert run(house, "def default(): return 1", executor=beside)["result"] == 1
    (house.root / "jobs" / "stays.py").rename(house.root / "jobs" / "job.py")
    third = house.start(timeout=300_000)
    assert over(house, third)["message"] == "had not begun within its time-out of 0.3 s"
    assert not house.began(second)
    house.pool.stop(second, "canceled", None)
    assert over(house, second)["state"] == "canceled"
    fourth = house.start()
    house.pool.stop(first, "canceled", None, now=True)
    house.until(lambda: house.began(fourth), PATIENCE)
    house.pool.stop(fourth, "canceled", None, now=True)
    assert over(house, fourth)["state"] == "canceled"


# -- what dies -------------------------------------------------------------------------------------------


def test_a_killed_worker_ends_its_run_and_all_that_it_had(own_house: Abroad, own_cluster: Cluster) -> None:
    pids = family(own_house)
    for host in own_cluster.hosts():
        os.kill(host, signal.SIGKILL)
    found = over(own_house, 1)
    assert (found["state"], found["type"]) == ("failed", "Crashed")
    assert str(found["message"]).startswith("its Ray worker died, and the run with it: ")
    wait_for(lambda: not any(map(alive, pids)))
    assert run(own_house, "def default(): return 2")["result"] == 2


def test_a_run_on_another_machine_is_lost_with_that_machine_and_others_go_on(
    own_house: Abroad, own_cluster: Cluster
) -> None:
    machine = own_cluster.join()
    here = own_house.executor.options
    far = Chosen("ray", {**here, "numCpus": 0, "resources": {"far": 1}})
    body = "import os\ndef default(ctx): return os.environ['RAY_RAYLET_PID']"
    raylets = [str(pid) for pid in own_cluster.members(machine)]
    assert run(own_house, body, executor=far)["result"] in raylets
    near = up(own_house, STAYS)
    lost = up(own_house, STAYS, executor=far)
    pid = [one.pid for one in own_house.events if isinstance(one, Began)][-1]
    own_cluster.kill(machine)
    assert over(own_house, lost)["type"] == "Crashed"
    wait_for(lambda: not alive(pid))
    assert own_house.ended(near) is None
    own_house.pool.stop(near, "canceled", None)
    assert over(own_house, near)["state"] == "canceled"


def test_a_killed_bridge_ends_its_runs_and_the_next_one_has_another(house: Abroad) -> None:
    pids, first = family(house), house.launcher().pid
    os.kill(first, signal.SIGKILL)
    found = over(house, 1)
    assert (found["type"], found["message"]) == (
        "Crashed", "the bridge to the Ray cluster died, and the run with it"
    )  # fmt: skip
    wait_for(lambda: not any(map(alive, pids)))
    assert run(house, "def default(): return 2")["result"] == 2
    assert house.launcher().pid != first


def test_without_its_cluster_a_run_has_failed_and_the_next_finds_the_cluster_that_is_there_then(
    own_house: Abroad, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BridgeLauncher, "LEASH", 3.0)
    house = own_house
    pids = family(house)
    own_cluster.end()
    found = over(house, 1)
    assert (found["state"], found["type"]) == ("failed", "Crashed")
    assert not any(map(alive, pids))
    again = Cluster(own_cluster.port)
    try:
        assert run(house, "def default(): return 2")["result"] == 2
    finally:
        house.pool.close()
        again.end()


def test_a_worker_beyond_reach_ends_its_run_by_itself_before_the_node_gives_it_up(
    own_house: Abroad, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BridgeLauncher, "LEASH", 3.0)
    pids = family(own_house)
    for host in own_cluster.hosts():
        os.kill(host, signal.SIGSTOP)
    found = over(own_house, 1)
    assert str(found["message"]).startswith("its Ray worker has not been heard of for ")
    assert not any(map(alive, pids))


def test_a_run_that_its_bridge_could_not_reach_for_a_while_is_told_apart(
    house: Abroad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BridgeLauncher, "LEASH", 3.0)
    run_id, bridge = up(house, STAYS), house.launcher().pid
    pid = next(one.pid for one in house.events if isinstance(one, Began))
    os.kill(bridge, signal.SIGSTOP)
    wait_for(lambda: not alive(pid))  # our loop stands still, too, or it would have another bridge
    os.kill(bridge, signal.SIGCONT)
    found = over(house, run_id)
    assert (found["state"], found["message"]) == (
        "failed", "it was out of reach for 3 s, and killed there"
    )  # fmt: skip


def test_a_run_ends_with_the_lease_of_its_node_though_the_node_stands_still(house: Abroad) -> None:
    run_id = up(house, STAYS)
    pid = next(one.pid for one in house.events if isinstance(one, Began))
    house.pool.live_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 0.5)
    wait_for(lambda: not alive(pid))
    assert over(house, run_id)["state"] == "lost"


def test_a_cluster_that_is_not_there_fails_the_run_in_a_sentence(house: Abroad) -> None:
    house.executor = Chosen("ray", {"address": "127.0.0.1:1"})
    found = run(house, "def default(): pass")
    assert found["type"] == "Crashed"
    assert str(found["message"]).startswith("cannot connect to the Ray cluster at 127.0.0.1:1: ")


def test_a_killed_node_leaves_neither_the_run_nor_the_bridge(tmp_path: Path, cluster: Cluster) -> None:
    chosen = Chosen("ray", {"address": cluster.address})
    with node_that_lives(tmp_path, chosen, DAEMON) as (node, bridge):
        wait_for(lambda: (tmp_path / "daemon").exists(), PATIENCE)
        members = [bridge, pid_in(tmp_path / "run"), pid_in(tmp_path / "daemon")]
        assert all(map(alive, members)) and holds(bridge, tmp_path / "z.lock")
        node.kill()
        node.wait()
    wait_for(lambda: not any(map(alive, members)))
    wait_for(lambda: not locked(tmp_path / "z.lock"))


def test_closing_ends_all(house: Abroad) -> None:
    pids, bridge = family(house), house.launcher().pid
    house.pool.close()
    house.events += house.pool.happened()
    assert over(house, 1)["state"] == "canceled"
    wait_for(lambda: not any(map(alive, [*pids, bridge])))


# -- through a node --------------------------------------------------------------------------------------


def test_a_node_runs_schedules_retries_and_hands_runs_by_hand_to_the_cluster(
    project: Project, cluster: Cluster
) -> None:
    body = """
        print("attempt", ctx.attempt)
        ctx.step("once", lambda: note("step") or 1)
        if ctx.attempt == 1: raise RuntimeError("once more")
        return "RAY_RAYLET_PID" in os.environ
    """
    (project.root / "jobrunner.yaml").write_text(
        f"executor: ray\nexecutors:\n  ray:\n    address: {cluster.address}\n    num_cpus: 0.5\n"
    )
    project.job("far", body, numberOfExecutions=1, retries={"max": 1, "delay": 0})
    assert project.start("--until-done").wait(PATIENCE) == 0
    first, second = project.history("far")
    assert (first["state"], second["state"], second["result"]) == ("failed", "succeeded", True)
    assert project.notes() == ["step"]
    assert project.run("logs", str(first["id"]), check=0).stdout == "attempt 1\n"
    project.job("by-hand", 'return "RAY_RAYLET_PID" in os.environ', schedule=None)
    assert json.loads(project.run("run", "by-hand", check=0).stdout) is True


def test_a_node_that_is_killed_leaves_its_run_lost_and_not_running(
    project: Project, cluster: Cluster
) -> None:
    body = "open('run', 'w').write(str(os.getpid()))\nimport time\nwhile True: time.sleep(0.01)"
    executor = {"name": "ray", "address": cluster.address}
    project.job("far", body, numberOfExecutions=1, executor=executor)
    node = project.start()
    wait_until(lambda: (project.root / "run").exists(), "the run", PATIENCE)
    pid = pid_in(project.root / "run")
    node.kill()
    node.wait()
    wait_for(lambda: not alive(pid))
    again = project.start()
    wait_until(lambda: project.history("far")[-1]["state"] == "lost", "somebody to notice")
    assert stop(again) == 0
