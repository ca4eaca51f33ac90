"""Jobs: what is defined, by whom, and which definition is current."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jobrunner.clock import Instant
from jobrunner.model import Job
from jobrunner.store.faults import fault
from jobrunner.store.sql.currency import go_on, settle
from jobrunner.store.sql.rows import dumps, plain
from jobrunner.store.sql.untimely import Untimely
from jobrunner.store.values import Registration

NO_GATES: Mapping[str, str] = {}

Known = Mapping[str, tuple[int, str]]  # name, case folded -> (id, current hash)


class Jobs(Untimely):
    """The verbs register and enroll."""

    REGISTER = """
        UPDATE nodes SET registration = (SELECT max(registration) + 1 FROM nodes)
        WHERE owner = ?"""

    def register(
        self, owner: str, jobs: Sequence[Job], machine: str, now: Instant, gates: Mapping[str, str] = NO_GATES
    ) -> Registration:
        """See `Store.register`. `owner` must have joined; of two names that are equal the last one counts."""
        wanted = {job.name.casefold(): job for job in jobs}
        with self._db.transaction():
            if not self._db.change(self.REGISTER, (owner,)):
                raise fault(
                    "unknown-node", f"{self._db.name} does not know this node any more", hint="start it again"
                )
            self._rename(wanted)
            before = self._known()
            known = self._with_rows(wanted, before, now)
            rescheduled = self._set_cursors(wanted, known, machine, now)
            changed = {key: job for key, job in wanted.items() if known[key][1] != job.hash}
            go_on(self._db, [known[key][0] for key in changed], now)
            self._define(changed, known)
            self._add_parameters(wanted, known)
            shut = {name.casefold(): gate for name, gate in gates.items()}
            left = self._hold(
                owner, {known[key][0]: (job.hash, shut.get(key)) for key, job in wanted.items()}
            )
            settle(self._db, left + [known[key][0] for key in changed if known[key][1]])
        return _registration(wanted, before, changed, rescheduled)

    KNOWN = "SELECT name_key, id, definition_hash FROM jobs"
    FORMER = """
        SELECT lower(former.value), j.id, j.definition_hash
        FROM jobs j JOIN definitions d ON d.job_id = j.id AND d.hash = j.definition_hash
        JOIN json_each(d.config, '$.formerNames') AS former ON TRUE"""

    def _known(self) -> Known:
        """Return what each name means. A node that has not heard of a renaming yet means the same job."""
        found = {key: (job_id, hash_) for key, job_id, hash_ in self._db.rows(self.FORMER)}
        return {**found, **{key: (job_id, hash_) for key, job_id, hash_ in self._db.rows(self.KNOWN)}}

    RENAME = """
        UPDATE jobs SET name = ?2, name_key = ?3
        WHERE name_key = ?1 AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.name_key = ?3)"""

    def _rename(self, wanted: Mapping[str, Job]) -> None:
        """Let history and counts follow a job to its new name, where no other job bears the old one."""
        for key, job in wanted.items():
            for former in job.former_names:
                if former.casefold() not in wanted:
                    self._db.rows(self.RENAME, (former.casefold(), job.name, key))

    def _with_rows(self, wanted: Mapping[str, Job], known: Known, now: Instant) -> Known:
        new = [self._row(job, now) for key, job in wanted.items() if key not in known]
        self._db.many(self.INSERT, new)
        return self._known() if new else known

    INSERT = """
        INSERT INTO jobs (name, name_key, definition_hash, file, first_seen_at) VALUES (?, ?, '', ?, ?)"""
    INSERT_ONE = f"{INSERT} RETURNING id"

    def _row(self, job: Job, now: Instant) -> tuple[str, str, str, Instant]:
        return job.name, job.name.casefold(), plain(job.file), now

    def _insert(self, job: Job, now: Instant) -> int:
        row = self._db.row(self.INSERT_ONE, self._row(job, now))
        assert row is not None
        return int(row[0])

    CURSORS = "SELECT job_id, scope, schedule_key, consumed FROM cursors WHERE scope IN ('', ?)"

    def _set_cursors(
        self, wanted: Mapping[str, Job], known: Known, machine: str, now: Instant
    ) -> frozenset[str]:
        """Give every job a cursor of its present schedule; returns the keys whose schedule was another."""
        cursors = self._db.rows(self.CURSORS, (machine,))
        stored = {(job_id, scope): key for job_id, scope, key, _ in cursors}
        places = {key: (known[key][0], job.scope(machine)) for key, job in wanted.items()}
        differing = [key for key, job in wanted.items() if stored.get(places[key]) != job.schedule_key]
        self._db.many(self.SET_CURSOR, ((*places[key], wanted[key].schedule_key, now) for key in differing))
        others = {places[key] for key in differing}
        for job_id, scope, _, consumed in cursors:
            if (job_id, scope) in others:
                self._begin_anew(job_id, scope, consumed, now)
        return frozenset(key for key in differing if places[key] in stored)

    # a streak of skips ends here: its occurrences were another schedule's
    SET_CURSOR = """
        INSERT INTO cursors (job_id, scope, schedule_key, consumed, anchor) VALUES (?1, ?2, ?3, ?4, ?4)
        ON CONFLICT (job_id, scope) DO UPDATE
        SET schedule_key = ?3, consumed = ?4, anchor = ?4,
            skip_reason = NULL, skip_count = 0, skip_run = NULL"""

    DEFINE = """
        INSERT INTO definitions (job_id, hash, file, config, execution_limit, enabled, per_machine,
                                 group_limit, parameters)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (job_id, hash) DO NOTHING"""
    MAKE_CURRENT = """
        UPDATE jobs SET definition_hash = ?2, file = ?3, name = ?4, name_key = lower(?4) WHERE id = ?1"""
    CURRENTS_CHANGED = "UPDATE meta SET currents = currents + 1"

    def _define(self, changed: Mapping[str, Job], known: Known) -> None:
        """Keep these definitions and make them the current ones."""
        ids = {key: known[key][0] for key in changed}
        self._db.many(self.DEFINE, [(ids[key], job.hash, *_words(job)) for key, job in changed.items()])
        current = [(ids[key], job.hash, plain(job.file), job.name) for key, job in changed.items()]
        self._db.many(self.MAKE_CURRENT, current)
        if changed:
            self._db.rows(self.CURRENTS_CHANGED)

    WITHOUT_PARAMETERS = "SELECT job_id, hash FROM definitions WHERE parameters IS NULL"
    SET_PARAMETERS = "UPDATE definitions SET parameters = ?3 WHERE job_id = ?1 AND hash = ?2"

    def _add_parameters(self, wanted: Mapping[str, Job], known: Known) -> None:
        """Complete definitions that an older version of the program has written."""
        without = set(self._db.rows(self.WITHOUT_PARAMETERS))
        for key, job in wanted.items():
            if job.parameters is not None and (known[key][0], job.hash) in without:
                self._db.rows(self.SET_PARAMETERS, (known[key][0], job.hash, _parameters(job)))

    HELD = "SELECT job_id, hash, gate FROM holdings WHERE owner = ?"
    HOLD = """
        INSERT INTO holdings (job_id, owner, hash, gate)
        SELECT j.id, ?1, j.definition_hash, ?2
        FROM json_each(?3) AS taken CROSS JOIN jobs j ON j.id = CAST(taken.value AS BIGINT)
        WHERE TRUE
        ON CONFLICT (job_id, owner) DO UPDATE SET hash = excluded.hash, gate = excluded.gate"""
    DROP = "DELETE FROM holdings WHERE job_id = ? AND owner = ?"

    def _hold(self, owner: str, wanted: Mapping[int, tuple[str, str | None]]) -> list[int]:
        """Make these (hash, gate) the owner's holdings; returns the jobs of which it holds another.

        They are the current ones, so a few statements say it of thousands.
        """
        held = {job_id: (hash_, gate) for job_id, hash_, gate in self._db.rows(self.HELD, (owner,))}
        dropped = [job_id for job_id in held if job_id not in wanted]
        taken: dict[str | None, list[int]] = {}
        for job_id, what in wanted.items():
            if held.get(job_id) != what:
                taken.setdefault(what[1], []).append(job_id)
        self._db.many(self.DROP, ((job_id, owner) for job_id in dropped))
        for gate, ids in taken.items():
            self._db.rows(self.HOLD, (owner, gate, dumps(sorted(ids))))
        return dropped + [job_id for ids in taken.values() for job_id in ids if job_id in held]

    FIND = """
        SELECT id FROM jobs WHERE name_key = ?1 OR name_key IN (SELECT lower(value) FROM json_each(?2))
        ORDER BY name_key != ?1 LIMIT 1"""

    def enroll(self, job: Job, now: Instant) -> int:
        """See `Store.enroll`. Until a node registers the job its current hash is empty."""
        with self._db.transaction():
            found = self._db.row(self.FIND, (job.name.casefold(), dumps(list(job.former_names))))
            return int(found[0]) if found else self._insert(job, now)


def _words(job: Job) -> tuple[object, ...]:
    """Return what a definition says, as DEFINE wants it behind the hash."""
    rules = job.number_of_executions, int(job.enabled), int(job.run_per_machine), job.group_limit
    return plain(job.file), dumps(dict(job.config)), *rules, _parameters(job)


def _parameters(job: Job) -> str | None:
    return None if job.parameters is None else dumps([each._asdict() for each in job.parameters])


def _registration(
    wanted: Mapping[str, Job], before: Known, changed: Iterable[str], rescheduled: frozenset[str]
) -> Registration:
    """An enrolled job (it ran by hand) is as new as one without a row: nobody had registered it."""
    added = [key for key in wanted if before.get(key, (0, ""))[1] == ""]
    updated = (set(changed) | rescheduled) - set(added)
    return Registration(
        added=tuple(wanted[key].name for key in added),
        updated=tuple(job.name for key, job in wanted.items() if key in updated),
        rescheduled=tuple(job.name for key, job in wanted.items() if key in rescheduled),
    )
