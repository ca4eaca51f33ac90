"""What a job that hangs costs the others: how late 50 jobs start, each second, beside it and without it.

    python -m benchmarks.hung_job [--rounds 4] [--seconds 6]

One node, one script: the hanging job is due each second, too, and hangs only while a file is there. It
ignores TERM, and has a process in a session of its own; its time-out is 2 s. Rounds with and without it
take turns. Printed is the lateness from the due second to the body's first line, and what is left of the
hanging job in the process table a moment after the last round (its runs carry a mark).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.lifecycle.project import Project, stop, tagged, wait_until

JOBS = 50
QUICK = "import time; note(f'{ctx.scheduled_for.timestamp():.0f} {time.time():.6f}')"
HUNG = """
import signal, subprocess, time
if os.path.exists("hang"):
    os.environ["TEST_TAG"] = "hung"
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(f"hung-{os.getpid()}", "w").close()
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""


class Lateness(NamedTuple):
    """Milliseconds from the due second to a body's first line."""

    median: float
    p95: float
    worst: float
    runs: int

    @classmethod
    def of(cls, found: list[float]) -> Lateness:
        """Return the figures of some latenesses in seconds."""
        millis = sorted(each * 1000 for each in found)
        return cls(statistics.median(millis), millis[int(len(millis) * 0.95)], millis[-1], len(millis))

    def __str__(self) -> str:
        times = f"median {self.median:.1f} ms, p95 {self.p95:.1f} ms, worst {self.worst:.1f} ms"
        return f"{times} ({self.runs} runs)"


class Figures(NamedTuple):
    """What was measured. `ended`: hanging runs that timed out; `left`: processes of theirs at the end."""

    without: Lateness
    beside: Lateness
    ended: int
    left: int


def measure(root: Path, *, rounds: int, seconds: int) -> Figures:
    """Let 50 jobs run each second, in turns without and beside one that hangs."""
    project = Project(root)
    for number in range(JOBS):
        project.job(f"job-{number}", QUICK, misfireGrace="30s", concurrency="allow")
    project.job("hung", HUNG, timeout="2s")
    try:
        node = project.start("--slots", "12", "--grace", "1s")
        wait_until(lambda: len(project.notes()) > 2 * JOBS, "the jobs to run")
        hanging = _rounds(project, rounds, seconds)
        wait_until(lambda: not _left(root), "the last hanging run to be gone", 20)
        stop(node)
        return _figures(project, hanging)
    finally:
        project.end()


def _rounds(project: Project, rounds: int, seconds: int) -> dict[int, bool]:
    """Return which due seconds lie in a round with the hanging job; those at the edges are in none."""
    hanging: dict[int, bool] = {}
    hang = project.root / "hang"
    for number in range(2 * rounds):
        if number % 2:
            hang.touch()
            wait_until(lambda: _left(project.root), "a run to hang")
        else:
            hang.unlink(missing_ok=True)
            wait_until(lambda: not _left(project.root), "the hanging run to be gone")
        first = int(time.time()) + 2
        hanging |= dict.fromkeys(range(first, first + seconds), bool(number % 2))
        time.sleep(first + seconds - time.time())
    hang.unlink()
    return hanging


def _left(root: Path) -> list[int]:
    """Return what lives of hanging runs: those that wrote their number, and what they have started."""
    named = [int(path.name.partition("-")[2]) for path in root.glob("hung-*")]
    return [pid for pid in named if Path(f"/proc/{pid}").exists()] + tagged("hung")


def _figures(project: Project, hanging: dict[int, bool]) -> Figures:
    found: dict[bool, list[float]] = {False: [], True: []}
    for line in project.notes():
        due, began = line.split()
        if int(due) in hanging:
            found[hanging[int(due)]].append(float(began) - int(due))
    ended = [run for run in project.history("hung") if run["state"] == "timed_out"]
    return Figures(Lateness.of(found[False]), Lateness.of(found[True]), len(ended), len(_left(project.root)))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=6)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "project", rounds=args.rounds, seconds=args.seconds)
    print(f"without  {figures.without}")
    print(f"beside   {figures.beside}")
    print(f"{figures.ended} runs hung and were ended; {figures.left} of their processes are left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
