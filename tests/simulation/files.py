"""The job files: configs by name, as somebody edits them, and the definitions that they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from jobrunner import config
from jobrunner.model import Job
from tests.simulation.script import Config


class Files:
    """What lies in the jobs folder now; `version` rises with each edit. `known` has whatever lay there."""

    def __init__(self, configs: Sequence[Config]) -> None:
        self.configs = {each["name"]: dict(each) for each in configs}
        self.version = 0
        self.known: dict[str, Job] = {}
        self._jobs: dict[str, Job] = {}
        self._renamed = 0
        self._keep()

    def jobs(self) -> list[Job]:
        """Return the definitions, by name."""
        return list(self._jobs.values())

    def job(self, name: str) -> Job | None:
        """Return one of them."""
        return self._jobs.get(name)

    def pick(self, which: int) -> str | None:
        """Return the name of one of them."""
        names = sorted(self.configs)
        return names[which % len(names)] if names else None

    def edit(self, name: str, said: Config, *, whole: bool) -> None:
        """Write a job anew; with `whole` false only its schedule and its limit."""
        keys = said if whole else [key for key in ("schedule", "numberOfExecutions") if key in said]
        new = {key: said[key] for key in keys}
        old: Config = {} if whole else self.configs.get(name, {})
        self.configs[name] = {**old, **new, "name": name, **_names(self.configs.get(name, {}))}
        self._changed()

    def remove(self, name: str) -> None:
        """Delete a file."""
        del self.configs[name]
        self._changed()

    def rename(self, name: str) -> str:
        """Give a job another name; returns it."""
        self._renamed += 1
        new = f"{name.partition('.')[0]}.{self._renamed}"
        old = self.configs.pop(name)
        self.configs[new] = {**old, "name": new, "formerNames": [*old.get("formerNames", ()), name]}
        self._changed()
        return new

    def _changed(self) -> None:
        self.version += 1
        self._keep()

    def _keep(self) -> None:
        said = (json.dumps(each, sort_keys=True) for _, each in sorted(self.configs.items()))
        self._jobs = {job.name: job for job in map(_job, said)}
        self.known |= {job.hash: job for job in self.jobs()}


def _names(old: Config) -> Config:
    return {"formerNames": old["formerNames"]} if "formerNames" in old else {}


@lru_cache(maxsize=4096)
def _job(text: str) -> Job:
    said = json.loads(text)
    place = config.Place(f"/nowhere/jobs/{said['name']}.py", "/nowhere/jobs", "c0ffee")
    job, errors = config.read(config.Written(said, f"jobs/{said['name']}.py"), place, "UTC")
    if job is None:
        raise errors[0]
    return job
