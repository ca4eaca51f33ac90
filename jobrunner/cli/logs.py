"""logs: what a run wrote."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from jobrunner.cli import out
from jobrunner.cli.asking import Asked, JobName, Verb
from jobrunner.cli.past import find_run, is_run, newest_run, why
from jobrunner.errors import BadRequest, UnknownRun
from jobrunner.model import ENDED, Run
from jobrunner.settings import Settings
from jobrunner.store.base import LogChunk, Store
from jobrunner.wording import Cleaner, bytes_cut

LOOK_EVERY = 0.25  # seconds between looks at a run that goes on
LONGEST_WHY = 500  # characters of an error, as in the log of a node; `show` has all of it
RAW_HINT = "send it elsewhere: jobrunner logs --raw … > file"


class Printer:
    """Prints chunks in order and says where some of the output was cut."""

    def __init__(self, emit: Callable[[str | bytes], bool], *, raw: bool) -> None:
        self._emit = emit
        self._clean = None if raw else Cleaner()
        self._column = 0  # how long the line is that we are in
        self.offset = 0

    def chunks(self, chunks: list[LogChunk]) -> bool:
        """Print chunks; returns False when nobody reads any more."""
        for chunk in chunks:
            self.skip_to(chunk.offset)
            self.offset = chunk.offset + len(chunk.data)
            if not self._put(chunk.data):
                return False
        return True

    def skip_to(self, offset: int) -> None:
        """Say that all before `offset` is gone, if it was not printed."""
        if offset > self.offset:
            newline = "\n" if self._column else ""
            self._put(f"{newline}{bytes_cut(offset - self.offset)}".encode())
            self.offset = offset

    def end(self) -> None:
        """Finish the last character and line."""
        if self._clean is not None:
            self._text(self._clean(b"", final=True))
            if self._column:
                self._emit("\n")

    def _put(self, data: bytes) -> bool:
        if self._clean is not None:
            return self._text(self._clean(data))
        self._column = len(data) - data.rfind(b"\n") - 1
        return self._emit(data)

    def _text(self, text: str) -> bool:
        if text:
            self._column = len(text) - text.rfind("\n") - 1
        return self._emit(text) if text else True


@click.command(cls=Verb, epilog="jobrunner logs sync-orders -f\njobrunner logs 1742 --raw > output.txt")
@click.argument("run_or_job", type=JobName())
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--raw", is_flag=True, help="The bytes as they were written, to a file or pipe.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def logs(asked: Asked, run_or_job: str, follow: bool, raw: bool, tail: int | None, as_json: bool) -> None:
    """Print what a run wrote: a run by its number, or the newest run of a job."""
    _check(follow, raw, tail, as_json)
    store, run = _found(asked, run_or_job, wait=follow)
    if as_json:
        out.json_document(_object(store, run, tail))
        return
    if tail is not None:
        text = _text(store, run, tail, raw=raw)
        out.write(text.encode("utf-8", "surrogateescape") if raw else text)
    else:
        _print(store, run, follow=follow, raw=raw)
    _say_why(store.run(run.id) or run)


def _found(asked: Asked, run_or_job: str, *, wait: bool) -> tuple[Store, Run]:
    """Return the state and the run that was asked for; of a job that has none yet, its first, if we wait."""
    settings = asked.settings()
    store, said = asked.state(settings), False
    while True:
        try:
            run = _find(store, settings, run_or_job)
            assert store is not None  # or there was no run
            return store, run
        except UnknownRun as error:
            if not wait or is_run(run_or_job):
                raise
            if not said:
                out.talk(f"{error}; waiting for its first run")
        said = True
        time.sleep(LOOK_EVERY)
        store = store or asked.state(settings)


def _find(store: Store | None, settings: Settings, run_or_job: str) -> Run:
    return find_run(store, run_or_job) if is_run(run_or_job) else newest_run(store, settings, run_or_job)


def _check(follow: bool, raw: bool, tail: int | None, as_json: bool) -> None:
    if raw and out.on_terminal():
        raise BadRequest("--raw would let the output act on your terminal", hint=RAW_HINT)
    if as_json and (follow or raw):
        raise BadRequest("--json goes with neither --follow nor --raw")
    if tail is not None and follow:
        raise BadRequest("--tail does not go with --follow")


def _say_why(run: Run) -> None:
    """Say what a run died of: the traceback is kept with the run, not in its output."""
    if run.state == "failed" and run.error:
        has = "has the traceback" if run.error.get("traceback") else "tells more"
        said = why(run)
        said = said if len(said) <= LONGEST_WHY else f"{said[:LONGEST_WHY]}…"
        out.talk(f"it failed: {said}; jobrunner show {run.id} {has}")


def _object(store: Store, run: Run, tail: int | None) -> dict[str, object]:
    text = _text(store, run, tail, raw=False)
    return {"run": run.id, "job": run.job, "state": run.state, "bytes": run.log_bytes, "text": text}


def _gathering(*, raw: bool) -> tuple[Printer, list[str]]:
    """Return a printer that prints into a list."""
    parts: list[str] = []

    def keep(piece: str | bytes) -> bool:
        parts.append(piece.decode("utf-8", "surrogateescape") if isinstance(piece, bytes) else piece)
        return True

    return Printer(keep, raw=raw), parts


def _whole(store: Store, run: Run, printer: Printer) -> None:
    if printer.chunks(store.read_log(run.id)):
        printer.skip_to(run.log_bytes if run.state in ENDED else 0)
        printer.end()


def _text(store: Store, run: Run, tail: int | None, *, raw: bool) -> str:
    """Return the whole output, or its last lines; raw bytes that are no text as lone surrogates."""
    printer, parts = _gathering(raw=raw)
    _whole(store, run, printer)
    text = "".join(parts)
    if tail is None:
        return text
    lines = text.split("\n")
    return "" if tail == 0 else "\n".join(lines[-tail - 1 if lines[-1] == "" else -tail :])


def _print(store: Store, run: Run, *, follow: bool, raw: bool) -> None:
    printer = Printer(out.write, raw=raw)
    if not follow or run.state in ENDED:
        _whole(store, run, printer)
        return
    while True:
        now = find_run(store, str(run.id))  # looked at before its log: what it wrote last is not missed
        if not printer.chunks(store.read_log(run.id, printer.offset)):
            return
        if now.state in ENDED:
            printer.skip_to(now.log_bytes)
            printer.end()
            out.talk(f"{now.job} #{now.id} {now.state.replace('_', ' ')}")
            return
        time.sleep(LOOK_EVERY)
