"""why, doctor, health, stats, history --delete and jobrunner.prune, from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.cli import deleting
from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, SystemClock
from jobrunner.errors import StateError
from jobrunner.facts import NodeFacts
from jobrunner.model import Due, Outcome
from jobrunner.presence import Presence
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.stats import escaped
from jobrunner.store.sql import SqlStore
from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (-?[0-9.e+-]+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')


@pytest.fixture
def alive(house: House) -> Iterator[House]:
    """A project in whose state a node is registered whose locks this process holds."""
    house.job("a", schedule="0 0 1 1 *")
    presence = Presence(house.root / ".jobrunner", "x" * 32)
    house.register(owner="x" * 32, stays=True)
    presence.announce()
    yield house
    presence.leave()


def the_node(house: House) -> NodeFacts:
    store = house.store()
    (node,) = store.nodes()
    store.close()
    return node


def due(house: House, ago: int, **facts: Any) -> None:
    """Let an occurrence be due a while ago, and in the state, pending unless `facts` say otherwise."""
    store, node, now = house.store(), the_node(house), SystemClock().now()
    store._db.rows("UPDATE cursors SET consumed = ?, anchor = ?", (now - ago - 1, now - ago - 1))  # type: ignore[attr-defined]
    standing = next(one for one in store.standings(node.owner, "m") if one.job == "a")
    job = Registry.load(load({"project": str(house.root)}, {})).find("a")
    row = Due(scheduled_for=now - ago, effective_at=now - ago, **facts)
    assert store.consume(standing, now - ago, [row], job=job, supersede=None, node=node, now=now - ago)
    store._db.rows("UPDATE cursors SET consumed = ?", (now,))  # type: ignore[attr-defined]
    store.close()


# -- why -----------------------------------------------------------------------------------------------------


def test_why_answers_in_one_line_and_as_data(alive: House) -> None:
    due(alive, HOUR, skip="overlap")
    done = alive.call("why", "A")
    assert done.code == 0
    assert done.out.startswith("a was skipped ")
    assert done.out.count("\n") == 1
    found = alive.call("why", "a", "--json").json
    assert found.keys() == {"job", "at", "code", "sentence", "run", "evidence"}
    assert (found["job"], found["code"], found["run"]["state"]) == ("a", "overlap", "skipped")


@pytest.mark.stateless
def test_why_works_without_a_state_and_makes_none(house: House) -> None:
    house.job("a")
    assert house.call("why", "a", "--json").json["code"] == "never-seen"
    assert house.stateless
    assert house.call("why", "nobody").code == 3


def test_a_time_without_an_offset_is_one_of_the_jobs_zone(house: House) -> None:
    house.job("a", timezone="Asia/Tokyo")
    found = house.call("why", "a", "--at", "2026-05-01T09:00", "--json").json
    assert found["at"] == "2026-05-01T00:00:00.000Z"
    found = house.call("why", "a", "--at", "2026-05-01T09:00Z", "--json").json
    assert found["at"] == "2026-05-01T09:00:00.000Z"
    assert house.call("why", "a", "--at", "soon").code == 2


def test_why_tells_of_broken_files_and_orphans(alive: House) -> None:
    path = alive.root / "jobs/a.py"
    path.write_text("config = {", "utf-8")
    assert alive.call("why", "a", "--json").json["code"] == "broken-file"
    path.unlink()
    assert alive.call("why", "a", "--json").json["code"] == "orphan"


def test_what_an_error_says_cannot_act_on_the_terminal(alive: House) -> None:
    alive.ran("a", "failed", error={"type": "E", "message": "\x1b[31mred", "traceback": "", "phase": "body"})
    store = alive.store()
    store._db.rows("UPDATE runs SET trigger = 'schedule', scheduled_for = effective_at")  # type: ignore[attr-defined]
    store.close()
    assert "\\x1b[31mred" in alive.call("why", "a").out


# -- doctor --------------------------------------------------------------------------------------------------


def findings(house: House, *args: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in house.call("doctor", *args, "--json").json:
        assert one.keys() == {"level", "what", "message", "hint"}
        found.setdefault(one["level"], []).append(one["what"])
    return found


def test_a_project_that_is_well_has_no_errors(alive: House) -> None:
    done = alive.call("doctor")
    assert (done.code, "error:" in done.out) == (0, False)
    assert findings(alive).keys() == {"ok"}


def test_a_dead_node_and_none_at_all_are_told(house: House) -> None:
    house.job("a")
    assert house.call("doctor").code == 1
    house.register(pid=2**22 + 1, stays=True)
    found = findings(house)
    assert ("node" in found["warning"], found["error"]) == (True, ["node"])
    assert house.call("doctor").code == 1


def test_what_is_sick_is_named_with_what_to_do(alive: House) -> None:
    alive.write("jobs/bad.py", "config = {")
    (alive.root / "jobs").chmod(0o777)
    store = alive.store()
    store.pause("ana@host", "migration", SystemClock().now())
    store._db.rows("UPDATE cursors SET consumed = consumed + ?", (2 * HOUR,))  # type: ignore[attr-defined]
    store.close()
    found = findings(alive)
    assert found["error"] == ["file"]
    assert sorted(found["warning"]) == ["clock", "pause", "rights"]


def test_an_occurrence_that_nobody_takes_is_an_error(alive: House) -> None:
    due(alive, 2 * MINUTE)
    assert findings(alive)["error"] == ["lag"]


def test_all_that_keeps_a_job_from_running_is_named_in_order(house: House) -> None:
    house.job("a", enabled=False, environments=["prod"])
    found = house.call("doctor", "a", "--json").json
    assert [one["what"] for one in found] == ["disabled", "environment", "no-node"]
    assert all(one["hint"] for one in found)
    assert house.call("doctor", "a").code == 1


def test_a_job_that_nothing_keeps_is_well(alive: House) -> None:
    done = alive.call("doctor", "a")
    assert (done.code, done.out.startswith("ok:      nothing keeps a from running; next ")) == (0, True)


# -- health --------------------------------------------------------------------------------------------------


def test_health_needs_a_living_node(house: House) -> None:
    house.job("a")
    assert house.call("health").code == 1
    house.register(pid=2**22 + 1, stays=True)
    done = house.call("health", "--json")
    assert (done.code, done.json["healthy"], done.json["problem"]) == (1, False, "no node is running")


def test_a_living_node_is_healthy_also_while_paused(alive: House) -> None:
    assert alive.call("health").code == 0
    store = alive.store()
    store.pause("ana@host", None, SystemClock().now())
    store.close()
    done = alive.call("health")
    assert (done.code, "paused" in done.out) == (0, True)


def test_what_waits_too_long_is_unhealthy(alive: House) -> None:
    due(alive, 2 * MINUTE)
    assert alive.call("health", "--max-lag", "5m").code == 0
    done = alive.call("health", "--max-lag", "60s")
    assert (done.code, "a is due for 12" in done.out) == (1, True)


def test_a_cursor_that_does_not_move_is_unhealthy(house: House) -> None:
    house.job("a", schedule="* * * * *")
    presence = Presence(house.root / ".jobrunner", "x" * 32)
    house.register(owner="x" * 32, stays=True)
    presence.announce()
    assert house.call("health", "--max-lag", "60s").code == 0
    store = house.store()
    store._db.rows("UPDATE cursors SET consumed = consumed - ?", (HOUR,))  # type: ignore[attr-defined]
    store.close()
    found = house.call("health", "--max-lag", "60s", "--json")
    assert (found.code, found.json["oldest"]) == (1, "a")
    assert found.json["lagSeconds"] > 3000
    presence.leave()


def test_what_waits_behind_its_own_run_is_no_lag(alive: House) -> None:
    due(alive, 2 * MINUTE)
    alive.ran("a", "running")
    assert alive.call("health", "--max-lag", "60s").code == 0


@pytest.mark.sqlite
def test_a_state_that_cannot_be_read_is_unhealthy(house: House) -> None:
    house.job("a")
    house.write(".jobrunner/state.db", "no database" * 1000)
    done = house.call("health", "--json")
    assert (done.code, done.json["healthy"], "is not a jobrunner state" in done.json["problem"]) == (
        1,
        False,
        True,
    )


# -- stats ---------------------------------------------------------------------------------------------------


def test_stats_count_runs_and_say_how_long_they_took(house: House) -> None:
    house.job("a", number_of_executions=5)
    house.ran("a")
    house.ran("a", "failed", error={"type": "E", "message": "", "traceback": "", "phase": "body"})
    (found,) = house.call("stats", "a", "--json").json
    assert found["states"] == {"failed": 1, "succeeded": 1}
    assert (found["successRate"], found["numberOfExecutions"]) == (0.5, 5)
    assert found["durationSeconds"] == {"count": 2, "p50": 0.5, "p95": 0.5, "max": 0.5}
    assert found["latenessSeconds"]["count"] == 0
    assert "50.0%" in house.call("stats").out
    assert house.call("stats", "nobody").code == 3


def test_stats_look_back_as_far_as_asked(house: House) -> None:
    house.job("a")
    house.ran("a", at=SystemClock().now() - 40 * DAY)
    assert house.call("stats", "a", "--json").json[0]["states"] == {}
    assert house.call("stats", "a", "--since", "50d", "--json").json[0]["states"] == {"succeeded": 1}


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Read the text format, and refuse what Prometheus would."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            assert kind in ("counter", "gauge", "summary")
            kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert re.sub("_(sum|count)$", "", name) in kinds or name in kinds
            assert LABEL.sub("", labels or "") == ""
            found.setdefault(name, []).append((dict(LABEL.findall(labels or "")), float(value)))
    return found


def test_prometheus_can_read_the_numbers(alive: House) -> None:
    run = alive.ran("a")
    store = alive.store()
    store.conclude(run, Outcome(state="succeeded"), SystemClock().now())
    store.close()
    due(alive, 2 * MINUTE)
    found = parsed(alive.call("stats", "--prometheus").out)
    runs = {(labels["job"], labels["state"]): value for labels, value in found["jobrunner_runs"]}
    assert runs == {("a", "pending"): 1, ("a", "succeeded"): 1}
    assert {"job": "a", "quantile": "0.5"} in [
        labels for labels, _ in found["jobrunner_run_duration_seconds"]
    ]
    ((_, success),) = found["jobrunner_job_last_success_timestamp_seconds"]
    assert abs(success - SystemClock().now() / SECOND) < HOUR / SECOND
    assert found["jobrunner_job_enabled"] == [({"job": "a"}, 1)]
    assert [found[f"jobrunner_{name}"][0][1] for name in ("paused", "nodes", "running")] == [0, 1, 0]
    assert found["jobrunner_lag_seconds"][0][1] >= 120


def test_prometheus_has_numbers_without_a_state(house: House) -> None:
    house.job("a")
    assert parsed(house.call("stats", "--prometheus").out)["jobrunner_nodes"] == [({}, 0)]


def test_label_values_are_escaped() -> None:
    assert escaped('a"b\\c\nd') == r"a\"b\\c\nd"


# -- history --delete ----------------------------------------------------------------------------------------


def test_selected_history_goes_and_the_audit_trail_says_who_did_it(house: House) -> None:
    house.job("a")
    house.ran("a")
    house.ran("a", "failed", error={"type": "E", "message": "", "traceback": "", "phase": "body"})
    assert house.call("history", "a", "--delete", "--state", "failed", "--dry-run", "--json").json == {
        "matching": 1, "deleted": 0, "dryRun": True
    }  # fmt: skip
    assert len(house.call("history", "--json").json) == 2
    assert house.call("history", "A", "--delete", "--state", "failed", "--yes").code == 0
    assert [run["state"] for run in house.call("history", "--json").json] == ["succeeded"]
    store = house.store()
    (note,) = store.notes("a")
    store.close()
    assert (note.action, note.job) == ("history-deleted", "a")
    assert "@" in note.actor
    assert "1 row: history of a in state failed" in note.detail


def test_deleting_needs_to_know_whose_history_and_spares_what_runs(house: House) -> None:
    house.job("a")
    house.ran("a", "running")
    assert house.call("history", "--delete").code == 2
    assert house.call("history", "a", "--all", "--delete").code == 2
    assert house.call("history", "--all").code == 2
    assert house.call("history", "--all", "--delete", "--json").json["deleted"] == 0
    assert len(house.call("history", "--json").json) == 1


def test_only_what_was_before_a_moment_goes(house: House) -> None:
    house.job("a")
    house.ran("a", at=SystemClock().now() - 2 * DAY)
    house.ran("a")
    assert house.call("history", "--all", "--delete", "--before", "1d", "--json").json["deleted"] == 1
    assert [run["id"] for run in house.call("history", "--json").json] == [2]


def test_whoever_deletes_can_say_who_asked(house: House) -> None:
    house.job("a")
    house.ran("a")
    assert house.call("history", "a", "--as", "ana").code == 2
    assert house.call("history", "a", "--delete", "--yes", "--as", "ana").code == 0
    store = house.store()
    assert [(note.actor, note.detail) for note in store.notes("a")] == [("ana", "1 row: history of a")]
    store.close()


def test_nothing_is_deleted_that_the_audit_trail_does_not_tell(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.job("a")
    house.ran("a")

    def full(*_: object) -> None:
        raise StateError("the disk is full")

    for batch in (500, 0):
        monkeypatch.setattr(deleting, "BATCH", batch)
        with monkeypatch.context() as patch:
            patch.setattr(SqlStore, "note", full)
            assert house.call("history", "a", "--delete", "--yes").code != 0
        assert len(house.call("history", "--json").json) == 1


# -- jobrunner.prune -----------------------------------------------------------------------------------------


def test_pruning_is_a_hidden_job_that_runs_by_hand(house: House) -> None:
    house.job("a")
    for days in (100, 40, 1):
        house.ran("a", at=SystemClock().now() - days * DAY)
    house.ran("a", "failed", at=SystemClock().now() - 40 * DAY)
    assert "jobrunner.prune" not in house.call("ls").out
    assert "jobrunner.prune" in house.call("ls", "--all").out
    assert house.call("show", "jobrunner.prune").code == 0
    dry = house.process("run", "jobrunner.prune", "-p", "dryRun=true")
    assert (dry.code, dry.json) == (0, {"deleted": 0, "wouldDelete": 2})
    done = house.process("run", "jobrunner.prune")
    assert (done.code, done.json) == (0, {"deleted": 2})
    assert [run["id"] for run in house.call("history", "a", "--json").json] == [4, 3]


def test_how_long_history_is_kept_is_a_setting_and_0_is_for_ever(house: House) -> None:
    house.job("a")
    for days in (400, 40, 1):
        house.ran("a", at=SystemClock().now() - days * DAY)
    house.write("jobrunner.yaml", "retention: 0\nretention_rows: 0\n")
    assert house.process("run", "jobrunner.prune").json == {"deleted": 0}
    assert house.process("run", "jobrunner.prune", env={"JOBRUNNER_RETENTION": "60d"}).json == {"deleted": 1}
    assert house.process("run", "jobrunner.prune", env={"JOBRUNNER_RETENTION_ROWS": "1"}).json["deleted"] >= 1


def test_pruning_is_overridden_like_any_job_and_a_flaw_in_that_is_a_problem(house: House) -> None:
    house.job("a")
    house.write("jobrunner.yaml", "jobs: {jobrunner.prune: {schedule: '@daily'}}\n")
    (found,) = house.call("ls", "jobrunner.prune", "--json").json
    assert found["scheduleDescription"] == "every day at 00:00"
    assert house.call("check", "--static").code == 0
    house.write("jobrunner.yaml", "jobs: {jobrunner.prune: {schedule: 'never'}}\n")
    done = house.call("check", "--static", "--json")
    assert (done.code, done.json["problems"][0]["job"]) == (1, "jobrunner.prune")
    assert house.call("ls").code == 0


def test_a_file_cannot_take_the_name_of_a_job_of_ours(house: House) -> None:
    house.job("jobrunner.prune")
    assert "kept for jobs of our own" in house.call("check", "--static").out


def test_pruning_comes_along_with_every_start_and_counts_as_no_job(house: House, tmp_path: Path) -> None:
    (house.root / "jobs/keep").mkdir()
    assert house.process("start", "--for", "1s").code == 3
    house.job("a", schedule="every 1s", number_of_executions=1)
    done = house.process("start", "--until-done")
    assert (done.code, "1 job," in done.err) == (0, True)
    store = house.store()
    names = [fact.name for fact in store.jobs()]
    texts = [str(row) for row in store._db.rows("SELECT config FROM definitions")]  # type: ignore[attr-defined]
    store.close()
    assert names == ["a", "jobrunner.prune"]
    assert not any(house.state in text for text in texts)
    assert "jobrunner.prune" not in house.call("ls").out


def test_ls_and_doctor_tell_of_what_takes_too_long_too_short_or_is_not_taken(house: House) -> None:
    for name in ("slow", "quick", "waits"):
        house.job(name, schedule="* * * * *" if name == "waits" else "0 9 * * *")
    house.register()
    now = SystemClock().now()
    house.ran("slow", "running", at=now - 3600 * SECOND)
    house.ran("quick")
    store = house.store()
    assert isinstance(store, SqlStore)
    with store.transaction():
        store._db.rows("UPDATE jobs SET durations = '[9000000,8000000,9000000,8000000,8000000,40000]'")
        store._db.rows("UPDATE cursors SET consumed = consumed - 600000000, anchor = anchor - 600000000")
        store._db.rows("DELETE FROM nodes WHERE role != 'run'")
    store.close()
    told = {job["id"]: job["stateReason"] for job in json.loads(house.call("ls", "--json").out)}
    assert told["slow"].startswith("runs for 1 h, more than twice its longest")
    assert told["waits"].endswith("and no node has taken it")
    assert told["quick"] is None
    assert "more than twice its longest" in house.call("ls").out
    said = house.call("doctor").out
    assert "quick: its last run took 40 ms, less than a quarter of its shortest" in said
