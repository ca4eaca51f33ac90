"""A chain whose attempts run in real processes, and a node that keeps its steps in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobrunner.executor.happened import Asked
from jobrunner.model import Outcome
from tests.executor.household import Household

NEW: dict[str, Any] = {
    "state": "running", "tries": 0, "result": None, "error": None, "effects": None, "undo": None,
    "undone": None,
    "undoError": None,
}  # fmt: skip


class Chain(Household):
    """`attempt` runs the body once more; `steps` is what was kept, by path, in the order of beginning.

    `documents` has (value, version) by key.
    """

    def __init__(self, root: Path, **more: Any) -> None:
        super().__init__(root, lock_path=str(root / "zygote.lock"), **more)
        self.steps: dict[str, dict[str, Any]] = {}
        self.said: list[Asked] = []
        self.documents: dict[str, tuple[Any, int]] = {}
        self.refuse: set[str] = set()  # verbs that are answered with `superseded`
        self._heard = 0

    def attempt(self, body: str = "", **facts: Any) -> Outcome:
        """Run the body, or what it was before, with the steps kept so far."""
        if body:
            self.write("from jobrunner.workflow import step, undo\n" + body)
        return self.finish(self.begin(**facts))

    def begin(self, **facts: Any) -> int:
        """Start an attempt; returns the run's id."""
        steps = [{"path": path, **step} for path, step in self.steps.items()]
        return self.start(steps=steps, **{"rootId": 1, **facts})

    def turn(self, wait: float = 0.05) -> None:
        super().turn(wait)
        news = [one for one in self.events[self._heard :] if isinstance(one, Asked)]
        self._heard = len(self.events)
        for asked in news:
            self.said.append(asked)
            self.pool.answer(asked.run_id, asked.number, self._answer(asked.verb, dict(asked.payload)))

    def _answer(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        if verb in self.refuse:
            return {"error": {"code": "superseded", "message": "this run was given up", "hint": None}}
        if verb == "call":
            return {"id": 100 + len(self.said), "at": 5}
        if verb.startswith("state."):
            return self._documents(verb, payload)
        if not verb.startswith("step."):
            return {}
        path = payload.pop("path")
        step = self.steps.setdefault(path, dict(NEW))
        if verb == "step.begin":
            step.update(NEW, undo=payload["undo"])
        elif verb == "step.end":
            step.update(payload, state="failed" if payload["error"] else "done")
        elif verb == "step.undone":
            step.update(undone="failed" if payload["error"] else "done", undo_error=payload["error"])
        elif verb == "step.wait" and step["state"] == "running":
            step.update(state="waiting", timeout=payload["timeout"])
        if verb == "step.wait":
            return {"state": step["state"], "result": step["result"], "failure": step["error"]}
        return {}

    def _documents(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        if verb == "state.get":
            value, version = self.documents.get(payload["key"], (None, 0))
            return {"value": value, "version": version}
        if verb == "state.list":
            rows = [[key, *found] for key, found in sorted(self.documents.items())]
            return {"documents": [row for row in rows if row[0].startswith(payload["prefix"])], "more": False}
        for key, value, _ in payload["writes"]:
            self.document(key, value)
        return {"existed": [True] * len(payload["writes"])}

    def document(self, key: str, value: Any) -> None:
        """Write a document: it gets the next version."""
        self.documents[key] = value, self.documents.get(key, (None, 0))[1] + 1

    def told(self, at: int = -1) -> dict[str, Any]:
        """Return the effects that the runs so far have told their commits: those of the last one."""
        return dict([one.payload for one in self.said if one.verb == "effects"][at])

    def complete(self, path: str, result: Any = None, error: dict[str, Any] | None = None) -> None:
        """End a waiting step from outside."""
        self.steps[path].update(state="failed" if error else "done", result=result, error=error)

    def states(self) -> dict[str, str]:
        return {path: step["state"] for path, step in self.steps.items()}

    def notes(self) -> list[str]:
        """Return what bodies have noted by `note(text)`."""
        file = self.root / "notes"
        return file.read_text("utf-8").splitlines() if file.exists() else []


NOTE = """
def note(text):
    with open("notes", "a") as file:
        file.write(f"{text}\\n")
"""
