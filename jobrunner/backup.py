"""A state as one SQLite file, made while nodes work, and never half.

A backup is the same state at an earlier moment, without nodes: none of them will come back on it. What was
running is lost in it, as it would be had the machine died at that moment, and is tried again or not as its
job asks for: the next node on a restored state finds nothing that waits for the dead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from jobrunner.aftermath import Aftermath
from jobrunner.clock import Instant
from jobrunner.errors import Refused, StateError
from jobrunner.model import Outcome, Run
from jobrunner.moving import movable, transfer
from jobrunner.restoring import restored
from jobrunner.settings import Settings
from jobrunner.store import open_store
from jobrunner.store.base import Store
from jobrunner.store.moving import Movable

Roles = Mapping[str, str]
JOURNALS = ("-wal", "-shm", "-journal")


def backup(store: Store, settings: Settings, file: Path, now: Instant) -> int:
    """Write the state into `file`, for its owner only; returns how many runs are lost in it.

    Raises Refused where there is such a file, and StateError; then nothing is left of it.
    """
    source = movable(store)
    _refuse_taken(file)
    with _unfinished(file) as new:
        roles = _write(source, str(store.info()["state_id"]), new)
        lost = _part(new, settings, roles, now)
        _publish(new, file)
    return lost


def _refuse_taken(file: Path) -> None:
    for each in (file, *(Path(f"{file}{suffix}") for suffix in JOURNALS)):
        if os.path.lexists(each):
            raise Refused(f"{each} is there already", hint="name another file; nothing is overwritten")
    if not file.parent.is_dir():
        raise Refused(f"there is no folder {file.parent}", hint="make it, or name another")


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """Yield a name beside the file, of which nothing is left afterwards."""
    new = Path(f"{file}.{os.urandom(4).hex()}.new")
    try:
        yield new
    finally:
        for suffix in ("", *JOURNALS):
            Path(f"{new}{suffix}").unlink(missing_ok=True)


def _write(source: Movable, state_id: str, new: Path) -> Roles:
    """Write all as of one moment; returns what the nodes were there for that are not in the file."""
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        said = f"{new.parent} cannot be written to: {error.strerror}"
        raise StateError(said, hint="check its permissions, or name another folder") from error
    if source.duplicate(str(new)):
        return {}
    new.unlink()
    with source.reading() as reading, _opened(new, create=True) as store:
        reading.understood()
        with movable(store).writing() as target:
            compared = transfer(reading, target, state_id)
            if not all(each.same for each in compared):
                raise StateError("the backup is not the same as the state", hint="please report this")
        return reading.roles()


@contextmanager
def _opened(new: Path, *, create: bool = False) -> Iterator[Store]:
    """Open a file that nobody else knows; it is brought to the disk when it is finished."""
    url = f"sqlite://{new.absolute()}"
    with closing(open_store(url, create=create, allow_network_fs=True, durable=False)) as store:
        yield store


def _part(new: Path, settings: Settings, roles: Roles, now: Instant) -> int:
    """Let the nodes go, and settle what they were running; returns how much that was."""
    with _opened(new) as store:
        with movable(store).reading() as reading:
            roles, owners = {**roles, **reading.roles()}, reading.owners()
        with store.transaction():
            movable(store).dissolve()
            lost = [run for owner in owners for run in store.recover(owner, now)]
            aftermath = Aftermath(store, lambda name: restored(store, settings, name), settings.node)
            for run in lost:
                outcome = Outcome(state="lost", error=run.error)
                aftermath.settle(run, outcome, now, last=_is_last(run, roles))
    return len(lost)


def _is_last(run: Run, roles: Roles) -> bool:
    """Say whether a lost run is not to be tried again: somebody asked it to end, or ran it by hand."""
    return run.asked is not None or roles.get(run.owner or "") == "run"


def _publish(new: Path, file: Path) -> None:
    """Bring it to the disk, and give it its name, unless somebody else was quicker."""
    _sync(new)
    try:
        file.hardlink_to(new)
    except FileExistsError:
        raise Refused(f"{file} is there already", hint="name another file; nothing is overwritten") from None
    except OSError:  # a file system without hard links
        _refuse_taken(file)
        new.rename(file)
    with suppress(OSError):  # not every system lets a folder be synced
        _sync(file.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
