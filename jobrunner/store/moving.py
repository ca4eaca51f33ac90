"""THE WHOLE of a state, to be read at one moment, checked, and brought into another store.

What a store may offer beside the verbs of `base`; one that does not can neither be copied nor backed up by
us, and is told so. Rows are tuples of int, str, bytes and None, in the order of a table's columns here,
whatever the store's own order is: so two stores can be compared, row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from jobrunner.clock import Instant
from jobrunner.store.faults import fault

Value = int | str | bytes | None
Values = tuple[Value, ...]


class Marks(NamedTuple):
    """What a state has beside its tables: the highest numbers given out, and the pause.

    `fence` is a whole one, as runs have them; `run_id` the last given out, reserved ones included;
    `revision` that of documents.
    """

    fence: int
    run_id: int
    revision: int
    paused_at: Instant | None = None
    paused_by: str | None = None
    pause_reason: str | None = None

    def goes_on(self, before: Marks) -> bool:
        """Say whether a state with these marks gives out no number that one with those has given."""
        return self[3:] == before[3:] and all(
            mine >= theirs for mine, theirs in zip(self.numbers, before.numbers, strict=True)
        )

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The three of which none may be given twice."""
        return self.fence, self.run_id, self.revision


class Table(NamedTuple):
    """One kind of rows, in the order of its key."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


def _table(name: str, key: str, columns: str) -> Table:
    return Table(name, tuple(key.split()), tuple(columns.split()))


# In an order in which they can be written: what others refer to comes first. Of definitions only the current
# ones are meant; others are there for the nodes that hold them.
TABLES = (
    _table("jobs", "id", """
        id name name_key definition_hash file first_seen_at enabled_override enabled_reason overrides
        consecutive_failures last_scheduled_for last_started_at last_finished_at last_success_at
        last_failure_at last_state last_result last_error cursor durations"""),
    _table("definitions", "job_id hash", """
        job_id hash file config execution_limit enabled per_machine group_limit parameters"""),
    _table("cursors", "job_id scope", """
        job_id scope schedule_key consumed anchor executions ended_at skip_reason skip_count skip_run"""),
    _table("runs", "id", """
        id job_id trigger scope scheduled_for effective_at attempt root_id parent_id state reason priority
        exclusive delivery created_at started_at began_at finished_at owner node machine pid fence params
        result truncated error progress identity file_hash log_bytes count last_for run_group asked stalled
        blocked_by conflicts undo"""),
    _table("logs", "run_id offset", "run_id offset data"),
    _table("steps", "root_id path", """
        root_id path position run_id state tries started_at finished_at deadline result error effects undo
        undone undone_at undo_error"""),
    _table("once", "job_id key", "job_id key result run_id at"),
    _table("documents", "key", "key value version updated_at run_id"),
    _table("added", "name_key", "name_key name target config added_at"),
    _table("audit", "id", "id at actor action job detail"),
)  # fmt: skip
OF_NODES = ("nodes", "holdings")  # these stay where they are, with the nodes


class Reading(Protocol):
    """A state as it was at one moment, for as long as this is open."""

    def understood(self) -> None:
        """Raise StateError, code "too-new", when a newer program has added what `TABLES` do not name."""
        ...

    def count(self, table: str) -> int:
        """Return how many rows there are, of `TABLES` or `OF_NODES`."""
        ...

    def rows(self, table: Table) -> Iterator[Values]:
        """Yield all rows in the order of the key, a few in memory at a time; to be read to the end."""
        ...

    def marks(self) -> Marks:
        """Return the marks."""
        ...

    def roles(self) -> Mapping[str, str]:
        """Return what each node that is known is there for, by owner."""
        ...

    def owners(self) -> Mapping[str, int]:
        """Return who has running runs, and the first of them."""
        ...

    def problems(self) -> Iterator[str]:
        """Yield a sentence for whatever is damaged, or contradicts the ledger's rules."""
        ...


class Writing(Reading, Protocol):
    """A state that is written in one transaction."""

    def write(self, table: Table, rows: Iterable[Values]) -> None:
        """Add rows as they are. Raises StateError, code "unstorable", for what the store has no room for."""
        ...

    def mark(self, marks: Marks, state_id: str | None = None) -> None:
        """Take over the pause, and give out no number that either state has given.

        With `state_id` be that very state.
        """
        ...


@runtime_checkable
class Movable(Protocol):
    """What a store offers whose state can be moved."""

    def reading(self, *, alone: bool = False) -> AbstractContextManager[Reading]:
        """Open the state at this moment; with `alone` nobody else can write meanwhile.

        Raises StateError, code "busy", when somebody writes for too long.
        """
        ...

    def writing(self) -> AbstractContextManager[Writing]:
        """Open one transaction in which all is written, or nothing when the block raises."""
        ...

    def duplicate(self, path: str) -> bool:
        """Write all, as of one moment, into the empty SQLite file at `path`.

        False, and nothing is done, where the store has no way of its own to do so.
        """
        ...

    def dissolve(self) -> None:
        """Forget all nodes and what only they hold. What is current stays so, unlike when they leave."""
        ...


class Measure(NamedTuple):
    """How much there is in a table, and what tells it from any other content."""

    rows: int
    digest: str


def measure(state: Reading, table: Table) -> Measure:
    """Count and read a table. Raises StateError when the two do not agree."""
    import hashlib  # with OpenSSL, which takes 3 ms to load

    digest, read = hashlib.sha256(), 0
    for row in state.rows(table):
        digest.update(repr(row).encode())
        read += 1
    counted = state.count(table.name)
    if counted != read:
        raise fault("corrupt", f"{table.name} counts {counted} rows, and {read} can be read")
    return Measure(read, digest.hexdigest())
