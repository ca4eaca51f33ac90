"""The verbs by which people, and housekeeping, change what nodes go by. Conditions as in `base`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jobrunner.clock import Instant
from jobrunner.facts import Definition, Note, Pause
from jobrunner.model import Run
from jobrunner.store.values import Figure, Hold, Holding, Keep, RunFilter


class Control(Protocol):
    """What is enabled, overridden, paused, kept; and who said so."""

    def set_enabled(self, job_id: int, enabled: bool | None, reason: str | None, now: Instant) -> None:
        """Keep that people (or stopOnError) enabled or disabled a job; None: its file decides again.

        Enabling, also by None, sets the failures in a row to 0.
        """
        ...

    def pause(self, by: str, reason: str | None, now: Instant) -> bool:
        """Let all schedules stand still; False when they do already."""
        ...

    def resume(self, now: Instant) -> bool:
        """End the pause; False when there is none."""
        ...

    def paused(self) -> Pause | None:
        """Return the pause, or None."""
        ...

    def override(self, job_id: int, keys: Mapping[str, Any], now: Instant) -> None:
        """Keep exactly these config keys as what `set` says of a job."""
        ...

    def overrides(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the overrides of every job that has some, by name."""
        ...

    def reset(self, job_id: int, now: Instant, *, schedule: bool = False) -> None:
        """Start over: executions and failures in a row are 0, in every scope; with `schedule` the cursors
        become `now`, too, and what was written about later moments without starting is forgotten."""
        ...

    def forget(self, job_id: int) -> None:
        """Delete a job and all its rows. Raises `Refused` while one of its runs is running or waiting, or
        while a living node holds a definition of it."""
        ...

    def definitions(self) -> list[Definition]:
        """Return the current definition of every job that has one."""
        ...

    def definition(self, name: str, *, held: bool = False) -> Definition | None:
        """Return that of one job, ignoring case; with `held` only where some node holds it. Cheap, however
        many jobs and runs there are."""
        ...

    def executions_by_machine(self, job_id: int) -> Mapping[str, int]:
        """Return the counts of a runPerMachine job; {} of any other."""
        ...

    def machine_counts(self) -> Mapping[int, Mapping[str, int]]:
        """Return the counts of all runPerMachine jobs, by job id."""
        ...

    def prune(self, keep: Keep, limit: int) -> int:
        """Delete the ended chains that `keep` leaves out, oldest first, until they had `limit` rows; returns
        how many rows. Fewer than `limit`: nothing is left to delete.

        A chain goes whole or not at all, so the last one may bring more; its age, state and place among the
        newest rows are those of its last attempt, and while one of them is open it stays.
        The audit trail goes by `failed_since`.
        """
        ...

    def prunable(self, keep: Keep) -> int:
        """Return how many rows `prune` would delete in all. Takes no lock."""
        ...

    def delete_runs(self, which: RunFilter, *, dry_run: bool = False) -> int:
        """Delete the ended chains whose last attempt the filter names (all of them: `limit` has no meaning);
        return how many rows. With `dry_run` only count. Many go in several transactions, unless one is open.
        """
        ...

    def note(self, actor: str, action: str, job: str | None, detail: str, now: Instant) -> None:
        """Write a line of the audit trail."""
        ...

    def note_all(self, actor: str, lines: Sequence[tuple[str, str | None, str]], now: Instant) -> None:
        """Write several lines, each (action, job, detail), in their order."""
        ...

    def notes(self, job: str | None = None, *, since: Instant | None = None, limit: int = 1000) -> list[Note]:
        """Return the audit trail, newest first: all of it, or of one job (ignoring case) with what
        concerns all jobs."""
        ...

    # -- questions about the past --------------------------------------------------------------------

    def due_before(self, job_id: int, at: Instant) -> list[Run]:
        """Return the first attempts (one a scope) of the last recorded occurrence at or before `at`.

        The row for many that it may be reaches to its `last_for`, perhaps beyond `at`; [] when there is
        none. Cheap."""
        ...

    def due_after(self, job_id: int, at: Instant) -> list[Run]:
        """Return the first attempts of the first recorded occurrence after `at`. Cheap."""
        ...

    def unscheduled_before(self, job_id: int, at: Instant) -> Run | None:
        """Return the last run up to `at` that no schedule asked for (by hand, a call); its first attempt."""
        ...

    def chain(self, root_id: int) -> list[Run]:
        """Return all attempts of a chain that are still there, the first one first. Cheap."""
        ...

    def holders(self) -> Mapping[int, Sequence[Hold]]:
        """Return which nodes hold the current definition of each job, dead ones that nobody has recovered
        included."""
        ...

    def holdings(self, *, outdated: bool = False) -> Mapping[str, Sequence[Holding]]:
        """Return what each node holds, by owner and in the order of the jobs' names; with `outdated` only
        what is not the current definition of its job, which is cheap. Nodes that hold nothing are left out.
        """
        ...

    def figures(self, job_id: int | None, since: Instant | None) -> list[Figure]:
        """Return the figures of all rows, open ones too, or of one job's; of those that ended, else started,
        else were due at or after `since`."""
        ...

    def healthy(self) -> str:
        """Check the whole store for damage; returns "ok" or what is wrong. Not cheap."""
        ...
