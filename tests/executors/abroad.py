"""Runs by an executor of one's choice, in a household that has all pools of a node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobrunner.executor.happened import Asked
from jobrunner.executor.ondemand import OnDemand
from jobrunner.executor.pools import Pools
from jobrunner.model import Chosen, Outcome
from tests.executor.household import Household

FROM_NOBODY: dict[str, Any] = {}


class Abroad(Household):
    """`executor` is what all runs are done by that name no other."""

    pool: Pools  # type: ignore[assignment]

    def __init__(self, root: Path, executor: Chosen, **more: Any) -> None:
        super().__init__(root, **more)
        self.pool = Pools(self.selector, **self.more)
        self.executor = executor
        self.answered: set[int] = set()

    def start(
        self, name: str = "job", *, timeout: int | None = None, runs: int = 1,
        executor: Chosen | None = None, **facts: Any,
    ) -> int:  # fmt: skip
        self.until(lambda: bool(self.pool.ready))
        self.count += 1
        spec = self.spec(self.count, name, facts)
        self.pool.run(spec, self.pool.ready[0], timeout, runs, executor or self.executor)
        return self.count

    def launcher(self) -> Any:
        """Return the launcher of the one plug-in that is in use."""
        (pool,) = self.pool._others.values()
        assert isinstance(pool, OnDemand)
        return pool._launcher

    def up(self, body: str, **how: Any) -> int:
        """Write and start a body, and wait until it says that it is up."""
        self.write(body)
        run_id = self.start(**how)
        self.until(lambda: self.is_up(run_id) or self.ended(run_id) is not None)
        assert self.ended(run_id) is None, self.failure(run_id)
        return run_id

    def is_up(self, run_id: int) -> bool:
        """Both that it began and that it says so: words and output come by two ways, in any order."""
        return self.began(run_id) and b"up" in self.log(run_id)

    def failure(self, run_id: int) -> dict[str, Any]:
        """Return the error of a run that is over."""
        ended = self.ended(run_id)
        assert ended is not None and ended.outcome.error is not None, ended
        return dict(ended.outcome.error)

    def error(self, outcome: Outcome) -> dict[str, Any]:
        assert outcome.error is not None, outcome
        return dict(outcome.error)

    def asks(self, run_id: int, verb: str, answer: dict[str, Any]) -> Asked:
        """Wait for a request that nobody has answered, and answer it."""

        def found() -> Asked | None:
            mine = [one for one in self.asked(run_id) if one.verb == verb]
            return next((one for one in mine if one.number not in self.answered), None)

        self.until(lambda: found() is not None or self.ended(run_id) is not None)
        one = found()
        assert one is not None, self.ended(run_id)
        self.answered.add(one.number)
        self.pool.answer(run_id, one.number, answer)
        return one


def lives(root: Path, executor: Chosen, body: str) -> None:
    """Be a node that does one run, and never ends; print the pid of the launcher."""
    house = Abroad(root, executor, lock_path=str(root / "z.lock"))
    house.pool.start()
    house.write(body)
    house.start()
    print(house.launcher().pid, flush=True)
    while True:
        house.turn()


@contextmanager
def node_that_lives(root: Path, executor: Chosen, body: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Have such a node as a process of its own, to be killed; yields it, and its launcher's pid."""
    script = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from jobrunner.model import Chosen
from tests.executors.abroad import lives
lives(Path({str(root)!r}), Chosen({executor.name!r}, {dict(executor.options)!r}), {body!r})
"""
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert node.stdout is not None
    try:
        with node.stdout:
            yield node, int(node.stdout.readline())
    finally:
        node.kill()
        node.wait()
