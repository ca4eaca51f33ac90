"""Control: what people say that nodes go by. Whatever they say is seen by every node's next look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobrunner.clock import Instant
from jobrunner.errors import Refused
from jobrunner.facts import Definition, Pause
from jobrunner.model import Parameter
from jobrunner.store.sql.currency import go_on
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import OPEN, dumps, plain
from jobrunner.store.sql.untimely import Untimely


class Control(Untimely):
    """The verbs set_enabled, pause, resume, paused, override, overrides, reset, forget, definitions,
    executions_by_machine and machine_counts."""

    TOLD = "UPDATE meta SET currents = currents + 1"

    def _tell(self) -> None:
        """Let every node see that what it goes by has changed."""
        self._db.rows(self.TOLD)

    ENABLE = """
        UPDATE jobs SET enabled_override = ?2, enabled_reason = ?3,
               consecutive_failures = CASE WHEN CAST(?2 AS BIGINT) = 0 THEN consecutive_failures ELSE 0 END
        WHERE id = ?1"""

    def set_enabled(self, job_id: int, enabled: bool | None, reason: str | None, now: Instant) -> None:
        """See `Control.set_enabled`."""
        said = None if enabled is None else int(enabled)
        why = None if reason is None or enabled is None else plain(reason)
        with self._db.transaction():
            self._db.rows(self.ENABLE, (job_id, said, why))
            self._tell()

    # -- the pause -----------------------------------------------------------------------------------

    PAUSE = "UPDATE meta SET paused_at = ?, paused_by = ?, pause_reason = ? WHERE paused_at IS NULL"

    def pause(self, by: str, reason: str | None, now: Instant) -> bool:
        """See `Control.pause`; who paused first is kept."""
        values = (now, plain(by), None if reason is None else plain(reason))
        with self._db.transaction():
            new = self._db.change(self.PAUSE, values) == 1
            if new:
                self._tell()
        return new

    RESUME = """
        UPDATE meta SET paused_at = NULL, paused_by = NULL, pause_reason = NULL
        WHERE paused_at IS NOT NULL"""

    def resume(self, now: Instant) -> bool:
        """See `Control.resume`."""
        with self._db.transaction():
            ended = self._db.change(self.RESUME) == 1
            if ended:
                self._tell()
        return ended

    PAUSED = "SELECT paused_at, paused_by, pause_reason FROM meta WHERE paused_at IS NOT NULL"

    def paused(self) -> Pause | None:
        """See `Control.paused`."""
        found = self._db.row(self.PAUSED)
        return None if found is None else Pause(at=found[0], by=found[1], reason=found[2])

    # -- overrides -----------------------------------------------------------------------------------

    OVERRIDE = "UPDATE jobs SET overrides = ?2 WHERE id = ?1"

    def override(self, job_id: int, keys: Mapping[str, Any], now: Instant) -> None:
        """See `Control.override`."""
        text = dumps(dict(keys))
        with self._db.transaction():
            self._db.rows(self.OVERRIDE, (job_id, text))
            self._tell()

    OVERRIDES = "SELECT name, overrides FROM jobs WHERE overrides != '{}' ORDER BY name_key"

    def overrides(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Control.overrides`."""
        return dict(self._db.made(_named, self.OVERRIDES))

    # -- to start over, and to forget ----------------------------------------------------------------

    ZERO = "UPDATE cursors SET executions = 0 WHERE job_id = ?"
    NO_FAILURES = "UPDATE jobs SET consecutive_failures = 0 WHERE id = ?"

    def reset(self, job_id: int, now: Instant, *, schedule: bool = False) -> None:
        """See `Control.reset`."""
        with self._db.transaction():
            go_on(self._db, [job_id], now)
            self._db.rows(self.ZERO, (job_id,))
            self._db.rows(self.NO_FAILURES, (job_id,))
            if schedule:
                self._start_now(job_id, now)
            self._tell()

    # a streak of skips ends here, as in `rewind`: it would be extended backwards
    FROM_NOW = """
        UPDATE cursors SET consumed = ?2, anchor = ?2,
               ended_at = CASE WHEN ended_at > ?2 THEN ?2 ELSE ended_at END,
               skip_reason = NULL, skip_count = 0, skip_run = NULL
        WHERE job_id = ?1"""

    def _start_now(self, job_id: int, now: Instant) -> None:
        self._db.rows(self.FROM_NOW, (job_id, now))
        self._forget(job_id, None, now)

    LIVING_HOLDER = """
        SELECT n.node, n.pid FROM holdings h JOIN nodes n ON n.owner = h.owner
        WHERE h.job_id = ? ORDER BY n.started_at LIMIT 1"""
    BUSY = f"""
        SELECT id, state FROM runs INDEXED BY runs_open
        WHERE job_id = ? AND {OPEN} AND state != 'pending'
        ORDER BY id LIMIT 1"""  # noqa: S608
    FORGET_JOB = "DELETE FROM jobs WHERE id = ?"  # its rows elsewhere go by the foreign keys

    def forget(self, job_id: int) -> None:
        """See `Control.forget`."""
        with self._db.transaction():
            busy = self._db.row(self.BUSY, (job_id,))
            if busy is not None:
                run_id, state = busy
                hint = f"wait for its end, or `jobrunner cancel {run_id} --wait`"
                raise Refused(f"run {run_id} is {state}", hint=hint)
            holder = self._db.row(self.LIVING_HOLDER, (job_id,))
            if holder is not None:
                node, pid = holder
                hint = "it lets go when it ends, or reads its files anew; one that died, at the next start"
                raise Refused(f"node {node} (pid {pid}) holds its definition", hint=hint)
            self._db.rows(self.FORGET_JOB, (job_id,))
            self._tell()

    # -- to read -------------------------------------------------------------------------------------

    DEFINITIONS = """
        SELECT d.job_id, j.name, d.hash, d.file, d.config, d.parameters
        FROM jobs j JOIN definitions d ON d.job_id = j.id AND d.hash = j.definition_hash"""
    ALL_DEFINITIONS = f"{DEFINITIONS} ORDER BY j.name_key"
    DEFINITION = f"{DEFINITIONS} WHERE j.name_key = ?"
    HELD_DEFINITION = f"""{DEFINITION} AND EXISTS (
        SELECT 1 FROM holdings h WHERE h.job_id = j.id AND h.hash = j.definition_hash)"""  # noqa: S608

    def definitions(self) -> list[Definition]:
        """See `Control.definitions`; by name."""
        return self._db.made(_definition, self.ALL_DEFINITIONS)

    def definition(self, name: str, *, held: bool = False) -> Definition | None:
        """See `Control.definition`."""
        statement = self.HELD_DEFINITION if held else self.DEFINITION
        found = self._db.made(_definition, statement, (name.casefold(),))
        return found[0] if found else None

    COUNTS = """
        SELECT c.job_id, c.scope, c.executions
        FROM definitions d
        JOIN jobs j ON j.id = d.job_id AND j.definition_hash = d.hash
        JOIN cursors c ON c.job_id = j.id AND c.scope != ''
        WHERE d.per_machine = 1"""
    BY_MACHINE = f"{COUNTS} AND j.id = ? ORDER BY c.scope"
    ALL_COUNTS = f"{COUNTS} ORDER BY c.scope"

    def executions_by_machine(self, job_id: int) -> Mapping[str, int]:
        """See `Control.executions_by_machine`."""
        return {machine: count for _, machine, count in self._db.rows(self.BY_MACHINE, (job_id,))}

    def machine_counts(self) -> Mapping[int, Mapping[str, int]]:
        """See `Control.machine_counts`."""
        found: dict[int, dict[str, int]] = {}
        for job_id, machine, count in self._db.rows(self.ALL_COUNTS):
            found.setdefault(job_id, {})[machine] = count
        return found


def _named(row: Row) -> tuple[str, Mapping[str, Any]]:
    return row[0], json.loads(row[1])


def _definition(row: Row) -> Definition:
    job_id, name, hash_, file, config, text = row
    parameters = None if text is None else tuple(Parameter(**each) for each in json.loads(text))
    return Definition(
        job_id=job_id, name=name, hash=hash_, file=file, config=json.loads(config), parameters=parameters
    )
