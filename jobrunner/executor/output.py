"""How much of a run's output is kept: the beginning for ever, the end as it moves along.

A quarter of the limit is the head, the rest a tail that drops its oldest pieces. Memory is bounded by
the limit, whatever is fed. What has been written down is remembered only as (offset, length).
"""

from __future__ import annotations

from collections import deque

_GRAIN = 64  # the written tail is forgotten in pieces of about 1/64 of it

Piece = tuple[int, bytes]


class LogWindow:
    """A run's output on its way to the store: `feed` it, write what `peek` shows, then `commit`."""

    def __init__(self, limit: int, total: int = 0) -> None:
        """`total` bytes of it are in the store already: what follows comes behind them."""
        self._head = limit // 4
        self._tail = limit - self._head
        self._pending: deque[Piece] = deque()
        # pieces of the tail in the store; of those that another window wrote only their sum is known
        self._written = deque([(self._head, total - self._head)] if total > self._head else ())
        self._written_bytes = sum(length for _, length in self._written)
        self._shown = 0  # pieces before this offset were peeked at
        self._forget: tuple[int, int] | None = None
        self.total = total  # bytes ever fed
        self.pending = 0  # bytes to write
        self._pending_tail = 0  # those of them that belong to the tail

    def feed(self, data: bytes) -> None:
        """Take output in; beyond the limit the oldest of the tail is dropped."""
        room = max(0, self._head - self.total)
        self._keep(data[:room])
        for start in range(room, len(data), self._grain()):
            self._keep(data[start : start + self._grain()])
        while self._pending_tail > self._tail:
            self._drop_some(self._pending_tail - self._tail)

    def peek(self) -> tuple[list[Piece], tuple[int, int] | None]:
        """Return (chunks to append, range to forget first or None), as `Store.append_log` takes them."""
        self._shown = self.total
        excess = self._written_bytes + self._pending_tail - self._tail
        self._forget = None
        for offset, length in self._written:
            if excess <= 0:
                break
            excess -= length
            self._forget = (self._head, offset + length)
        return list(self._pending), self._forget

    def commit(self) -> None:
        """What the last `peek` showed is written: keep it no longer."""
        while self._forget and self._written and self._written[0][0] < self._forget[1]:
            self._written_bytes -= self._written.popleft()[1]
        self._forget = None
        while self._pending and self._pending[0][0] < self._shown:
            offset, data = self._pending.popleft()
            self.pending -= len(data)
            if offset >= self._head:
                self._pending_tail -= len(data)
                self._note_written(offset, len(data))

    def take(self) -> tuple[list[Piece], tuple[int, int] | None]:
        """Peek and commit at once, for those who cannot fail in between."""
        shown = self.peek()
        self.commit()
        return shown

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        last = self._pending[-1] if self._pending else None
        grows = last is not None and last[0] >= self._shown and self.total != self._head
        if last is not None and grows and len(last[1]) + len(data) <= self._grain():
            self._pending[-1] = (last[0], last[1] + data)
        else:
            self._pending.append((self.total, data))
        self._pending_tail += len(data) if self.total >= self._head else 0
        self.total += len(data)
        self.pending += len(data)

    def _drop_some(self, excess: int) -> None:
        """Drop up to `excess` of the oldest pending bytes of the tail."""
        index = next(at for at, piece in enumerate(self._pending) if piece[0] >= self._head)
        offset, data = self._pending[index]
        if len(data) > excess:
            self._pending[index] = (offset + excess, data[excess:])
        else:
            del self._pending[index]
        self.pending -= min(excess, len(data))
        self._pending_tail -= min(excess, len(data))

    def _grain(self) -> int:
        return max(16, self._tail // _GRAIN)

    def _note_written(self, offset: int, length: int) -> None:
        self._written_bytes += length
        if self._written and sum(self._written[-1]) == offset and self._written[-1][1] < self._grain():
            at, before = self._written.pop()
            self._written.append((at, before + length))
        else:
            self._written.append((offset, length))
