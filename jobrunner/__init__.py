"""jobrunner: drop a file into jobs/, run `jobrunner start`, and every due moment is accounted for.

The map, from top to bottom; imports point down only. docs/story-of-one-run.md walks it with one run.

    __main__    python -m jobrunner
    cli/        the commands: arguments in, text or JSON out
    pytest_plugin  the fixtures, for whoever has pytest
    testing     for users' tests: a clock, simulate, the contract of stores
    inline      one run in this process, for tests of jobs
    client/     the verbs of the command line, for it and for Python: connect(url)
    simulation/ a node without processes, in a time of its own
    doctor      what keeps jobs, or one job, from running
    backup      a state as one SQLite file, made while nodes work
    moving      a state goes from one store into another
    why         one sentence about any occurrence, and what it rests on
    vitals      who is alive, and what is overdue
    stats       counts, durations, lateness
    rejoining   who was taken for dead starts again
    node        start: the loop, and how it stops
    once        run: one run by hand, through the same store and executor
    stopping    how a node comes to its end, stage by stage
    reloading   how edits come to a running node
    patience    what a node does while the state cannot be written
    clockwatch  notices sleep and clock steps
    workplace   a process's locks, children, doorbell and signals
    goal        when --until-done is done
    dispatcher  one turn: record, recover, consume, claim, hand out
    hearing     what the executor saw of runs
    recording   what runs said, asked for and came to, written
    starting    how a claim comes to its child
    telling     what is said once it is committed
    hooks       who is told of a run, after the commit
    underway    runs of ours whose end is not recorded
    recovery    who is proven dead, and what becomes of their runs
    status      what state a job is in, and why
    liveness    who is alive: by locks on one machine, by leases over a database
    pruning     the body of jobrunner.prune: old rows go
    joining     how a node comes among the living, with its definitions
    handout     what a child is told
    aftermath   what follows when an attempt has ended
    requests    what runs ask for, and what they are told
    shapes      what requests must look like
    compensation  when the steps of a chain are taken back
    scheduler   which occurrences are due, a heap of instants
    log         events as sentences
    definitions what a node holds at one moment; broken edits leave it as it was
    registry    the jobs we know: files, problems, names
    exposure    who else may write what is executed here
    drift       who lives and holds other definitions than the current ones
    housekeeping  the jobs that come with jobrunner
    added       the jobs that code has added
    restoring   a job as the state remembers it
    discovery/  which files there are, and what their syntax tree says
    probe       asks a child about files that must be executed to be read
    config/     a dict becomes a job, or an error with file, line, key and value
    store/      what is true: the verbs, and SQLite or PostgreSQL behind them
    presence    locks and doorbells beside the state's file
    executor/   one process a run: the pool in the node, the zygote that forks; the seam for others
    proving     what check finds out by rehearsing services and a job's parameters
    rehearsal   a run of nothing, before the first fork
    rehearsed   its job file
    child       the process of a run
    body        one run as a pipeline of phases
    results     what a body leaves, as plain JSON
    stepping    ctx.step, parallel, wait_for: what was done is handed back
    branches    several steps at a time
    undoing     how a step is taken back, and that being done
    provision   services.py and services:
    eventloop   async bodies and services, one loop a run
    container   services, their lifetimes and their end
    provider    how one service comes into being
    injection   which argument each parameter gets
    context     ctx
    calls       the service scheduler
    documents   the service state
    loading     a job file becomes a module
    logger      the run's logger
    earshot     what is logged gets into the run's log
    failure     an exception as data
    link        the run's end of the wire
    workflow    steps, as job files import them
    ways        where a step is, and how it waits
    interrupting  ends what takes too long
    effects     what a run has read, and would have its commit change
    terms       when a call may be, and with which params
    wire        the words that node and run share
    wording     what many say alike, and no terminal obeys
    backoff     how long to wait before the next try
    processes   what the kernel offers to keep processes together
    events      what happened, as data
    mishaps     the same of nodes, clocks and the state
    watching    a hint that files may have changed
    record      a run as JSON has it
    retry       whether again, and when
    pace        how long runs usually take, and which is out of the ordinary
    plan        what is due and what becomes of it
    parameters  what a job's function takes, and whether what is given fits
    stored      the settings, with what the state has of jobs
    answers     whether what a child answers has the shape that was asked for
    facts       what the store knows of jobs, nodes and people
    model       the nouns
    shield      keeps SIGTERM from cutting something in two
    outcomes    Skip, PermanentFailure, Canceled, Suspended: what a body may raise
    schedules   the builders, as job files import them
    schedule/   when: arithmetic
    plugins     which executors there are beside the process
    installed   what packages offer, read as text
    settings/   every setting and its default
    durations   1h30m
    labels      what nodes have and jobs ask for
    masking     which values are secret, and stars in their place
    failpoints  where a test lets a node die, freeze or fail
    fingerprint what tells two versions of something apart
    garbage     the collector of cycles, kept from walking through what stays
    clock       the only place that asks for the time
    errors      what can go wrong
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobrunner.client import Client, connect
    from jobrunner.outcomes import Canceled, PermanentFailure, Skip

__all__ = ["Canceled", "Client", "PermanentFailure", "Skip", "__version__", "connect"]
__version__ = "0.1.0"


_HOMES = {
    "Canceled": "outcomes", "Client": "client", "PermanentFailure": "outcomes", "Skip": "outcomes",
    "connect": "client",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load the public names when they are asked for: a command pays for what it uses."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"jobrunner.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
