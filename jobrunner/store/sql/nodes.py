"""Nodes: who lives. What a node held goes with it."""

from __future__ import annotations

from jobrunner.clock import Instant
from jobrunner.facts import NodeFacts
from jobrunner.store.sql.currency import settle
from jobrunner.store.sql.database import Row
from jobrunner.store.sql.rows import Part, dumps, loads


class Nodes(Part):
    """The verbs join, seen, knows, leave and nodes."""

    JOIN = """
        INSERT INTO nodes (owner, node, machine, boot_id, pid, version, slots, exclusive,
                           started_at, seen_at, role, labels, timezone, tzdata, lease)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

    def join(self, node: NodeFacts) -> None:
        """See `Store.join`."""
        values = (
            node.owner, node.node, node.machine, node.boot_id, node.pid, node.version, node.slots,
            int(node.exclusive), node.started_at, node.seen_at, node.role, dumps(list(node.labels)),
            node.timezone, node.tzdata, node.lease,
        )  # fmt: skip
        with self._db.transaction():
            self._db.rows(self.JOIN, values)

    SEEN = "UPDATE nodes SET seen_at = ?2 WHERE owner = ?1"

    def seen(self, owner: str, now: Instant) -> bool:
        """See `Store.seen`."""
        with self._db.transaction():
            return self._db.change(self.SEEN, (owner, now)) == 1

    KNOWS = "SELECT 1 FROM nodes WHERE owner = ?"

    def knows(self, owner: str) -> bool:
        """See `Store.knows`."""
        return self._db.row(self.KNOWS, (owner,)) is not None

    def leave(self, owner: str) -> None:
        """See `Store.leave`."""
        with self._db.transaction():
            self._remove(owner)

    HELD_JOBS = "SELECT job_id FROM holdings WHERE owner = ?"
    REMOVE = "DELETE FROM nodes WHERE owner = ?"

    def _remove(self, owner: str) -> None:
        """Its holdings go by the foreign key."""
        held = [row[0] for row in self._db.rows(self.HELD_JOBS, (owner,))]
        self._db.rows(self.REMOVE, (owner,))
        settle(self._db, held)

    NODES = """
        SELECT owner, node, machine, boot_id, pid, version, slots, exclusive, started_at, seen_at, role,
               labels, timezone, tzdata, lease, 0
        FROM nodes ORDER BY started_at, owner"""

    def nodes(self) -> list[NodeFacts]:
        """See `Store.nodes`."""
        return self._db.made(_node, self.NODES)


def _node(row: Row) -> NodeFacts:
    (
        owner, node, machine, boot_id, pid, version, slots, exclusive, started_at, seen_at, role,
        labels, timezone, tzdata, lease, expired,
    ) = row  # fmt: skip
    return NodeFacts(
        owner=owner, node=node, machine=machine, boot_id=boot_id, pid=pid, version=version, slots=slots,
        exclusive=bool(exclusive), started_at=started_at, seen_at=seen_at, role=role,
        labels=tuple(loads(labels)), timezone=timezone, tzdata=tzdata, lease=lease, expired=bool(expired),
    )  # fmt: skip
