from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.system.faketime import WallClock

SAY = """
import sys, time
print(time.time(), time.monotonic(), flush=True)
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""
DAY = 86_400.0


def test_a_process_has_a_wall_clock_of_its_own_and_others_have_not(wall_clock: WallClock) -> None:
    wall_clock.set(3 * DAY)
    with subprocess.Popen(
        [sys.executable, "-c", SAY], env={**os.environ, **wall_clock.environment}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        wall, monotonic = map(float, child.stdout.readline().split())
        assert wall - time.time() > 2 * DAY
        assert abs(monotonic - time.monotonic()) < DAY / 2
        wall_clock.set(-DAY)
        print(file=child.stdin, flush=True)
        assert float(child.stdout.readline().split()[0]) < time.time() - DAY / 2
        child.stdin.close()


def test_a_process_with_a_wall_clock_of_its_own_can_sleep(wall_clock: WallClock) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(0.01)"]
    subprocess.run(command, env={**os.environ, **wall_clock.environment}, check=True)
