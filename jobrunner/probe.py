"""Both halves of asking a child that may run user code: `ask` is the parent's, `main` the child's.

The child is `python -P -m jobrunner.probe`, in a session of its own. The request comes on its standard
input, the reply leaves as one frame on a pipe of its own, so that nothing a file prints can forge or
delay it. The parent waits for the frame or for the end of the process, never for the end of the pipe:
a grandchild may hold that open. Then the whole group is killed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jobrunner import answers, processes, wire
from jobrunner.errors import ConfigError, JobrunnerError
from jobrunner.settings import jsonvalues

if TYPE_CHECKING:
    import subprocess

LIMIT = 10.0
OUTPUT = 64 * 1024  # what is kept of a child's output, for the message
REPLY = 8 * 1024 * 1024
SECRET = ("JOBRUNNER_STATE",)  # may hold a password; user code does not need it here

FORGED = "it wrote into the pipe that its answer should have come on"

Answer = dict[str, Any]


# --- the parent -------------------------------------------------------------------------------


def ask(request: Mapping[str, Any], timeout: float = LIMIT) -> Answer:
    """Return a child's answer, or {"problem": {"message", "hint", "line"}}; never raises for the file's sake.

    `timeout` is in seconds; the child and all of its process group are killed when it is over.
    """
    with processes.adopting():
        since = processes.now()
        try:
            return _ask(request, timeout)
        finally:
            processes.kill_strays(since)  # what left the child's group, and lost its parent with it


def _ask(request: Mapping[str, Any], timeout: float) -> Answer:
    import subprocess

    reading, writing = os.pipe()
    child: subprocess.Popen[bytes] | None = None
    try:
        child = processes.bear(lambda: subprocess.Popen(
            [sys.executable, "-P", "-m", "jobrunner.probe", str(writing)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=(writing,), start_new_session=True, env=_environment(),
        ))  # fmt: skip
        os.close(writing)
        writing = -1
        return _Listener(child, reading).answer({**request, "limit": timeout}, time.monotonic() + timeout)
    except OSError as error:
        return _problem(f"no process to import it in could be started: {error.strerror}")
    finally:
        _end(child)
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def ask_all(
    requests: Iterable[Mapping[str, Any]], timeout: float = LIMIT, workers: int | None = None
) -> list[Answer]:
    """Return the answers of many children in the order of the requests, `workers` (cores) at a time."""
    from concurrent.futures import ThreadPoolExecutor

    waiting = list(requests)
    with ThreadPoolExecutor(min(len(waiting), workers or os.cpu_count() or 2) or 1) as pool:
        return list(pool.map(lambda request: ask(request, timeout), waiting))


class _Listener:
    """Reads a child's two pipes until it has answered, ended, or used up its time."""

    def __init__(self, child: subprocess.Popen[bytes], reply: int) -> None:
        self._child = child
        self._reply = reply
        self._decoder = wire.Decoder()
        self._request: Mapping[str, Any] = {}
        self._size = 0
        self._output = b""

    def answer(self, request: Mapping[str, Any], deadline: float) -> Answer:
        self._request = request
        self._send(request)
        while time.monotonic() < deadline:
            ended = self._child.poll() is not None
            found = self._read(min(0.02, deadline - time.monotonic()))
            if found is not None:
                return found
            if ended:
                return _problem(f"importing it {_ending(self._child.returncode)}", self._last_words())
        return _problem(
            f"importing it took longer than {request['limit']:g} s",
            'move slow work into the function, or write config as one plain {"..."}',
        )

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        with suppress(OSError):  # it ended before it listened; how it ended is said below
            self._child.stdin.write(wire.encode(request))
            self._child.stdin.close()

    def _read(self, wait: float) -> Answer | None:
        """Read what is there within `wait` seconds; return the answer once it is complete."""
        import select

        assert self._child.stdout is not None
        output = self._child.stdout.fileno()
        ready, _, _ = select.select([self._reply, output], [], [], max(0.0, wait))
        if output in ready:
            self._output = (self._output + os.read(output, OUTPUT))[-OUTPUT:]
        return self._frame(os.read(self._reply, OUTPUT)) if self._reply in ready else None

    def _frame(self, data: bytes) -> Answer | None:
        self._size += len(data)
        if self._size > REPLY:
            return _problem("its config is larger than 8 MB", "make config smaller")
        if not data:
            time.sleep(0.005)  # the pipe was closed early: wait for the process, without spinning
        try:
            answer = next(self._decoder.feed(data), None)
        except wire.WireError:
            return _problem(FORGED)
        return answer if answer is None or answers.is_sound(answer, self._request) else _problem(FORGED)

    def _last_words(self) -> str | None:
        lines = self._output.decode("utf-8", "replace").strip().splitlines()
        return f"its last words: {ascii(lines[-1])[1:-1][:200]}" if lines else None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SECRET}


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended the process with exit status {code}"


def _end(child: subprocess.Popen[bytes] | None) -> None:
    """Kill the whole group, also when only children of the child are left in it; they keep its number."""
    import signal

    if child is None:
        return
    for stream in (child.stdin, child.stdout):
        with suppress(OSError):
            if stream is not None:
                stream.close()
    with suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    processes.forget(child.pid)


def _problem(message: str, hint: str | None = None, line: int | None = None) -> Answer:
    return {"problem": {"message": message, "hint": hint, "line": line}}


# --- the child --------------------------------------------------------------------------------


def main(descriptor: int) -> None:
    """Answer the one request on standard input, on `descriptor`; end at once."""
    import signal

    processes.adopt_orphans()
    os.set_inheritable(descriptor, False)
    request = next(wire.Decoder().feed(sys.stdin.buffer.read()))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.alarm(int(request["limit"]) + 5)  # should the parent be killed, an endless import still ends
    me = os.getpid()
    answer = _guarded(VERBS[request["verb"]], request)
    if os.getpid() != me:
        os._exit(0)  # a fork that came back: who was asked answers
    processes.kill_children()
    _write(descriptor, _encoded(answer))
    os._exit(0)  # no atexit handler, no waiting for a thread that the file started


def _encoded(answer: Answer) -> bytes:
    try:
        return wire.encode(answer)
    except (TypeError, ValueError, RecursionError) as error:
        from jobrunner import failure

        return wire.encode(_problem(f"config is not JSON: {failure.in_short(error)}"))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _guarded(verb: Callable[[Answer], Answer], request: Answer) -> Answer:
    try:
        return verb(request)
    except BaseException as error:
        with suppress(BaseException):  # what it raised may raise again when it is looked at
            return _told(error, request["path"])
    return _problem("importing it failed with an error that cannot be shown", _WHY)


def _told(error: BaseException, path: str) -> Answer:
    from jobrunner import failure

    line = failure.line_in(error, path)
    if isinstance(error, ConfigError):
        return _problem(error.message, error.hint, error.line or line)
    return _problem(f"importing it failed: {failure.in_short(error)}", failure.advice(error) or _WHY, line)


_WHY = "the line named is where it happened; config is computed, so the file has to be imported"


def _config(request: Answer) -> Answer:
    """Import one file and return its configs as JSON: {"configs", "many", "files"}."""
    from jobrunner import loading

    opened = _openings(request["root"])
    module = loading.load(request["folder"], request["path"], request["root"])
    many = hasattr(module, "configs")
    if many and hasattr(module, "config"):
        raise ConfigError("the file has both config and configs", hint="keep one of them")
    value = getattr(module, "configs" if many else "config", None)
    found = list(value) if many and isinstance(value, list | tuple) else [value]
    return {"configs": [_plain_config(each) for each in found], "files": _files(request["root"], opened)}


def _openings(root: str) -> set[str]:
    """Return a set that the files of the project come into which are opened to be read, from now on."""
    found: set[str] = set()

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str) and not args[2] & _WRITING:
            path = os.path.abspath(args[0])
            if path.startswith(root + os.sep) and not path.endswith(".pyc"):
                found.add(path)

    sys.addaudithook(note)
    return found


_WRITING = os.O_WRONLY | os.O_RDWR


def _files(root: str, opened: set[str]) -> list[str]:
    """Return the files of the project that were imported or read: the config may depend on any of them."""
    modules = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    imported = {path for path in modules if isinstance(path, str) and path.startswith(root + os.sep)}
    return sorted(imported.union(filter(os.path.isfile, set(opened))))


def _plain_config(config: object) -> Any:
    """Return a config as JSON; a callable that is its schedule is asked with a builder first."""
    if not isinstance(config, Mapping):
        raise ConfigError(
            f"config is a {type(config).__name__}, not a dict", hint='write config = {"name": ...}'
        )
    return {str(key): _plain_key(str(key), value) for key, value in config.items()}


def _plain_key(key: str, value: object) -> Any:
    found = jsonvalues.plain(_called(value) if key == "schedule" else value)
    said = jsonvalues.flaw(found, key)
    if said is not None:
        raise ConfigError(said, hint=jsonvalues.HINT, key=key)
    return found


def _called(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_called(each) for each in value]
    if not callable(value) or isinstance(getattr(value, "text", None), str):
        return value
    from jobrunner.schedule.build import from_callable

    return from_callable(value)


def _check(request: Answer) -> Answer:
    """Return why the services, or one job, could not work: {"problems"}."""

    def prove(request: Answer) -> Answer:
        from jobrunner import proving

        return {"problems": proving.unprovable(request)}

    return _tried(prove, request)


def _plan(request: Answer) -> Answer:
    """Return what a run of one job would call, and with what."""

    def prove(request: Answer) -> Answer:
        from jobrunner import proving

        return proving.planned(request)

    return _tried(prove, request)


def _tried(prove: Callable[[Answer], Answer], request: Answer) -> Answer:
    try:
        return prove(request)
    except JobrunnerError as error:
        return _problem(error.message, error.hint)
    except BaseException as error:
        from jobrunner import failure

        line = failure.line_in(error, request["path"])
        return _problem(f"it cannot be executed: {failure.in_short(error)}", failure.advice(error), line)


VERBS: dict[str, Callable[[Answer], Answer]] = {"config": _config, "check": _check, "plan": _plan}

if __name__ == "__main__":
    main(int(sys.argv[1]))
