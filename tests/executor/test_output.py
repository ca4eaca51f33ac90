"""A run's output: the head stays, the tail moves, memory and store are bounded."""

from __future__ import annotations

import random

from jobrunner.executor.output import LogWindow


class Kept:
    """What a store would keep: whole chunks that begin in a cut range are forgotten."""

    def __init__(self) -> None:
        self.chunks: dict[int, bytes] = {}

    def write(self, window: LogWindow) -> None:
        chunks, cut = window.peek()
        if cut is not None:
            self.chunks = {at: data for at, data in self.chunks.items() if not cut[0] <= at < cut[1]}
        self.chunks.update(chunks)
        window.commit()

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks.values()))


def test_short_output_is_kept_whole() -> None:
    window, kept = LogWindow(1000), Kept()
    window.feed(b"one\n")
    window.feed(b"two\n")
    kept.write(window)
    assert kept.chunks == {0: b"one\ntwo\n"}
    assert (window.total, window.pending) == (8, 0)
    assert window.take() == ([], None)


def test_of_long_output_head_and_tail_stay_and_every_byte_is_where_it_was() -> None:
    rng = random.Random(7)
    for _ in range(100):
        limit = rng.choice([400, 4_000, 40_000])
        window, kept = LogWindow(limit), Kept()
        whole = rng.randbytes(rng.randrange(1, 8 * limit))
        at = 0
        while at < len(whole):
            step = rng.choice([1, 50, 1000, 3 * limit])
            window.feed(whole[at : at + step])
            at += step
            assert window.pending <= limit
            if rng.random() < 0.3:
                kept.write(window)
                assert kept.size <= limit
        kept.write(window)
        assert window.total == len(whole)
        for offset, data in kept.chunks.items():
            assert whole[offset : offset + len(data)] == data
        told = b"".join(data for _, data in sorted(kept.chunks.items()))
        assert told.startswith(whole[: limit // 4])
        assert told.endswith(whole[-min(len(whole), limit // 4) :])


def test_what_was_shown_but_not_committed_is_shown_again_with_what_came_since() -> None:
    window = LogWindow(1000)
    window.feed(b"one")
    assert window.peek() == ([(0, b"one")], None)
    window.feed(b"two")
    assert window.peek() == ([(0, b"one"), (3, b"two")], None)
    window.commit()
    assert window.peek() == ([], None)


def test_what_came_after_it_was_shown_is_not_lost_by_the_commit() -> None:
    window = LogWindow(1000)
    window.feed(b"one")
    window.peek()
    window.feed(b"two")
    window.commit()
    assert window.take() == ([(3, b"two")], None)


def test_many_small_pieces_are_few_chunks() -> None:
    window = LogWindow(1_000_000)
    for _ in range(100_000):
        window.feed(b"line\n")
    chunks, _ = window.peek()
    assert len(chunks) < 60
