"""schedule: a loop of one's own around `run_pending`, as its page has it, but woken when the next is due.

PROGRAM each-second|idle COUNT|burst COUNT WHEN|start COUNT
"""

from __future__ import annotations

import sys
import time

import schedule

from benchmarks.peers.programs.body import note


def fill(command: str, numbers: list[float]) -> None:
    """Add the jobs that are asked for."""
    if command == "each-second":
        job = schedule.every(1).seconds
        job.do(lambda: note(job.next_run.timestamp()))  # it counts from its last run, not from the clock
    elif command == "burst":
        due = time.strftime("%H:%M:%S", time.localtime(numbers[1]))
        for _ in range(int(numbers[0])):
            schedule.every().day.at(due).do(note)
    else:
        for number in range(int(numbers[0])):
            far = time.strftime("%H", time.localtime(time.time() + 12 * 3600))
            schedule.every().day.at(f"{far}:{number % 60:02}").do(note)
    if command == "start":
        note()


if __name__ == "__main__":
    time.sleep(1 - time.time() % 1)  # it counts from its start: begin with a second
    fill(sys.argv[1], [float(each) for each in sys.argv[2:]])
    while True:
        time.sleep(max(0.0, schedule.idle_seconds() or 0.0))
        schedule.run_pending()
