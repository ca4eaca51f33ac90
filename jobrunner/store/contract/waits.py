"""Short words for tests of what waits."""

from __future__ import annotations

from typing import Any

from jobrunner.model import Job, Run
from jobrunner.store.base import Claim
from jobrunner.store.contract.things import Bench, at


class Waits(Bench):
    """A bench with runs that wait for a step to be completed."""

    def _waiting(self, job: Job, *paths: str) -> Claim:
        """Return a running run whose steps wait until second 90."""
        claim = self.going(job)
        for path in paths or ("approval",):
            self.store.wait_step(claim.run, path, at(90), at(40))
        return claim

    def _suspended(self, job: Job) -> Run:
        """Return a waiting run."""
        return self._suspend_one(self._waiting(job))

    def _suspend_one(self, claim: Claim) -> Run:
        if not self.store.steps(claim.run.root_id):
            self.store.wait_step(claim.run, "approval", at(90), at(40))
        assert self.store.suspend(claim.run, 0, at(45))
        return self.found(claim.run.id)

    def _complete(self, run: Run, path: str, *, result: Any = None, error: Any = None) -> Run:
        return self.again().complete(run.id, path, result=result, error=error, now=at(50))
