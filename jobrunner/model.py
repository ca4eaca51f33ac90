"""The nouns: frozen values without behaviour. Instants and durations are integer microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jobrunner.clock import HOUR, SECOND, Instant

if TYPE_CHECKING:  # the nouns are cheap to import, calendars are not
    from jobrunner.schedule import Schedule

State = Literal[
    "pending", "running", "waiting", "succeeded", "failed", "timed_out", "canceled", "skipped", "lost"
]
Trigger = Literal["schedule", "manual", "call"]
Reason = Literal[
    "overlap", "replaced", "missed", "asleep", "grace", "paused", "disabled", "environment", "labels",
    "limit", "broken-file", "orphan", "calendar", "dst", "body", "shutdown", "conflict",
]  # fmt: skip

OPEN: frozenset[str] = frozenset({"pending", "running", "waiting"})
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "timed_out", "canceled", "skipped", "lost"})


class Retries(NamedTuple):
    """How often a failed run is tried again, and when: durations in microseconds.

    `jitter` is the most that is added to a delay; True means half of the delay.
    """

    max: int = 0
    delay: int = SECOND
    backoff: Literal["fixed", "exponential"] = "fixed"
    max_delay: int = HOUR
    jitter: int | bool = False


class Chosen(NamedTuple):
    """Which executor runs bodies, and its options as they are meant, those of the settings included."""

    name: str = "process"
    options: Mapping[str, Any] = {}


BY_PROCESS = Chosen()


class Parameter(NamedTuple):
    """Something that a job's function takes, as its file says it. It may be a param, or a service.

    `kind` is the name of the annotated type, "" for any or several, with ? behind it where None is allowed:
    values are held to int, float, bool, str, list, dict, date, datetime, to `list[int]` and
    `dict[str, int]` of plain ones, and to `Literal["a", "b"]`, whose values are a JSON list. `default` is
    its default where that is JSON, and it is `required` when it has none. One named `**` says that the
    function may look at any param.
    """

    name: str
    kind: str = ""
    required: bool = True
    default: Any = None


class Job(NamedTuple):
    """A definition: what one config says, with every default filled in.

    `file` is the path as shown to people (relative to the project root where it lies below it),
    `path` the absolute one; `folder` the jobs folder it was found in. `content_hash` is the sha256 of
    the file, `hash` of everything that makes two definitions the same (content, config, zone).
    `config` is the dict as written, JSON only, canonical keys.
    """

    name: str
    schedule: Schedule | None
    timezone: str
    file: str
    path: str
    folder: str
    line: int
    content_hash: str
    hash: str
    config: Mapping[str, Any]
    target: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    number_of_executions: int | None = None
    enabled: bool = True
    environments: tuple[str, ...] | None = None
    runs_on: tuple[str, ...] = ()  # labels, all of which a node must have
    params: Mapping[str, Any] = {}
    timeout: int | None = None
    retries: Retries = Retries()
    concurrency: str = "forbid"
    misfire: str = "once"
    misfire_grace: int | None = None
    offset: int = 0  # from a nominal instant to the effective one: the job's own part of its jitter
    priority: int = 0
    delivery: str = "at-most-once"
    stop_on_error: int = 0  # after how many failures in a row it is disabled; 0: never
    run_per_machine: bool = False
    memory_limit: int | None = None  # bytes
    group: str | None = None
    group_limit: int | None = None
    former_names: tuple[str, ...] = ()
    cancellable: bool = True
    stall_after: int | None = None
    hooks: Mapping[str, str] = {}  # on_failure … -> "module:function" or ":function"
    hidden: bool = False
    runs_per_process: int = 1
    executor: Chosen = BY_PROCESS
    run_on_start: bool = False
    start_at: Instant | None = None
    end_at: Instant | None = None
    imports: tuple[str, ...] = ()  # top-level modules that the file imports, for the zygote's preload
    overridden: tuple[str, ...] = ()  # config keys that jobrunner.yaml or `set` gave, sorted
    parameters: tuple[Parameter, ...] | None = None  # what its function takes; None: nobody can tell

    @property
    def schedule_key(self) -> str:
        """What a stored cursor belongs to: when this text changes, the schedule starts anew."""
        if self.schedule is None:
            return ""
        config = self.config
        return _key(self.schedule.text, self.timezone, config.get("dstGap", ""), config.get("dstFold", ""))

    def scope(self, machine: str) -> str:
        """Return what its occurrences are counted in: a machine for runPerMachine, else all together."""
        return machine if self.run_per_machine else ""


@lru_cache(maxsize=4096)
def _key(text: str, zone: str, gap: str, fold: str) -> str:
    return f"{text}|{'' if text.startswith('every ') else zone}|{gap}|{fold}"


class Problem(NamedTuple):
    """Why a file, or one of its configs, cannot be used: where, what, and what to do."""

    file: str
    line: int | None
    message: str
    hint: str | None = None
    name: str | None = None  # the job's name, where it could be read
    path: str = ""


class Standing(NamedTuple):
    """Where a job stands in one scope: how far its schedule is consumed, and what occupies it.

    The cursor (`consumed`) lives apart from the runs, so that pruning forgets nothing. `open` counts
    rows that are pending, running or waiting, `pending` the scheduled first attempts among them that no
    node has claimed yet, and `pending_id` is the newest of these; `occupant` is the oldest open run.
    `catching_up`: one of them was late when it was planned. `anchor` is the start of interval grids,
    `ended_at` the end of the last chain. `elsewhere`: another node holds the same definition and nothing
    keeps the job from running there. `enabled` is what people or stopOnError said, None: nobody did.
    """

    job_id: int
    job: str
    scope: str
    schedule_key: str
    consumed: Instant
    anchor: Instant
    executions: int
    open: int = 0
    pending: int = 0
    pending_id: int | None = None
    occupant: int | None = None
    catching_up: bool = False
    ended_at: Instant | None = None
    elsewhere: bool = False
    enabled: bool | None = None
    paused: bool = False


class Due(NamedTuple):
    """One row to write for one or many due occurrences.

    `skip` None: it shall run, one after another with its like if `serial`. Otherwise the reason why not;
    `count` > 1 then stands for all due occurrences from `scheduled_for` to `last_for`; `blocked_by` is
    the run in the way of an overlap.
    """

    scheduled_for: Instant
    effective_at: Instant
    skip: Reason | None = None
    count: int = 1  # type: ignore[assignment]  # it hides a method of tuples
    last_for: Instant | None = None
    blocked_by: int | None = None
    serial: bool = False


class Run(NamedTuple):
    """One attempt, as the store keeps it. `fence` grows with every claim of the whole store."""

    id: int
    job_id: int
    job: str
    trigger: Trigger
    scope: str
    scheduled_for: Instant | None
    effective_at: Instant
    state: State
    attempt: int
    root_id: int
    created_at: Instant
    parent_id: int | None = None
    reason: str | None = None
    began_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    owner: str | None = None
    node: str | None = None
    machine: str | None = None
    pid: int | None = None
    fence: int = 0
    params: Mapping[str, Any] = {}
    result: Any = None
    truncated: bool = False
    error: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] | None = None
    identity: str = "system"
    file_hash: str = ""
    delivery: str = "at-most-once"
    count: int = 1  # type: ignore[assignment]  # as above
    last_for: Instant | None = None
    log_bytes: int = 0
    group: str | None = None
    asked: str | None = None  # to end: canceled, or replaced by a newer occurrence
    stalled: bool = False
    blocked_by: int | None = None
    conflicts: int = 0  # how often its commit found that what it had read had changed
    undo: int = 0  # the how-manieth try to take back the chain's steps; 0: an attempt at the body

    @property
    def is_new(self) -> bool:
        """Whether nothing of its chain has started yet: neither an attempt before, nor before a wait."""
        return self.attempt == 1 and self.started_at is None


StepState = Literal["running", "waiting", "done", "failed", "outdated"]


class Step(NamedTuple):
    """A step of a chain. `path` is its name below those of the steps around it, as in `ship/label`.

    One that is outdated was done, and rests on what was read and has changed since: it is to be taken back,
    if it can be, and done again.

    `effects` is what a done step would have the run's commit apply. `undo` says how to take it back:
    {"target": "module:function" or ":function" of the job's file, "args": JSON, "given": whether the args
    were given; else it gets the step's result}. `undone`: whether that was done, or has failed.
    """

    root_id: int
    path: str
    position: int
    run_id: int
    state: StepState
    started_at: Instant
    tries: int = 0
    finished_at: Instant | None = None
    deadline: Instant | None = None
    result: Any = None
    error: Mapping[str, Any] | None = None
    effects: Mapping[str, Any] | None = None
    undo: Mapping[str, Any] | None = None
    undone: Literal["done", "failed"] | None = None
    undone_at: Instant | None = None
    undo_error: Mapping[str, Any] | None = None


class Claim(NamedTuple):
    """A run that is now ours and running. `is_last`: no scheduled start follows (numberOfExecutions).

    `last` is the outcome of the chain before ({"state", "result", "error", "finishedAt"}), or None;
    `cursor` the job's own cursor value; `steps` what the chain has done before this claim.
    """

    run: Run
    is_last: bool
    last: Mapping[str, Any] | None
    cursor: Any
    steps: tuple[Step, ...] = ()


class Outcome(NamedTuple):
    """How a run ended, as a value: a crash, a time-out and a return are the same kind of thing.

    State waiting is no end: the body has gone until an event comes from outside. `cursor` is what the body
    has assigned to `ctx.cursor`; it counts only with `cursor_set`.
    """

    state: State
    reason: str | None = None
    result: Any = None
    truncated: bool = False
    error: Mapping[str, Any] | None = None
    file_hash: str = ""
    cursor: Any = None
    cursor_set: bool = False  # the body assigned ctx.cursor
