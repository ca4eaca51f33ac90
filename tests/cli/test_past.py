"""history, show <run> and logs: what happened, whole and harmless."""

from __future__ import annotations

import subprocess

import pytest

from jobrunner.clock import DAY, HOUR, SystemClock, to_iso
from jobrunner.facts import NodeFacts
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.wording import brief
from tests.cli.house import House, command

pytestmark = pytest.mark.usefixtures("store_kind")

RUN = {
    "id", "job", "trigger", "scheduledFor", "effectiveAt", "startedAt", "finishedAt", "state", "reason",
    "attempt", "node", "machine", "pid", "identity", "params", "progress", "result", "truncated", "error",
    "rootId", "parentId", "blockedBy", "cancelAsked", "stalled", "log", "count", "firstFor", "lastFor",
}  # fmt: skip
ERROR = {
    "type": "ValueError",
    "message": "no\x1b[31m\nsecond",
    "traceback": "Traceback:\n  line\nValueError: no",
    "phase": "body",
}


# -- history -------------------------------------------------------------------------------------------------


@pytest.mark.stateless
def test_without_a_state_there_is_no_history_and_none_is_made(house: House) -> None:
    house.job("a")
    done = house.call("history")
    assert (done.code, done.out) == (0, "")
    assert "no runs" in done.err
    assert house.call("history", "--json").json == []
    assert house.stateless


def test_runs_come_newest_first_with_the_fields_of_the_contract(house: House) -> None:
    house.job("a")
    house.job("b")
    house.ran("a", result={"rows": 3}, log=[(0, b"hello\n")])
    house.ran("b", "failed", error=ERROR)
    newest, oldest = house.call("history", "--json").json
    assert newest.keys() == oldest.keys() == RUN
    assert (newest["job"], oldest["job"]) == ("b", "a")
    assert (newest["count"], newest["firstFor"], newest["lastFor"]) == (1, None, None)
    assert (oldest["result"], oldest["log"], oldest["params"]) == ({"rows": 3}, {"bytes": 6}, {"rows": 1})
    assert (newest["state"], newest["error"]["type"]) == ("failed", "ValueError")
    assert newest["startedAt"].endswith("Z")
    assert len(newest["startedAt"]) == len("2026-05-01T00:00:00.000Z")


def test_the_table_is_a_line_a_run_whatever_the_error_says(house: House) -> None:
    house.job("a")
    house.ran("a", "failed", error=ERROR)
    head, row = house.call("history").out.splitlines()
    assert head.split()[:3] == ["RUN", "JOB", "STATE"]
    assert row.endswith("ValueError: no\\x1b[31m\\nsecond")


def test_a_job_its_states_and_a_limit_choose(house: House) -> None:
    house.job("a")
    house.job("b")
    for state in ("succeeded", "failed", "timed_out"):
        house.ran("a", state, error=ERROR if state != "succeeded" else None)
    house.ran("b")

    def ids(*args: str) -> list[int]:
        return [run["id"] for run in house.call("history", "--json", *args).json]

    assert ids() == [4, 3, 2, 1]
    assert ids("A") == [3, 2, 1]
    assert ids("a", "--state", "failed", "--state", "timed_out") == [3, 2]
    assert ids("--limit", "2") == [4, 3]


def test_moments_choose_as_iso_times_or_as_a_while_ago(house: House) -> None:
    house.job("a")
    now = SystemClock().now()
    house.ran("a", at=now - 2 * DAY)
    house.ran("a", at=now - 2 * HOUR)
    assert [run["id"] for run in house.call("history", "--since", "3h", "--json").json] == [2]
    assert [run["id"] for run in house.call("history", "--until", "3h", "--json").json] == [1]
    assert [run["id"] for run in house.call("history", "--since", to_iso(now - DAY), "--json").json] == [2]


def test_the_history_outlives_the_file(house: House) -> None:
    path = house.job("gone")
    house.ran("gone")
    path.unlink()
    assert len(house.call("history", "GONE", "--json").json) == 1
    assert house.call("history", "nobody").code == 3


def test_many_skips_are_one_row_that_says_how_many(house: House) -> None:
    from jobrunner.model import Due

    house.job("a", schedule="* * * * *")
    house.register(stays=True)
    store = house.store()
    node: NodeFacts = store.nodes()[0]
    (standing,) = store.standings(node.owner, "")
    due = Due(
        scheduled_for=standing.consumed + 60_000_000, effective_at=standing.consumed + 60_000_000,
        skip="missed", count=500, last_for=standing.consumed + 60_000_000 * 500,
    )  # fmt: skip
    job = Registry.load(load({"project": str(house.root)}, {})).find("a")
    now = SystemClock().now()
    assert store.consume(standing, due.last_for or 0, [due], job=job, supersede=None, node=node, now=now)
    store.close()
    (run,) = house.call("history", "--json").json
    assert run.keys() == RUN
    assert (run["state"], run["reason"], run["count"]) == ("skipped", "missed", 500)
    assert run["lastFor"] > run["firstFor"]
    assert "skipped x500" in house.call("history").out


def test_show_tells_all_about_a_run_with_its_traceback(house: House) -> None:
    house.job("a")
    run = house.ran("a", "failed", error=ERROR, log=[(0, b"x" * 10)])
    done = house.call("show", str(run.id))
    assert done.code == 0
    assert "ValueError: no" in done.out
    assert "10 bytes" in done.out
    assert house.call("show", str(run.id), "--json").json["state"] == "failed"


@pytest.mark.parametrize("number", ["7", "99999999999999999999999999", "0"])
@pytest.mark.parametrize("verb", ["show", "logs"])
def test_a_run_that_never_was_is_code_3(house: House, verb: str, number: str) -> None:
    house.job("a")
    assert house.call(verb, number).code == 3  # without a state
    house.ran("a")
    done = house.call(verb, number, "--json")
    assert (done.code, done.error["code"]) == (3, "unknown-run")


# -- logs ----------------------------------------------------------------------------------------------------


def test_logs_prints_what_the_newest_run_of_a_job_wrote(house: House) -> None:
    house.job("a")
    house.ran("a", log=[(0, b"old\n")])
    house.ran("a", log=[(0, b"new\n"), (4, b"er\n")])
    assert house.call("logs", "A").out == "new\ner\n"
    assert house.call("logs", "1").out == "old\n"


def test_output_cannot_act_on_the_terminal_unless_raw_to_a_file(house: House) -> None:
    house.job("a")
    data = b"\x1b[31mred\x1b[0m\rover\x9b\xff\xe2\x80\xae\x00\nend"
    house.ran("a", log=[(0, data)])
    assert house.call("logs", "1").out == "\\x1b[31mred\\x1b[0m\nover\\x9b\\xff\\u202e\\x00\nend\n"
    raw = subprocess.run(command(["logs", "1", "--raw"]), cwd=house.root, capture_output=True, check=True)
    assert raw.stdout == data
    assert house.terminal("logs", "1", "--raw") == ""


def test_a_character_that_two_chunks_share_is_whole(house: House) -> None:
    house.job("a")
    text = "Grüße 日本\n".encode()
    house.ran("a", log=[(at, text[at : at + 1]) for at in range(len(text))])
    assert house.call("logs", "1").out == "Grüße 日本\n"


def test_a_cut_says_how_much_is_missing_and_where(house: House) -> None:
    house.job("a")
    house.ran("a", log=[(0, b"head"), (1_234_571, b"tail\n")], log_bytes=1_234_576 + 10)
    assert house.call("logs", "1").out == "head\n[… 1,234,567 bytes cut …]\ntail\n[… 10 bytes cut …]\n"


def test_tail_takes_the_last_lines(house: House) -> None:
    house.job("a")
    house.ran("a", log=[(0, b"1\n2\n3\n")])
    house.ran("a", log=[(0, b"1\n2\n3")])
    for run in ("1", "2"):
        assert house.call("logs", run, "--tail", "2").out == "2\n3\n"
        assert house.call("logs", run, "--tail", "9").out == "1\n2\n3\n"
        assert house.call("logs", run, "--tail", "0").out == ""


def test_logs_as_json(house: House) -> None:
    house.job("a")
    house.ran("a", log=[(0, b"x\x1b\n")])
    assert house.call("logs", "a", "--json").json == {
        "run": 1, "job": "a", "state": "succeeded", "bytes": 3, "text": "x\\x1b\n"
    }  # fmt: skip
    assert house.call("logs", "a", "--json", "-f").code == 2


def test_a_job_that_never_ran_has_no_log(house: House) -> None:
    house.job("a")
    done = house.call("logs", "a")
    assert (done.code, done.out) == (3, "")
    assert "jobrunner run a" in done.err


def test_follow_goes_on_until_the_run_ends(house: House) -> None:
    from jobrunner.model import Outcome
    from jobrunner.store.base import LogChunk

    house.job("a")
    run = house.ran("a", "running", log=[(0, b"one\n")])
    child = subprocess.Popen(
        command(["logs", "a", "-f"]),
        cwd=house.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "one\n"
    store = house.store()
    store.append_log(run.id, run.owner or "", [LogChunk(4, b"two\n")])
    assert child.stdout.readline() == "two\n"
    assert child.poll() is None
    with store.transaction():
        store.append_log(run.id, run.owner or "", [LogChunk(8, b"three\n")])
        store.finish(run, Outcome(state="succeeded"), 14, SystemClock().now())
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (0, "three\n", "a #1 succeeded\n")
    store.close()


def test_follow_of_a_run_that_is_over_just_prints(house: House) -> None:
    house.job("a")
    house.ran("a", log=[(0, b"x\n")])
    assert house.call("logs", "a", "-f").out == "x\n"


def test_tail_holds_for_json_too(house: House) -> None:
    house.job("a")
    house.ran("a", log=[(0, b"1\n2\n3\n")])
    assert house.call("logs", "1", "--json", "--tail", "2").json["text"] == "2\n3\n"
    assert house.call("logs", "1", "--json", "--tail", "0").json["text"] == ""
    assert house.call("logs", "1", "--json", "--tail", "2").json["bytes"] == 6


@pytest.mark.parametrize("options", [[], ["--tail", "1"], ["-f"]], ids=" ".join)
def test_the_log_of_a_failed_run_leads_to_its_traceback(house: House, options: list[str]) -> None:
    house.job("a")
    house.ran("a", "failed", error=ERROR, log=[(0, b"x\n")])
    done = house.call("logs", "a", *options)
    assert (done.code, done.out) == (0, "x\n")
    said = "it failed: ValueError: no\\x1b[31m\\nsecond; jobrunner show 1 has the traceback\n"
    assert done.err == said
    house.ran("a", log=[(0, b"x\n")])
    assert house.call("logs", "a", *options).err == ""


def test_the_log_of_a_failed_run_says_the_beginning_of_a_long_error_and_show_all_of_it(house: House) -> None:
    house.job("a")
    house.ran("a", "failed", error={**ERROR, "message": "x" * 3000, "traceback": ""})
    said = f"it failed: ValueError: {'x' * 488}…; jobrunner show 1 tells more\n"
    assert house.call("logs", "a").err == said
    assert "x" * 3000 in house.call("show", "1").out


def test_why_a_body_skipped_is_told_and_how_long_it_took(house: House) -> None:
    house.job("a")
    house.ran("a", "skipped", reason="body", result="bank\nclosed")
    row = house.call("history").out.splitlines()[1]
    assert row.endswith("  500ms  body: bank\\nclosed")
    assert "body: bank\\nclosed" in house.call("show", "1").out
    assert "body: bank\\nclosed" in house.call("show", "a").out
    (run,) = house.call("history", "--json").json
    assert (run["reason"], run["result"]) == ("body", "bank\nclosed")


def test_later_attempts_say_so(house: House) -> None:
    house.job("a")
    house.ran("a", "failed", error=ERROR)
    house.ran("a", "failed", error=ERROR)
    house.rows("UPDATE runs SET attempt = 3, root_id = 1 WHERE id = 2")
    assert "  attempt 3; ValueError: no" in house.call("history").out
    assert ["attempt:", "3"] in [line.split() for line in house.call("show", "2").out.splitlines()]


def followed(house: House, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(["logs", *args, "-f"]),
        cwd=house.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("state", [True, False], ids=["a-state", "no-state"])
def test_follow_waits_for_the_first_run_and_ends_with_it(house: House, state: bool) -> None:
    house.job("a")
    house.job("b")
    if state:
        house.ran("b")
    child = followed(house, "A")
    assert child.stderr is not None
    assert child.stderr.readline() == "a has not run yet; waiting for its first run\n"
    assert child.poll() is None
    run = house.ran("a", "failed", error=ERROR, log=[(0, b"hello\n")])
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (0, "hello\n")
    assert err.splitlines()[-1].endswith(f"jobrunner show {run.id} has the traceback")


def test_follow_waits_for_no_run_that_is_asked_for_by_number_nor_for_an_unknown_job(house: House) -> None:
    house.job("a")
    assert house.call("logs", "7", "-f").code == 3
    assert house.call("logs", "nobody", "-f").code == 3


def test_a_run_that_is_deleted_ends_the_following(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running", log=[(0, b"one\n")])
    child = followed(house, str(run.id))
    assert child.stdout is not None
    assert child.stdout.readline() == "one\n"
    house.rows("DELETE FROM runs")
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[0]) == (3, f"error: there is no run {run.id}")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0ms"), (499, "0ms"), (23_400, "23ms"), (965_000, "965ms"), (999_499, "999ms"),
        (999_500, "1.00s"), (8_965_000, "8.97s"), (9_994_999, "9.99s"), (9_996_000, "10.0s"),
        (16_007_000, "16.0s"), (59_940_000, "59.9s"), (59_960_000, "1m"), (125_400_000, "2m5s"),
        (3_599_700_000, "1h"), (3_900_000_000, "1h5m"), (86_399_000_000, "1d"), (93_600_000_000, "1d2h"),
    ],
)  # fmt: skip
def test_a_length_of_time_reads_at_a_glance(micros: int, text: str) -> None:
    assert brief(micros) == text
