"""A run that takes more memory than it may dies alone, and says why."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from jobrunner import processes
from jobrunner.executor import memory
from jobrunner.executor.happened import Began
from tests.executor.household import Household, alive, pid_in

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_DATA and /proc")
MB = 1_000_000
TREE = """
import os, time
def hold(size):
    block = bytearray(size)
    for at in range(0, size, 4096): block[at] = 1
    return block
def default(container, ctx):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            block = hold(80_000_000)
            open("holder.tmp", "w").write(str(os.getpid())); os.rename("holder.tmp", "holder")
            time.sleep(1000)
        os._exit(0)
    block = hold(80_000_000)
    time.sleep(1000)
"""


@linux
def test_a_body_that_asks_for_too_much_gets_a_memory_error(house: Household) -> None:
    outcome = house.run("def default(ctx): return len(bytearray(500_000_000))", memoryLimit=200 * MB)
    assert outcome.error is not None
    assert (outcome.state, outcome.error["type"], outcome.error["phase"]) == ("failed", "MemoryError", "body")
    assert "bytearray(500_000_000)" in outcome.error["traceback"]


@linux
@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("bytearray(500_000_000)", "memoryLimit is 200 MB"),
        ("raise MemoryError('no room')", "no room; memoryLimit is 200 MB"),
    ],
)
def test_a_memory_error_names_the_limit(house: Household, raised: str, message: str) -> None:
    outcome = house.run(f"def default(ctx): {raised}", memoryLimit=200 * MB)
    assert outcome.error is not None
    assert outcome.error["message"] == message


def test_a_memory_error_without_a_limit_blames_none(house: Household) -> None:
    outcome = house.run("def default(ctx): raise MemoryError('no room')")
    assert outcome.error is not None
    assert outcome.error["message"] == "no room"


@linux
def test_a_memory_error_can_be_caught_and_clean_ups_get_none(house: Household) -> None:
    (house.root / "services.py").write_text(
        "import resource\ndef register(container): container.register('db', db)\n"
        "def db():\n    yield 1\n    print(resource.getrlimit(resource.RLIMIT_DATA)[0] == 200_000_000)\n"
    )
    outcome = house.run(
        """
        def default(db):
            try: bytearray(500_000_000)
            except MemoryError: return "caught"
        """,
        memoryLimit=200 * MB,
    )
    assert (outcome.result, house.log(1)) == ("caught", b"False\n")


@linux
def test_the_limit_of_one_run_is_not_that_of_the_next_in_its_process(house: Household) -> None:
    house.write(
        """
        import os, resource
        def default(ctx):
            return [os.getpid(), *resource.getrlimit(resource.RLIMIT_DATA)]
        """
    )
    before, limited, after = (
        house.finish(house.start(runs=3, memoryLimit=limit)).result for limit in (None, 300 * MB, None)
    )
    assert limited == [before[0], 300 * MB, before[2]]
    assert after == before


@linux
def test_a_tree_that_holds_too_much_is_killed_whole_and_told_both_figures(house: Household) -> None:
    house.write(TREE)
    run_id = house.start(memoryLimit=130 * MB)
    holder = pid_in(house.root / "holder")
    outcome = house.finish(run_id)
    assert outcome.error is not None
    assert (outcome.state, outcome.reason, outcome.error["type"]) == ("failed", None, "MemoryLimit")
    held, limit = (float(word) for word in outcome.error["message"].split() if word[0].isdigit())
    assert limit == 130
    assert 130 < held < 400
    assert not alive(holder)
    with pytest.raises(ProcessLookupError):
        os.kill(holder, 0)


SHARED = """
import mmap, os, time
def default(ctx):
    block = {block}
    for at in range(0, len(block), 4096): block[at] = 1
    for _ in range({forks}):
        if os.fork() == 0:
            for at in range(0, len(block), 4096): block[at]
            time.sleep(1000)
    while not ctx.cancelled: time.sleep(0.01)
"""


@linux
@pytest.mark.parametrize("forks", [0, 2])
def test_shared_memory_counts_like_any_other(house: Household, forks: int) -> None:
    outcome = house.run(SHARED.format(block="mmap.mmap(-1, 200_000_000)", forks=forks), memoryLimit=130 * MB)
    assert outcome.error is not None
    assert (outcome.state, outcome.error["type"]) == ("failed", "MemoryLimit")
    held = float(outcome.error["message"].split()[3])
    assert 130 < held < 300


@linux
@pytest.mark.parametrize("block", ["mmap.mmap(-1, 60_000_000)", "bytearray(60_000_000)"])
def test_what_forks_share_counts_once(house: Household, block: str) -> None:
    house.write(SHARED.format(block=block, forks=4))
    run_id = house.start(memoryLimit=200 * MB)
    house.until(lambda: house.began(run_id))
    began = next(one for one in house.events if isinstance(one, Began))
    house.until(lambda: memory.held(began.pid) > 300 * MB)
    limit = time.monotonic() + 2.5 * memory.LOOK_EVERY
    while time.monotonic() < limit:
        house.turn()
    assert house.ended(run_id) is None
    house.pool.stop(run_id, "canceled", None)
    assert house.finish(run_id).state == "succeeded"


@linux
def test_a_process_whose_share_nobody_tells_weighs_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    told = memory._told
    monkeypatch.setattr(
        memory, "_told", lambda pid, name, *rest: None if "maps" in name else told(pid, name, *rest)
    )
    assert 0 < memory.weighed(os.getpid()) <= memory.held(os.getpid()) + 50 * MB


@linux
def test_a_tree_within_its_limit_is_left_alone(house: Household) -> None:
    house.write(TREE.replace("time.sleep(1000)", "while not ctx.cancelled: time.sleep(0.01)"))
    run_id = house.start(memoryLimit=1000 * MB)
    pid_in(house.root / "holder")
    limit = time.monotonic() + 2.5 * memory.LOOK_EVERY
    while time.monotonic() < limit:
        house.turn()
    assert house.ended(run_id) is None
    house.pool.stop(run_id, "canceled", None)
    assert house.finish(run_id).state == "succeeded"


@linux
def test_only_a_run_with_a_limit_is_weighed(house: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[int] = []

    def held(pid: int) -> int:
        weighed.append(pid)
        return 0

    monkeypatch.setattr(memory, "held", held)
    body = "import time\ndef default(ctx): time.sleep(1.3)"
    house.run(body)
    assert weighed == []
    house.run(body, memoryLimit=900 * MB)
    assert len(weighed) >= 2


@linux
def test_the_node_wakes_in_time_to_weigh_a_run_that_says_nothing(zygote_house: Household) -> None:
    zygote_house.write("import time\ndef default(ctx): time.sleep(1000)")
    run_id = zygote_house.start(memoryLimit=900 * MB)
    zygote_house.until(lambda: zygote_house.began(run_id))
    now = time.monotonic()
    for _ in range(3):
        deadline = zygote_house.pool.next_deadline()
        assert deadline is not None
        assert deadline <= now + memory.LOOK_EVERY
        now = max(now, deadline)
        zygote_house.pool.tick(now)


def test_where_nobody_can_tell_no_run_is_weighed(house: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "supported", lambda: False)
    monkeypatch.setattr(memory, "held", lambda _: 1 << 60)
    body = "import time\ndef default(ctx): time.sleep(0.8)"
    assert house.run(body, memoryLimit=900 * MB).state == "succeeded"


@linux
def test_supported_says_whether_the_kernel_tells_and_held_counts_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert memory.supported()
    before = memory.held(os.getpid())
    block = bytearray(os.urandom(1)) * (60 * MB)
    assert 50 * MB < memory.held(os.getpid()) - before < 90 * MB
    del block
    assert memory.held(2**22 + 1) == 0  # nobody
    monkeypatch.setattr(processes, "LINUX", False)
    assert not memory.supported()


def test_a_look_is_taken_each_half_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "held", lambda _: 12)
    monkeypatch.setattr(memory, "weighed", lambda _: 11)
    scale = memory.Scale(10, 100.0)
    assert [scale.excess(1, now) for now in (100.0, 100.4, 100.5, 100.6, 101.0)] == [
        None, None, 11, None, 11,
    ]  # fmt: skip
    assert scale.excess(0, 200.0) is None  # its pid is not known yet


def test_a_hungry_run_harms_no_other(zygote_house: Household, tmp_path: Path) -> None:
    zygote_house.write("import time\ndef default(ctx): time.sleep(0.8); return 'fine'", "other")
    other = zygote_house.start("other")
    outcome = zygote_house.run("def default(ctx): bytearray(900_000_000)", memoryLimit=200 * MB)
    assert (outcome.state, zygote_house.finish(other).result) == ("failed", "fine")
