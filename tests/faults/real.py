"""python -m tests.faults.real [--workers 2] [WORD ...]: the crash table with real processes.

Each cell is a node to which something happens at a fail point, and another one that works afterwards. That
takes seconds, so `make test` has stand-ins for processes, and `make test-system` a thin sample of this.
A file is never gone: there "dbgone" is left to the stand-ins.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import product, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.faults.matrix import ACTIONS, DELIVERIES, ONCE, POINTS, Point, may_begin, promised
from tests.lifecycle.project import PATIENCE, Project, failing, tagged, thaw, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.cut import Cut
from tests.postgres.server import Server

BODY = """
note(f"attempt {ctx.attempt}")
state.set("count/sole", state.get("count/sole", 0) + 1)
"""
FROZEN = 300  # seconds; whoever froze it thaws it before
LEASE = "2s"


class Cell(NamedTuple):
    """One test. `store` is sqlite or postgres."""

    point: Point
    action: str
    delivery: str
    store: str

    def __str__(self) -> str:
        return f"{self.store} {self.point}, {self.action}, {self.delivery}"


def cells() -> list[Cell]:
    """Return those that can be had: the commits of a file, and the body at work, have no fail point."""
    every = (Cell(*each) for each in product(POINTS, ACTIONS, DELIVERIES, ("sqlite", "postgres")))
    return [each for each in every if _can_be_had(each)]


def _can_be_had(cell: Cell) -> bool:
    if cell.point.name == "working" or cell.point.behind:
        return False
    return (cell.action, cell.store) != ("dbgone", "sqlite")


# -- one cell ---------------------------------------------------------------------------------------


def play(cell: Cell, folder: Path, server: Server | None) -> None:
    """Raise AssertionError where the promise is not kept."""
    with _project(cell, folder, server) as (project, cut):
        job = project.job(
            "sole", BODY, schedule="0 0 1 1 *", runOnStart=True, numberOfExecutions=1,
            delivery=cell.delivery, retries={"max": 0, "delay": "100ms"},
        )  # fmt: skip
        job.write_text(job.read_text().replace("def default(ctx):", "def default(ctx, state):"))
        _befall(cell, project, cut)
        last = project.start("--until-done", TEST_TAG=str(folder))
        assert last.wait(PATIENCE) == 0, project.words()
        wait_until(lambda: not tagged(str(folder)), "all processes to be gone")
        _compare(cell, project)


@contextmanager
def _project(cell: Cell, folder: Path, server: Server | None) -> Iterator[tuple[Project, Cut | None]]:
    with ExitStack() as stack:
        if cell.store == "sqlite":
            project, cut = Project(folder / "p"), None
        else:
            assert server is not None
            schema = f"cell_{os.urandom(6).hex()}"
            cut = stack.enter_context(Cut(server))
            project = Shared(folder / "p", server, schema, cut.url(schema), grace="5s")
            project.environment["JOBRUNNER_LEASE"] = "20s" if cell.action == "dbgone" else LEASE
        stack.callback(project.end)
        yield project, cut


def _befall(cell: Cell, project: Project, cut: Cut | None) -> None:
    """Start the first node, and let it happen."""
    mark = project.root / "mark"
    action = cell.action if cell.action in ("kill", "raise") else f"freeze:{FROZEN}"
    faults = failing(f"{cell.point.name}:{action}", mark)
    node = project.start("--until-done", TEST_TAG=str(project.root.parent), **faults)
    wait_until(mark.exists, "the point")
    HAPPENS[cell.action](project, node, cut)
    assert mark.read_text() == f"{cell.point.name} 1\n"


def _dies(_: Project, node: subprocess.Popen[bytes], __: Cut | None) -> None:
    assert node.wait(PATIENCE) == -signal.SIGKILL


def _falls_over(project: Project, node: subprocess.Popen[bytes], _: Cut | None) -> None:
    assert node.wait(PATIENCE) == 1
    assert "this is a flaw of jobrunner; please report it" in project.words()
    assert "Traceback" not in project.words()


def _stands_still(project: Project, node: subprocess.Popen[bytes], _: Cut | None) -> None:
    """Another node looks on for longer than a lease, and does what is to be done."""
    other = project.start("--until-done", "--for", "6s", "--node", "two", TEST_TAG=str(project.root.parent))
    if isinstance(project, Shared):
        assert other.wait(PATIENCE) == 0, project.words()
    else:
        other.wait(PATIENCE)
    thaw(node)
    assert node.wait(PATIENCE) == 0, project.words(0)


def _is_cut_off(project: Project, node: subprocess.Popen[bytes], cut: Cut | None) -> None:
    assert cut is not None
    cut.cut()
    thaw(node)
    wait_until(lambda: "trying again" in project.words(0) or node.poll() is not None, "it to notice")
    cut.heal()
    assert node.wait(PATIENCE) == 0, project.words(0)


HAPPENS: dict[str, Callable[[Project, subprocess.Popen[bytes], Cut | None], None]] = {
    "kill": _dies, "raise": _falls_over, "freeze": _stands_still, "dbgone": _is_cut_off,
}  # fmt: skip


def _compare(cell: Cell, project: Project) -> None:
    ledger = [(run["attempt"], run["state"], run["reason"]) for run in project.history("sole")]
    expected = promised(cell.point, cell.action, cell.delivery, cell.store)
    # what a node that falls over tells its child to end may have ended well before it heard of that
    assert ledger == expected or (cell.action == "raise" and ledger == ONCE), ledger
    notes = project.notes()
    assert notes.count("attempt 1") in may_begin(cell.point, cell.action, ledger), notes
    assert len(notes) - notes.count("attempt 1") == len(ledger) - 1, notes
    assert project.ls("sole")["executions"] == 1
    if cell.delivery == "exactly-once":
        assert project.ask("SELECT value FROM {schema}.documents WHERE key = 'count/sole'") == [("1",)]


# -- many of them -----------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    """Play the cells that all the words are in; returns 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.real", description="The crash table.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("words", nargs="*", help="only the cells with these in their names")
    asked = parser.parse_args(words)
    chosen = [each for each in cells() if all(word in str(each) for word in asked.words)]
    began = time.monotonic()
    with Server(fsync=False) as server, ProcessPoolExecutor(asked.workers) as pool:
        broken = sum(pool.map(_is_broken, chosen, repeat(server.folder)))
    print(f"{len(chosen)} cells, {time.monotonic() - began:.0f} s; {broken} broken")
    return 1 if broken else 0


def _is_broken(cell: Cell, server: Path) -> bool:
    """Play a cell, in a process of its own; say what is wrong with it."""
    joined = Server.at(server)
    assert joined is not None
    try:
        with TemporaryDirectory() as folder:
            play(cell, Path(folder), joined)
    except Exception as error:
        print(f"{cell}: {error!r:.600}", flush=True)
        return True
    finally:
        joined.leave()
    return False


if __name__ == "__main__":
    sys.exit(main())
