"""jobrunner: drop a file into jobs/, run `jobrunner start`, and every due moment is accounted for.

The map, from top to bottom; imports point down only. docs/story-of-one-run.md walks it with one run.

    __main__    python -m jobrunner
    cli/        the commands: arguments in, text or JSON out
    testing     for tests of stores: the contract that each must keep
    node        start: the loop, and how it stops
    once        run: one run by hand, through the same store and executor
    stopping    how a node comes to its end, stage by stage
    clockwatch  notices sleep and clock steps
    workplace   a process's locks, children, doorbell and signals
    goal        when --until-done is done
    dispatcher  one turn: record, recover, consume, claim, hand out
    scheduler   which occurrences are due, a heap of instants
    log         events as sentences
    registry    the jobs we know: files, problems, names
    discovery/  which files there are, and what their syntax tree says
    probe       asks a child about files that must be executed to be read
    config/     a dict becomes a job, or an error with file, line, key and value
    store/      what is true: the verbs, and SQLite behind them
    presence    who is alive: locks and doorbells
    executor/   one process a run: the pool in the node, the zygote that forks
    proving     what check finds out by rehearsing services and a job's parameters
    child       the process of a run
    body        one run as a pipeline of phases
    provision   services.py and services:
    eventloop   async bodies and services, one loop a run
    container   services, their lifetimes and their end
    provider    how one service comes into being
    injection   which argument each parameter gets
    context     ctx
    loading     a job file becomes a module
    logger      the run's logger
    failure     an exception as data
    link        the run's end of the wire
    wire        the words that node and run share
    processes   what the kernel offers to keep processes together
    events      what happened, as data
    plan        what is due and what becomes of it
    model       the nouns
    outcomes    Skip, PermanentFailure, Canceled: what a body may raise
    schedules   the builders, as job files import them
    schedule/   when: arithmetic
    settings/   every setting and its default
    durations   1h30m
    clock       the only place that asks for the time
    errors      what can go wrong
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobrunner.outcomes import Canceled, PermanentFailure, Skip

__all__ = ["Canceled", "PermanentFailure", "Skip", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the public names when they are asked for: a command pays for what it uses."""
    if name in ("Canceled", "PermanentFailure", "Skip"):
        from jobrunner import outcomes

        return getattr(outcomes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
