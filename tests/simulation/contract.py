"""THE CONTRACT, AS CODE: what must be true of every history, whatever has happened in it.

Each rule is a function that yields a sentence for whatever breaks it. They are exact: nothing here forgives
lateness into wrongness or the other way round. `RULES` is all of them.

The evidence has sides that know nothing of each other: the state's own diary (journal.py), what the bodies
were really seen to do (bodies.py), and the schedules themselves (accounts.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from jobrunner.clock import Instant, to_iso
from jobrunner.model import ENDED, Job
from jobrunner.plan import MISSED_AFTER
from jobrunner.retry import AFTER_A_CRASH
from tests.simulation import accounts
from tests.simulation.bodies import NEVER, Witness
from tests.simulation.evidence import Evidence, Row
from tests.simulation.journal import Entry

CUT = ("vanished", "lapsed", "killed", "crashed")  # bodies of which nobody knows how far they came
ARROWS = {
    None: {"pending", "skipped"},
    "pending": {"running", "skipped", "canceled", "failed"},
    "running": set(ENDED) | {"waiting", "pending"},
    "waiting": {"pending", "canceled"},
}
TRUTH = {  # what a body was seen to do, for each state that its run may end in
    "succeeded": {"succeeded"},
    "failed": {"failed", "crashed", ""},
    "skipped": {"skipped"},
    "timed_out": {"timed_out"},
    "canceled": {"canceled", "killed", "lapsed", "crashed", "failed"},
    "lost": {
        "vanished", "lapsed", "killed", "succeeded", "failed", "crashed", "skipped", "timed_out",
        "canceled", "",
    },
}  # fmt: skip


# -- occurrences ------------------------------------------------------------------------------------


def each_due_occurrence_is_in_the_ledger_once(evidence: Evidence) -> Iterator[str]:
    """Whatever a cursor has passed is in exactly one row, or in one row for many that counts it."""
    yield from accounts.audit(list(evidence.entries), evidence.known)


def nothing_starts_before_it_is_due(evidence: Evidence) -> Iterator[str]:
    """By the clock of whoever starts it."""
    for each in evidence.claims:
        if each.became("state", "running") and each.row["effective_at"] > each.wall:
            due, started = to_iso(each.row["effective_at"]), to_iso(each.wall)
            yield f"run {each.row['id']} is due at {due}, and was started at {started}"


def nothing_starts_while_it_must_not(evidence: Evidence) -> Iterator[str]:
    """While all is paused or a job is disabled only people start something; what is under way goes on."""
    for each in evidence.claims:
        row, job = each.row, evidence.job(each)
        if row["trigger"] == "manual" or row["undo"] or (each.before or {}).get("started_at") is not None:
            continue
        override = each.around["override"]
        enabled = job is not None and job.enabled if override is None else bool(override)
        if each.around["paused"] or not enabled:
            yield f"run {row['id']} was started in a pause, or though its job is disabled"


def skips_tell_the_truth(evidence: Evidence) -> Iterator[str]:
    """What is written down as skipped at once has the reason that it says."""
    for each in evidence.changes:
        if each.before is None and each.after is not None and each.after["state"] == "skipped":
            job = evidence.job(each)
            if job is not None and not _is_true(each.after["reason"], each, job):
                yield f"run {each.after['id']} is skipped as {each.after['reason']}, and that was not so"


def _is_true(reason: str, each: Entry, job: Job) -> bool:
    row, late = each.row, each.wall - each.row["effective_at"]
    match reason:
        case "paused":
            return bool(each.around["paused"])
        case "disabled":
            override = each.around["override"]
            return not (job.enabled if override is None else override)
        case "overlap":
            return int(each.around["open"]) > 0 and (job.concurrency != "allow" or job.misfire == "all")
        case "grace":
            return job.misfire_grace is not None and late > job.misfire_grace
        case "missed" | "asleep":
            return late > MISSED_AFTER or _is_followed(row, each.wall, job)
        case _:
            return reason in ("limit", "dst")


def _is_followed(row: Row, wall: Instant, job: Job) -> bool:
    last = row["last_for"] or row["scheduled_for"]
    return job.schedule is not None and any(accounts.instants(job.schedule, last, last, wall - job.offset))


# -- one at a time ----------------------------------------------------------------------------------


def each_body_has_a_claim_of_its_own(evidence: Evidence) -> Iterator[str]:
    """A body runs by a committed claim, in the node that made it, and no claim has two bodies."""
    claims = {(each.row["id"], each.row["fence"]): each.row["owner"] for each in evidence.claims}
    seen: set[tuple[int, int]] = set()
    for body in evidence.witnesses:
        key = body.run_id, body.fence
        if claims.get(key) != body.owner:
            yield f"run {body.run_id} was begun by {body.owner}, who had not claimed it"
        if key in seen:
            yield f"run {body.run_id} was begun twice by one claim"
        seen.add(key)


def each_claim_has_a_body(evidence: Evidence) -> Iterator[str]:
    """Unless its node died, or could no longer act, in that very moment."""
    for each in evidence.claims:
        run_id, fence, owner = each.row["id"], each.row["fence"], each.row["owner"]
        row = evidence.runs.get(run_id)
        given_back = row is not None and row["state"] in ("failed", "lost")
        if (run_id, fence) not in evidence.bodies and owner not in evidence.dead and not given_back:
            yield f"run {run_id} was claimed by {owner}, and nobody has begun it"


def fences_rise(evidence: Evidence) -> Iterator[str]:
    """Every claim of the whole state has a higher one than all before it."""
    highest = 0
    for each in evidence.claims:
        if each.row["fence"] <= highest:
            yield f"run {each.row['id']} got fence {each.row['fence']}, and {highest} had been given"
        highest = max(highest, each.row["fence"])


def two_bodies_of_an_exclusive_job_never_meet(evidence: Evidence) -> Iterator[str]:
    """Unless its concurrency is allow, or somebody forced it: then that one may begin beside another.

    What is repeated after a conflict was under way before whoever was let begin beside it.
    """
    by_place: dict[tuple[int, str], list[Witness]] = defaultdict(list)
    for body in evidence.witnesses:
        row = evidence.runs.get(body.run_id)
        if row is None:
            yield f"run {body.run_id} had a body, and its row is gone"
        else:
            by_place[row["job_id"], row["scope"]].append(body)
    for bodies in by_place.values():
        for later in bodies:
            for other in _under_way(bodies, later):
                begins = (later.run_id, later.fence) not in evidence.repeats
                alone, beside = (evidence.runs[one.run_id]["exclusive"] for one in (later, other))
                if alone and (begins or beside):
                    yield f"run {later.run_id} began while run {other.run_id} of its job was under way"


def what_is_planned_is_exclusive(evidence: Evidence) -> Iterator[str]:
    """Unless its job's concurrency is allow."""
    for each in evidence.changes:
        job = evidence.job(each)
        planned = each.before is None and each.row["trigger"] == "schedule" and each.row["attempt"] == 1
        if planned and job is not None and job.concurrency != "allow" and not each.row["exclusive"]:
            yield f"run {each.row['id']} may run beside others of {job.name}, which forbids that"


def groups_keep_their_limit(evidence: Evidence) -> Iterator[str]:
    """When a run of a group begins, fewer than its limit are under way, on all nodes together."""
    for each in evidence.claims:
        job, group = evidence.job(each), each.row["run_group"]
        body = evidence.bodies.get((each.row["id"], each.row["fence"]))
        if job is None or job.group_limit is None or group is None or body is None:
            continue
        mates = [one for one in evidence.witnesses if _group(evidence, one) == group]
        if len(list(_under_way(mates, body))) >= job.group_limit:
            yield f"run {body.run_id} began while as many of its group were under way as may be"


def _group(evidence: Evidence, body: Witness) -> object:
    return evidence.runs.get(body.run_id, {}).get("run_group")


def _under_way(bodies: Sequence[Witness], later: Witness) -> Iterator[Witness]:
    """Yield the bodies that were under way when this one was handed out."""
    for body in bodies:
        before = (body.handed_at, body.fence) < (later.handed_at, later.fence)
        if before and later.handed_at < body.over_at:
            yield body


# -- counting and repeating -------------------------------------------------------------------------


def executions_count_scheduled_starts(evidence: Evidence) -> Iterator[str]:
    """Each first attempt that its schedule started counts once, nothing else does, and a limit holds."""
    counted: dict[tuple[int, str], int] = defaultdict(int)
    started: dict[tuple[int, str], int] = defaultdict(int)
    for each in evidence.entries:
        if each.what == "cursors" and each.after is not None:
            if each.after["executions"] == 0:
                started[each.place] = 0
            counted[each.place] = each.after["executions"]
        elif _is_counted(each):
            started[each.place] += 1
            job = evidence.job(each)
            limit = None if job is None else job.number_of_executions
            if limit is not None and started[each.place] > limit:
                yield f"run {each.row['id']} is start {started[each.place]} of {limit}"
    for place, count in counted.items():
        if count != started[place]:
            yield f"job {place[0]} counts {count} executions, and has started {started[place]} times"


def _is_counted(each: Entry) -> bool:
    row = each.after
    new = row is not None and each.what == "runs" and each.became("state", "running")
    return new and each.row["trigger"] == "schedule" and each.row["attempt"] == 1 and _is_first(each)


def _is_first(each: Entry) -> bool:
    return each.before is None or each.before["started_at"] is None


def what_was_cut_is_repeated_as_its_delivery_says(evidence: Evidence) -> Iterator[str]:
    """At-most-once: never again. The others: as often as their retries say, or three times."""
    for chain in _chains(evidence):
        bodies = sorted(
            (one for one in evidence.witnesses if one.root_id == chain[0]["id"]), key=lambda one: one.fence
        )
        for body, follower in pairwise(bodies):
            if chain[0]["delivery"] == "at-most-once" and body.how in CUT:
                yield f"run {follower.run_id} repeats run {body.run_id}, which may have done its work"
            if follower.attempt < body.attempt:
                yield f"run {follower.run_id} is an earlier attempt than run {body.run_id} before it"
        yield from _given_up_too_soon(evidence, chain)


def _given_up_too_soon(evidence: Evidence, chain: Sequence[Row]) -> Iterator[str]:
    last = chain[-1]
    if last["state"] != "lost" or last["delivery"] == "at-most-once" or last["asked"] or last["undo"]:
        return
    jobs = [job for job in evidence.known.values() if evidence.job_ids.get(job.name) == last["job_id"]]
    allowed = {job.retries.max or AFTER_A_CRASH for job in jobs}
    if last["attempt"] - 1 not in allowed:
        yield f"run {last['id']} was lost as attempt {last['attempt']}, and was not tried again"


def attempts_follow_each_other(evidence: Evidence) -> Iterator[str]:
    """Attempts of a chain are numbered without a gap, and one is written when the one before has ended."""
    rows: dict[int, Row] = {}
    for each in evidence.changes:
        if each.before is None and each.row["attempt"] > 1:
            chain = [row for row in rows.values() if each.row["root_id"] in (row["id"], row["root_id"])]
            if len(chain) != each.row["attempt"] - 1 or any(row["state"] not in ENDED for row in chain):
                yield f"run {each.row['id']} is attempt {each.row['attempt']} of a chain that is not so far"
        rows[each.row["id"]] = each.row


def _chains(evidence: Evidence) -> list[list[Row]]:
    chains: dict[int, list[Row]] = defaultdict(list)
    for row in sorted(evidence.runs.values(), key=lambda row: row["attempt"]):
        chains[row["root_id"] or row["id"]].append(row)
    return list(chains.values())


# -- how it ends ------------------------------------------------------------------------------------


def runs_go_only_where_arrows_point(evidence: Evidence) -> Iterator[str]:
    """What has ended stays as it ended, and nothing is deleted that was ever started."""
    for each in evidence.changes:
        before, after = each.before, each.after
        if after is None:
            if each.row["state"] not in accounts.UNTOUCHED or each.row["started_at"] is not None:
                yield f"run {each.row['id']} was {each.row['state']}, and was deleted"
            continue
        was = None if before is None else before["state"]
        if after["state"] != was and after["state"] not in ARROWS.get(was, set()):
            yield f"run {after['id']} went from {was} to {after['state']}"


def outcomes_are_what_bodies_did(evidence: Evidence) -> Iterator[str]:
    """A run has succeeded only if its body was seen to; what a node could still tell is not lost."""
    for row in evidence.runs.values():
        body = evidence.bodies.get((row["id"], row["fence"]))
        if row["started_at"] is None or row["state"] not in TRUTH:
            continue
        how = "" if body is None else body.how
        if how == "succeeded" and row["state"] == "canceled" and row["delivery"] == "exactly-once":
            continue  # it was asked to end, and what it had read had changed: nothing of it has happened
        if how not in TRUTH[row["state"]]:
            yield f"run {row['id']} is {row['state']}, and its body {how or 'never was'}"


def only_its_owner_ends_a_run(evidence: Evidence) -> Iterator[str]:
    """When its body is over; anybody may find it lost."""
    for each in evidence.changes:
        was = None if each.before is None else each.before["state"]
        if was != "running" or each.row["state"] not in ENDED or each.row["state"] == "lost":
            continue
        body = evidence.bodies.get((each.row["id"], each.row["fence"]))
        if each.who != each.row["owner"]:
            yield f"run {each.row['id']} is of {each.row['owner']}, and {each.who} ended it"
        if body is not None and body.over_at > each.at:
            yield f"run {each.row['id']} has ended, and its body was under way"


def what_has_succeeded_has_begun(evidence: Evidence) -> Iterator[str]:
    """And that is written down: of what is lost nothing else tells how far it came."""
    for row in evidence.runs.values():
        if row["state"] == "succeeded" and row["began_at"] is None:
            yield f"run {row['id']} has succeeded, and nobody has written that it began"


def what_lives_is_not_lost(evidence: Evidence) -> Iterator[str]:
    """A run is lost when its body can do nothing any more: its node is dead, or has killed it in time."""
    for each in evidence.changes:
        if not each.became("state", "lost"):
            continue
        body = evidence.bodies.get((each.row["id"], each.row["fence"]))
        gone = evidence.gone.get(each.row["owner"], NEVER)
        if not evidence.shared and gone > each.at:
            yield f"run {each.row['id']} was taken for lost, and {each.row['owner']} lived"
        if body is not None and body.over_at > each.at:
            yield f"run {each.row['id']} was taken for lost, and its body was under way"


def nobody_is_left(evidence: Evidence) -> Iterator[str]:
    """When all nodes have gone, no run is running, and no node is in the state."""
    yield from (f"node {owner} is still in the state" for owner in evidence.nodes)
    for row in evidence.runs.values():
        if row["state"] == "running":
            yield f"run {row['id']} is running, and nobody runs it"
    for body in (*evidence.witnesses, *evidence.forgotten):
        if body.ended_at is None:
            yield f"the body of run {body.run_id} goes on"


def exactly_once_counts_each_success_once(evidence: Evidence) -> Iterator[str]:
    """What exactly-once bodies add to a document is there once for each success, and for nothing else."""
    wanted: dict[str, int] = defaultdict(int)
    for body in evidence.witnesses:
        row = evidence.runs.get(body.run_id)
        if body.counted and row is not None and (row["state"], row["fence"]) == ("succeeded", body.fence):
            wanted[f"count/{body.job}"] += 1
    for key in sorted({*wanted, *evidence.documents}):
        if wanted[key] != evidence.documents.get(key, 0):
            yield f"{key} is {evidence.documents.get(key, 0)} after {wanted[key]} successes"


def the_state_is_sound(evidence: Evidence) -> Iterator[str]:
    """`state check` finds nothing."""
    yield from evidence.problems


Rule = Callable[[Evidence], Iterator[str]]
RULES: tuple[Rule, ...] = (
    each_due_occurrence_is_in_the_ledger_once, nothing_starts_before_it_is_due,
    nothing_starts_while_it_must_not, skips_tell_the_truth, each_body_has_a_claim_of_its_own,
    each_claim_has_a_body, fences_rise, two_bodies_of_an_exclusive_job_never_meet,
    what_is_planned_is_exclusive, groups_keep_their_limit, executions_count_scheduled_starts,
    what_was_cut_is_repeated_as_its_delivery_says, attempts_follow_each_other,
    runs_go_only_where_arrows_point, outcomes_are_what_bodies_did, only_its_owner_ends_a_run,
    what_has_succeeded_has_begun, what_lives_is_not_lost, nobody_is_left,
    exactly_once_counts_each_success_once, the_state_is_sound,
)  # fmt: skip


def broken(evidence: Evidence) -> list[str]:
    """Return what of the contract is broken, each with the rule's name in words."""
    return [f"{rule.__name__.replace('_', ' ')}: {said}" for rule in RULES for said in rule(evidence)]
