"""Points at which a test lets a node die, freeze or fail, so that every row of a crash table is a test.

    JOBRUNNER_TESTING=1                     without it nothing here does anything
    JOBRUNNER_FAILPOINT=POINT:ACTION[:N]    several with commas between them
    JOBRUNNER_FAILPOINT_MARK=/path          a line `POINT PASS` is appended just before the action

POINT is a name or an alias of `POINTS`. ACTION is `kill` (SIGKILL to this process), `freeze:SECONDS`, `raise`
(RuntimeError) or `dbgone` (the connection is lost, at the points of a database). It happens once, on the N-th
pass of the point in this process; N is 1 if left out: `FP4:kill`, `FP9:kill:3`, `after-go:freeze:2.5`,
`FP9:raise:2`. The variables are read at the first pass.

A frozen process is really stopped, with all its threads: a helper sends it SIGSTOP, sleeps, and sends
SIGCONT. Both come from the helper, so the second can never be the first to arrive.
"""

from __future__ import annotations

import os
import signal

POINTS = {
    "before-plan": "FP0",  # the cursor is read
    "after-enqueue": "FP1",  # occurrences are in, the cursor has moved
    "before-claim": "",
    "after-claim": "FP2",  # in the claim's transaction
    "after-claim-commit": "FP4",
    "before-go": "",
    "after-go": "FP5",
    "body": "FP7",  # the node hears that the body has begun
    "asked": "",  # in the transaction that does what runs have asked for
    "before-answer": "",  # that is committed, and no run has heard of it
    "after-reply": "FP8",
    "before-commit": "FP9",  # in the transaction that ends the run
    "commit-unsent": "",  # of any transaction of a database
    "commit-heard": "FP10",  # it is committed there, and nobody here has heard the answer
    "after-commit": "FP11",  # of that transaction
    "reaped": "FP12",
    "found-dead": "",  # other nodes look dead, and nothing was done about it
    "rejoining": "",  # one node was given up and has ended, the next in its place has not begun
}
_NAMES = {name: name for name in POINTS} | {alias: name for name, alias in POINTS.items() if alias}

Shot = tuple[str, float, int]  # action, seconds that it takes, the pass on which it happens


class Armed:
    """What is to happen, and how often each point was passed."""

    def __init__(self, text: str, mark: str | None) -> None:
        self._shots = _parsed(text)
        self._mark = mark
        self._passes = dict.fromkeys(POINTS, 0)

    def reach(self, point: str) -> None:
        """Count a pass of the point, and do what is due on it."""
        name = _name(point)
        self._passes[name] += 1
        for action, seconds, when in self._shots.get(name, ()):
            if when == self._passes[name]:
                self._note(f"{name} {when}\n")
                _act(name, action, seconds)

    def _note(self, line: str) -> None:
        if self._mark:
            with open(self._mark, "a", encoding="utf-8") as file:
                file.write(line)


_armed: Armed | None = None
_looked = False


def reach(point: str) -> None:
    """Die, freeze or fail here, if a test has asked for it.

    Raises ValueError when JOBRUNNER_FAILPOINT cannot be read or nobody knows the point, RuntimeError when
    that is the action.
    """
    if _looked and _armed is None:
        return
    _look()
    if _armed is not None:
        _armed.reach(point)


def _look() -> None:
    global _armed, _looked  # noqa: PLW0603  (once in a process: a pass must cost next to nothing)
    text = os.environ.get("JOBRUNNER_FAILPOINT", "")
    if not _looked and text and os.environ.get("JOBRUNNER_TESTING") == "1":
        _armed = Armed(text, os.environ.get("JOBRUNNER_FAILPOINT_MARK"))
    _looked = True


# --- what the variable says ---------------------------------------------------------------------


def _parsed(text: str) -> dict[str, list[Shot]]:
    shots: dict[str, list[Shot]] = {}
    for each in text.split(","):
        point, *words = each.strip().split(":")
        try:
            shots.setdefault(_name(point), []).append(_shot(words))
        except ValueError as error:
            raise ValueError(f"JOBRUNNER_FAILPOINT says {each.strip()!r}: {error}") from None
    return shots


def _name(point: str) -> str:
    if point in _NAMES:
        return _NAMES[point]
    raise ValueError(f"there is no point {point!r}, only {', '.join(_NAMES)}")


def _shot(words: list[str]) -> Shot:
    match words:
        case ["kill" | "raise" | "dbgone" as action, *rest]:
            return action, 0, _pass(rest)
        case ["freeze", seconds, *rest]:
            return "freeze", _seconds(seconds), _pass(rest)
    raise ValueError("after the point comes kill, raise, dbgone or freeze:SECONDS, then perhaps the pass")


def _pass(words: list[str]) -> int:
    if not words:
        return 1
    if len(words) == 1 and words[0].isascii() and words[0].isdecimal() and int(words[0]) > 0:
        return int(words[0])
    raise ValueError(f"{':'.join(words)!r} is no pass; the first is 1")


def _seconds(text: str) -> float:
    if text.isascii() and text.replace(".", "", 1).isdecimal():
        return float(text)
    raise ValueError(f"{text!r} is no number of seconds")


# --- what happens -------------------------------------------------------------------------------


def _act(name: str, action: str, seconds: float) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "freeze":
        _freeze(seconds)
    elif action == "dbgone":
        raise ConnectionError(f"lost at the fail point {name}")
    else:
        raise RuntimeError(f"the fail point {name} was reached")


def _freeze(seconds: float) -> None:
    """Be stopped for a while, by a helper outside our group that holds none of our descriptors."""
    me = os.getpid()
    script = f"kill -STOP {me}; sleep {seconds:f}; kill -CONT {me}"
    nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    helper = os.posix_spawn(
        "/bin/sh", ["sh", "-c", script], {"PATH": os.defpath}, file_actions=nothing, setpgroup=0
    )
    try:
        os.waitpid(helper, 0)
    except ChildProcessError:
        return  # whoever waits for any child has reaped it
