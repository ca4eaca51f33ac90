"""simulate: what will happen, or would have, in a time of its own."""

from __future__ import annotations

import click

from jobrunner import durations
from jobrunner.cli import out, story
from jobrunner.cli.asking import Asked, JobName, Length, Text, Verb
from jobrunner.clock import Instant, SystemClock
from jobrunner.errors import BadRequest
from jobrunner.events import Event, Output
from jobrunner.simulation.clock import instant
from jobrunner.simulation.jobs import Subject, of_project
from jobrunner.simulation.run import simulate as play

BAD = frozenset({"failed", "timed_out"})


@click.command(
    cls=Verb,
    epilog="jobrunner simulate --to 7d\n"
    "jobrunner simulate --from 2026-03-28 --to 2026-03-31 --takes 20m sync-orders\n"
    "jobrunner simulate --from 2027-01-01 --to 2028-01-01 --plan --json",
)
@click.argument("names", nargs=-1, type=JobName())
@click.option(
    "--from", "start", type=Text(), default="now", help="Where it begins: 2026-03-28, an ISO time, or 2h."
)
@click.option(
    "--to", "end", type=Text(), default="1d", show_default=True, help="Where it ends; 7d counts from there."
)
@click.option(
    "--run", is_flag=True, help="Run the bodies, really; without it each succeeds and does nothing."
)
@click.option(
    "--takes", type=Length(), metavar="D", help="How long runs take; default: as long as they usually do."
)
@click.option("--plan", "plan_only", is_flag=True, help="The schedule alone: quick, also over years.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def simulate(
    asked: Asked, /, names: tuple[str, ...], start: str, end: str, run: bool, takes: int | None,
    plan_only: bool, as_json: bool,
) -> int:  # fmt: skip
    """Show what happens from one moment to another, of all jobs or of those NAMEd.

    It is made to happen, by the code that makes it happen, in a state of its own: the project's is only read,
    for what is enabled, how often jobs may still start and how long they take. Overlaps, retries, clock
    changes: all as in `jobrunner start`. No code of yours is executed, unless you ask for it with --run.
    """
    if run and plan_only:
        raise BadRequest("--plan runs nothing", hint="leave out --plan, or --run")
    about = of_project(asked.settings(), names)
    zone = about.settings.timezone
    first = _moment("--from", start, zone, SystemClock().now())
    last = _moment("--to", end, zone, first)
    if last <= first:
        raise BadRequest("--to is not after --from")
    _note(about)
    timeline = play(
        about, start=first, end=last, run=run, takes=None if takes is None else takes / durations.MICROS["s"],
        plan_only=plan_only, emit=_Listener(),
    )  # fmt: skip
    if as_json:
        out.json_document(timeline.to_json())
    else:
        out.write(story.text(timeline))
    return 1 if run and any(entry.state in BAD for entry in timeline) else 0


class _Listener:
    """Lets what bodies print be seen, on stderr."""

    def __call__(self, event: Event) -> None:
        """Take in what happens."""
        if isinstance(event, Output) and event.data:
            from jobrunner.wording import printable

            for line in event.data.decode("utf-8", "replace").splitlines():
                out.talk(f"[{event.run_id}] {printable(line)}")


def _moment(option: str, text: str, zone: str, base: Instant) -> Instant:
    if text.strip() == "now":
        return base
    try:
        return base + durations.parse(text)
    except ValueError:
        pass
    try:
        return instant(text.strip(), option, zone)
    except BadRequest as error:
        raise BadRequest(error.message, hint="write 2026-03-28, 2026-03-28T09:30 or 2h") from None


def _note(about: Subject) -> None:
    """Say what the simulation leaves aside."""
    for problem in about.problems:
        out.talk(f"note: {problem.file}: {problem.message}")
    if about.paused:
        out.talk("note: schedules are paused at present; the simulation goes on as if they were not")
