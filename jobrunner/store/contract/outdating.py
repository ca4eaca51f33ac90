"""Promises about steps that rest on what has changed: they are taken back, and done again."""

# ruff: noqa: D102  (the titles are the promises)

from __future__ import annotations

from jobrunner.store.contract.things import Bench, at

BY_RESULT = {"target": ":take_back", "args": None, "given": False}


class Outdating(Bench):
    """Redoing steps."""

    def test_an_outdated_step_is_still_to_be_taken_back_by_its_result_until_that_was_done(self) -> None:
        run = self.going(self.loose).run
        self._do(run.id, result=1)
        assert self.store.redo_step(run, "a")
        assert self.store.steps(run.id)[0].result == 1
        assert self.store.to_undo(run.id)
        self.store.undone(run, "a", None, at(9))
        assert not self.store.to_undo(run.id)

    def test_what_was_done_again_is_to_be_taken_back_again(self) -> None:
        run = self.going(self.loose).run
        self._do(run.id, result=1)
        self.store.redo_step(run, "a")
        self.store.undone(run, "a", None, at(9))
        self._do(run.id, result=2)
        assert self.store.to_undo(run.id)
        assert self.store.steps(run.id)[0].undone is None

    def _do(self, run_id: int, result: int) -> None:
        run = self.store.run(run_id)
        assert run is not None
        self.store.begin_step(run, "a", BY_RESULT, at(8))
        self.store.end_step(run, "a", tries=1, result=result, effects=None, error=None, now=at(8))
