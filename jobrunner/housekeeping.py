"""The jobs that come with jobrunner: hidden, and otherwise like any other.

`jobrunner.prune` is on every node; `jobrunner.exec` stands for whatever file somebody runs by hand, so that
such a run has a row, and with it documents, calls and steps.

What `jobrunner.prune` needs to know travels with the run, see `own_settings`, and is never stored: the
state's address may hold a password.
"""

# ruff: noqa: PTH112, PTH113, PTH120  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.errors import ConfigError
    from jobrunner.model import Job

PRUNE = "jobrunner.prune"
EXEC = "jobrunner.exec"
EXEC_PARAMS = ("file", "args")  # what `exec` itself gives: the file's path, and the words behind it
TARGET = "jobrunner.pruning:prune"
BARE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "store", "migrations")  # no module is in it
CONFIG: Mapping[str, Any] = {
    "schedule": "every 1h after end",  # after a long sleep one is late, and none was missed
    "description": "Delete runs that are older than the settings' retention.",
    "hidden": True,
    "timeout": "10m",
}


def is_ours(name: str) -> bool:
    """Say whether a name is that of a job that comes with jobrunner."""
    return name.casefold() in (PRUNE, EXEC)


def prune_job(settings: Settings) -> Job:
    """Return `jobrunner.prune` as jobrunner.yaml changes it. Raises ConfigError for a key that cannot be."""
    from jobrunner.config import Place, Written, read
    from jobrunner.discovery.entries import Overrides
    from jobrunner.errors import ConfigError

    short = PRUNE.rpartition(".")[2]  # a reader refuses the whole name, to keep it for us
    written, over = Written({"name": short, **CONFIG}, PRUNE), Overrides(settings).of(PRUNE)
    job, errors = read(written, Place("", "", ""), settings.timezone, over)
    if job is None:
        raise errors[0]
    if job.executor.name != "process":
        said = f"the executor of {PRUNE} cannot be another: it works on the state, beside the node"
        raise ConfigError(said, hint="remove it", file=over[0].file, line=over[0].line, key="executor")
    return job._replace(name=PRUNE, file="", target=TARGET, config={**job.config, "name": PRUNE})


def exec_job(file: str, settings: Settings) -> Job:
    """Return the job that runs the default function of a file, named as people type it.

    Raises ConfigError for what is no such file, and for one without a clear function to call.
    """
    from jobrunner.discovery import syntax
    from jobrunner.discovery.files import read_source
    from jobrunner.errors import ConfigError
    from jobrunner.fingerprint import sha256
    from jobrunner.model import Job

    path = os.path.abspath(file)  # links stay as they are: they say where the siblings lie
    if not os.path.isfile(path):
        said = f"{file} is a folder" if os.path.isdir(path) else f"there is no file {file}"
        raise ConfigError(said, hint="name a Python file with a function: def default(container): ...")
    try:
        source = read_source(path)
        doc, parameters = syntax.script(source)
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint, file=file, line=error.line) from None
    digest = sha256(source)
    return Job(
        name=EXEC, schedule=None, timezone=settings.timezone, file=file, path=path,
        folder=os.path.dirname(path), line=1, content_hash=digest, hash=digest,
        config={"name": EXEC, "schedule": None}, description=doc, concurrency="allow", hidden=True,
        parameters=parameters,
    )  # fmt: skip


def folder_of(job: Job, settings: Settings) -> str:
    """Return the folder that a job works in: the project's, but for a job of ours that needs none.

    That one must not find the project's modules and services. A state in a database has no folder.
    """
    if job.target != TARGET:
        return settings.project
    return settings.state_folder if os.path.isdir(settings.state_folder) else BARE


def built_in(settings: Settings) -> tuple[dict[str, Job], list[ConfigError]]:
    """Return the jobs that come with jobrunner, by name, and what is wrong with their overrides."""
    from jobrunner.errors import ConfigError

    try:
        return {PRUNE: prune_job(settings)}, []
    except ConfigError as error:
        return {}, [error]


def own_settings(job: Job, settings: Settings) -> Mapping[str, Any]:
    """Return what a run finds as `settings`: the project's section, or what a job of ours needs."""
    if job.target != TARGET:
        return settings.settings
    return {
        "state": settings.state,
        "allow_network_fs": settings.allow_network_fs,
        "retention": settings.retention,
        "retention_failed": settings.retention_failed,
        "retention_rows": settings.retention_rows,
        "retention_calls": settings.retention_calls,
    }
