"""Reading job files in a child, for a node that must not wait: some have to be executed to be read.

    node -> child   {"settings": {...}}       what entries depend on; then the pipe stays open
    child -> node   {"entries": [...]}        as many as need no execution, in several frames
                    {"around": [...]}         that was all of them
                    {"entries": [one]}        for each file that was executed, as soon as it has answered
                    {"done": true}            or {"trouble": sentence}

Files are executed several at a time, so that one that hangs delays no other. The child also fills the
cache, but nobody relies on that: all that it finds is in its answers. It ends with its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import IO, Any

from jobrunner import processes, wire
from jobrunner.clock import SystemClock
from jobrunner.discovery.catalog import Around, Catalog, Gathered
from jobrunner.discovery.entries import Entry, entries
from jobrunner.discovery.files import Found
from jobrunner.settings import Settings
from jobrunner.store.values import AddedJob

AT_ONCE = 8  # files executed at a time: most wait, for an import or for ever
BATCH = 500  # entries in a frame
PATIENCE = 1.0  # seconds that a child may take to kill what it has started
SENT = ("project", "folders", "timezone", "env", "import_limit", "stored", "file", "executor", "executors")
LINES = ("jobs", "executor", "executors")


# --- the node's side --------------------------------------------------------------------------


class Warmer:
    """Reads a project's job files in a child. One `start`; then `done` whenever `fileno` is readable."""

    def __init__(self) -> None:
        self.trouble: str | None = None  # why there is no complete answer, once `done`
        self._child: subprocess.Popen[bytes] | None = None
        self._decoder = wire.Decoder()
        self._entries: dict[str, Entry] = {}
        self._around: Around | None = None
        self._told = True
        self._ended = False

    def start(self, settings: Settings) -> None:
        """Start the child; raises OSError when the system has no process left."""
        self._settings = settings
        self._child = processes.bear(lambda: subprocess.Popen(
            [sys.executable, "-P", "-m", "jobrunner.discovery.warming"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        ))  # fmt: skip
        with suppress(OSError):  # it ended before it listened; `done` will find out
            self._stream(self._child.stdin).write(wire.encode({"settings": _sent(settings)}))
            self._stream(self._child.stdin).flush()
        os.set_blocking(self.fileno(), False)

    def fileno(self) -> int:
        """Return what becomes readable when there is something new."""
        assert self._child is not None
        return self._stream(self._child.stdout).fileno()

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream

    def done(self) -> bool:
        """Take what has come, without waiting, and return whether that was all; then the child is gone."""
        while not self._ended:
            try:
                data = os.read(self.fileno(), 1 << 16)
                for frame in self._decoder.feed(data):
                    self._take(frame)
            except BlockingIOError:
                return False
            except wire.WireError as error:
                self._end(str(error))
            else:
                if not data:
                    self._end("the process that read the job files ended before it had read them all")
        return True

    def _take(self, frame: wire.Frame) -> None:
        for entry in frame.get("entries", ()):
            self._entries[entry["path"]] = entry
            self._told = False
        if "around" in frame:
            problems, missing, found = frame["around"]
            self._around = Around([_row(each) for each in problems], missing, found)
            self._told = False
        if "done" in frame or "trouble" in frame:
            self._end(frame.get("trouble"))

    def gathered(self) -> Gathered | None:
        """Return all that is known by now, if that is new; None before there is something of each file."""
        if self._around is None or self._told:
            return None
        self._told = True
        return Gathered(self._settings, list(self._entries.values()), self._around)

    def kill(self) -> None:
        """End the child and all that it has started; what it has found so far stays."""
        self._end(None)

    def _end(self, trouble: str | None) -> None:
        if self._child is None or self._ended:
            return
        self.trouble, self._ended = trouble, True
        with suppress(OSError):
            self._stream(self._child.stdin).close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._stream(self._child.stdout).close()
        processes.forget(self._child.pid)


def _row(found: Sequence[Any]) -> Any:
    return tuple(found)


def _sent(settings: Settings) -> dict[str, Any]:
    """Return what entries depend on as JSON. Overrides may hold what YAML has and JSON has not: as YAML."""
    said: dict[str, Any] = {name: getattr(settings, name) for name in SENT}
    said["services"] = dict.fromkeys(settings.services)  # that there are any is what counts
    said["added"] = [[each.name, each.target, each.config] for each in settings.added]
    said["lines"] = [[list(path), line] for path, line in settings.lines.items() if path[0] in LINES]
    if settings.overrides:
        import yaml

        said["overrides"] = yaml.safe_dump(dict(settings.overrides), sort_keys=False, allow_unicode=True)
    return said


def _received(said: Mapping[str, Any]) -> Settings:
    values = dict(said)
    values["folders"] = tuple(values["folders"])
    values["added"] = [AddedJob(*each) for each in values["added"]]
    values["lines"] = {tuple(path): line for path, line in values["lines"]}
    if "overrides" in values:
        import yaml

        values["overrides"] = yaml.safe_load(values["overrides"])
    return Settings(**values, state="", slots=1, node="", machine="")


# --- the child's side -------------------------------------------------------------------------


def main() -> None:
    """Answer the one request on standard input, on standard output."""
    processes.adopt_orphans()
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    settings = _received(_request()["settings"])
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        for answer in _answers(settings):
            _write(answers, answer)
        last: wire.Frame = {"done": True}
    except Exception as error:  # whatever it is, the node hears of it
        last = {"trouble": f"reading the job files failed: {type(error).__name__}: {error}"}
    _write(answers, last)
    os._exit(0)


def _request() -> wire.Frame:
    decoder = wire.Decoder()
    while data := os.read(0, 1 << 16):
        for frame in decoder.feed(data):
            return frame
    os._exit(0)


def _end_with_parent() -> None:
    """Wait until the parent closes our standard input, or is gone; leave nothing behind."""
    while os.read(0, 1 << 10):
        continue
    processes.kill_children()
    os._exit(0)


def _write(descriptor: int, frame: wire.Frame) -> None:
    data = wire.encode(frame)
    while data:
        data = data[os.write(descriptor, data) :]


def _answers(settings: Settings) -> Iterator[wire.Frame]:
    clock = SystemClock()
    catalog = Catalog(settings._replace(import_limit=0), clock)
    at_hand = catalog.entries()
    for some in _batches(at_hand):
        yield {"entries": some}
    yield {"around": list(catalog.around)}
    unread = [Found(each["path"], each["folder"], settings.project) for each in at_hand if each["unread"]]
    read: list[Entry] = []
    for entry in _executed(unread, settings, clock):
        read.append(entry)
        yield {"entries": [entry]}
    if read:
        catalog.learn(read)


def _batches(found: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (found[i : i + BATCH] for i in range(0, len(found), BATCH))


def _executed(found: Sequence[Found], settings: Settings, clock: SystemClock) -> Iterator[Entry]:
    """Yield the entry of each file once it has answered, the quickest first."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(entries, [each], settings, clock.now()) for each in found]
        for one in as_completed(waiting):
            yield from one.result()


if __name__ == "__main__":
    main()
