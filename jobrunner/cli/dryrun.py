"""run --dry-run: what a run by hand would be, with nothing of its body executed and nothing written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner import status
from jobrunner.cli import checking, nodes, out
from jobrunner.cli.jsonout import Object
from jobrunner.cli.render import facts, plain
from jobrunner.clock import SECOND, to_iso
from jobrunner.masking import masker_of
from jobrunner.wording import brief, one_line

if TYPE_CHECKING:
    from jobrunner.model import Job, Run
    from jobrunner.settings import Settings
    from jobrunner.store.base import Store

REFUSED, MISSING = 4, 3
KEYS = ("message", "hint", "file", "line")  # of a problem
DELIVERY = {
    "at-most-once": "at-most-once: lost, it is not repeated",
    "at-least-once": "at-least-once; by hand, lost, it is not repeated",
    "exactly-once": "exactly-once: what it does through state and scheduler is committed with its success",
}


class Way(NamedTuple):
    """What is in the way of a run now: a sentence, and the run, if one is."""

    said: str
    run_id: int | None


def show(
    job: Job, given: Mapping[str, Any], settings: Settings, store: Store | None, *, force: bool, as_json: bool
) -> int:
    """Print what a run would be; returns 0, 4 if it would be refused, 3 if something is missing."""
    rehearsed = _rehearsed(job, given, settings)
    problems = rehearsed["problems"]
    fact = store.job(job.name) if store is not None else None
    resting = status.resting(job, fact, settings, store.paused() if store is not None else None)
    way = None if force or store is None else _in_the_way(job, fact.id if fact else 0, store, settings)
    found: Object = {
        "job": job.name,
        "file": job.file,
        "function": rehearsed.get("function"),
        "line": rehearsed.get("line"),
        "arguments": list(_arguments(job, given, rehearsed.get("arguments", []))),
        "params": {**job.params, **given},
        "policy": _policy(job),
        "resting": resting,
        "refused": None if way is None else {"reason": way.said, "run": way.run_id},
        "problems": problems,
        "wouldRun": not problems and way is None,
    }
    found = masker_of(settings).data(found)
    if as_json:
        out.json_document(found)
    else:
        _print(job, found)
    return MISSING if problems else REFUSED if way is not None else 0


# -- what a child finds out ------------------------------------------------------------------------------


def _rehearsed(job: Job, given: Mapping[str, Any], settings: Settings) -> Object:
    """Return what a child says of the run, with `problems` as {message, hint, file, line}."""
    from jobrunner import probe

    asked = checking.request(job, settings)
    request = {**asked, "verb": "plan", "params": {**job.params, **given}}
    answer = probe.ask(request, settings.import_limit / SECOND)
    problems = [
        {**each, "file": each.get("file") or job.file, "hint": each["hint"] or _hint(each)}
        for each in checking.said(answer)
    ]
    return {**answer, "problems": [{key: one.get(key) for key in KEYS} for one in problems]}


def _hint(said: Mapping[str, Any]) -> str | None:
    return "pass it with -p, or give it a default" if said.get("source") == "missing" else None


def _arguments(job: Job, given: Mapping[str, Any], found: list[Object]) -> Iterator[Object]:
    """Yield each argument with where it comes from: {name, source, value} and what there is to say of it."""
    params = {**job.params, **given}
    for one in found:
        name, source = one["name"], one["source"]
        if source == "params":
            origin = "given" if name in given else "set" if "params" in job.overridden else "config"
            yield {"name": name, "source": "param", "from": origin, "value": params[name]}
        elif source == "service":
            keys = ("service", "factory", "lifetime")
            yield {"name": name, "source": "service", **{key: one[key] for key in keys}}
        elif source == "default":
            yield {"name": name, "source": "default", "value": one["default"]}
        else:
            yield {"name": name, "source": source}


# -- what is in the way ----------------------------------------------------------------------------------


def _in_the_way(job: Job, job_id: int, store: Store, settings: Settings) -> Way | None:
    """Return why the store would refuse a run by hand now. What a dead node ran is lost: no hindrance."""
    runs = store.open_runs()
    dead = nodes.forsaken(store, settings, runs)
    scope = job.scope(settings.machine)
    mine = [run for run in runs if run.job_id == job_id and run.scope == scope and _occupies(run)]
    living = sorted(
        (run for run in mine if run.id not in dead), key=lambda run: (run.state == "pending", run.id)
    )
    if living and job.concurrency != "allow":
        run = living[0]
        since = to_iso(run.started_at or run.effective_at)
        return Way(f"{job.name} is busy: run {run.id} is {run.state} since {since}", run.id)
    fellows = [
        run for run in runs if run.group == job.group and run.state == "running" and run.id not in dead
    ]
    if job.group is not None and job.group_limit is not None and len(fellows) >= job.group_limit:
        said = f"{job.name} is in group {job.group}, of which {job.group_limit} may run at once"
        return Way(said, fellows[0].id)
    return None


def _occupies(run: Run) -> bool:
    """A call that waits for its moment occupies nothing."""
    return not (run.trigger == "call" and run.state == "pending" and run.is_new)


# -- in words --------------------------------------------------------------------------------------------


def _policy(job: Job) -> list[str]:
    said = [f"ended after {brief(job.timeout)}" if job.timeout is not None else "no time-out"]
    said.append("no retries by hand" + (f" (by its schedule: {job.retries.max})" if job.retries.max else ""))
    said.append("starts beside other runs" if job.concurrency == "allow" else "refused while it is busy")
    if job.group is not None:
        said.append(f"at most {job.group_limit} of group {job.group} at once")
    if job.memory_limit is not None:
        said.append(f"memory limit {job.memory_limit:,} bytes")
    return [*said, DELIVERY[job.delivery]]


def _print(job: Job, found: Object) -> None:
    where = f"{found['file']}:{found['line']}" if found["line"] else found["file"]
    rows = [(one["name"], _origin(one)) for one in found["arguments"]]
    table = plain(("", ""), rows).partition("\n")[2].rstrip() if rows else "none"
    ends = {"refused": f"it would be refused: {(found['refused'] or {}).get('reason')}"}
    missing = "it could not run" if found["problems"] else None
    facts(
        [
            ("job", one_line(f"{found['job']}: {job.description}" if job.description else found["job"])),
            ("function", one_line(f"{found['function'] or '?'} ({where})")),
            ("arguments", table),
            ("params", one_line(out.json_text(found["params"]))),
            ("policy", one_line("; ".join(found["policy"]))),
            ("schedule", one_line(f"rests: {found['resting']}" if found["resting"] else _schedule(job))),
            *(("problem", one_line(_sentence(one))) for one in found["problems"]),
            ("now", one_line(missing or (ends["refused"] if found["refused"] else "it would run"))),
        ]
    )


def _schedule(job: Job) -> str:
    return "on demand only" if job.schedule is None else job.schedule.words()


def _origin(one: Mapping[str, Any]) -> str:
    """Return where an argument comes from, in words."""
    match one["source"]:
        case "param":
            origin = {"given": "given", "set": "overridden", "config": "from its config"}[one["from"]]
            said = f"param {out.json_text(one['value'])}, {origin}"
        case "service":
            lifetime = f", {one['lifetime']}" if one["lifetime"] else ""
            said = f"service {one['service']}: {one['factory'] or 'a value'}{lifetime}"
        case "default":
            said = "its default" + (f" {one['value']}" if one["value"] is not None else "")
        case "own":
            said = "the run's own"
        case "later":
            said = "nothing yet; virtualize in services.py may bring it"
        case _:
            said = "missing"
    return one_line(said)


def _sentence(problem: Mapping[str, Any]) -> str:
    where = f"{problem['file']}:{problem['line']}: " if problem["line"] else ""
    hint = f" — {problem['hint']}" if problem["hint"] else ""
    return f"{where}{problem['message']}{hint}"
