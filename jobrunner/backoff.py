"""How long to wait before something is tried again: a run's next attempt, a step's next try. Pure."""

from __future__ import annotations

from jobrunner.fingerprint import sha256

MOST_DOUBLINGS = 40


def wait(tried: int, key: str, delay: int, longest: int, *, doubles: bool, jitter: int | bool) -> int:
    """Return how long to wait after so many tries, in microseconds: the same whenever it is asked.

    `delay` is the first wait; where it `doubles` with every try it grows to `longest`. `jitter` is the most
    that is added, True: half of the wait. How much it is, is a matter of `key` and of the number of tries.
    """
    shortest = min(delay << min(tried - 1, MOST_DOUBLINGS) if doubles else delay, longest)
    most = shortest // 2 if jitter is True else int(jitter)
    return shortest + (_chance(f"{key}/{tried}") % (most + 1) if most else 0)


def _chance(text: str) -> int:
    return int(sha256(text.encode("utf-8", "surrogatepass"))[:16], 16)
