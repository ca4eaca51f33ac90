"""start: run the schedule. Here is what it may be told; startup.py does it."""

from __future__ import annotations

from typing import Any

import click

from jobrunner.cli.app import not_yet
from jobrunner.cli.asking import Asked, JobName, Length, Text, Verb
from jobrunner.settings.readers import ROLES

LATER = {"ui": "leave --ui out; ls, history and show tell what happens"}


@click.command(
    cls=Verb,
    epilog="jobrunner start\njobrunner start --jobs examples/jobs\njobrunner start --until-done",
)
@click.option(
    "--slots", type=click.IntRange(1), metavar="N", help="Runs at once; default: cores, at least 4."
)
@click.option(
    "--until-done", is_flag=True, help="End once every job with numberOfExecutions has had its runs."
)
@click.option("--for", "run_for", type=Length(), metavar="D", help="End after so long, e.g. 1h.")
@click.option("--only", multiple=True, type=JobName(), metavar="NAME", help="Only this job; may be repeated.")
@click.option(
    "--except",
    "exclude",
    multiple=True,
    type=JobName(),
    metavar="NAME",
    help="Not this job; may be repeated.",
)
@click.option(
    "--tag", multiple=True, type=Text(), metavar="T", help="Only jobs with this tag; may be repeated."
)
@click.option(
    "--grace", type=Text(), metavar="D", help="How long runs may go on after a stop.  [default: 30s]"
)
@click.option("--exclusive", is_flag=True, help="Refuse to work beside another start.")
@click.option("--paused", is_flag=True, help="Skip everything that is due, and record it.")
@click.option("--strict", is_flag=True, help="Refuse to start while a job file has a problem.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Lines for people, or JSON lines.")
@click.option(
    "--no-live", is_flag=True, envvar="JOBRUNNER_NO_LIVE", help="At a terminal, too: lines, and no live view."
)
@click.option(
    "--watch/--no-watch",
    default=None,
    help="Take over edits of job files and settings.  [default: in a terminal]",
)
@click.option("--ui", is_flag=False, flag_value="on", hidden=True)
@click.option(
    "--label", "labels", multiple=True, type=Text(), metavar="L",
    help="What this node has, for jobs that say runsOn; may be repeated.",
)  # fmt: skip
@click.option(
    "--role", type=click.Choice(ROLES),
    help="all: plan and work. worker: so, and serve no dashboard. control: only watch over the others."
    "  [default: all]",
)  # fmt: skip
@click.pass_obj
def start(
    asked: Asked, /, until_done: bool, run_for: int | None, watch: bool | None, no_live: bool, **options: Any
) -> int:
    """Run the schedule until told to stop: Ctrl-C or TERM; a second one ends at once.

    Any number of them may work on one state: each due moment is run once.
    """
    from jobrunner.executor import birth

    _refuse_later(options)
    options["except"] = options.pop("exclude")
    settings = asked.settings(**options)
    with birth.begun(settings):  # an interpreter comes up while we load what a node is, and read the files
        from jobrunner.cli import startup

        how = {"until_done": until_done, "run_for": run_for, "watch": watch, "live": not no_live}
        return startup.work(asked, settings, options, how)


def _refuse_later(options: dict[str, Any]) -> None:
    if options.pop("ui"):
        not_yet("--ui", LATER["ui"])
