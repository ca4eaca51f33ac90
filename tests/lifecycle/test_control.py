"""Control from another process, while nodes work: what holds from when, and what the record says of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from typing import Any

import pytest

from jobrunner.clock import SECOND, from_iso
from tests.lifecycle.desk import Desk
from tests.lifecycle.project import Project, stop, wait_until

SECONDLY, YEARLY = "* * * * * *", "0 0 1 1 *"
LOOK = 1.0  # seconds: every node looks around that often


def two(project: Project) -> list[Any]:
    nodes = [project.start(), project.start()]
    project.joined(2)
    return nodes


def skips(project: Project, name: str, reason: str) -> int:
    found = [run for run in project.history(name) if run["reason"] == reason]
    return sum(run["count"] for run in found)


def started_since(project: Project, name: str, moment: float) -> list[dict[str, Any]]:
    """Return the runs of a job that started after a moment of the wall clock."""
    runs = [run for run in project.history(name) if run["startedAt"]]
    return [run for run in runs if from_iso(run["startedAt"]) / SECOND > moment]


def accounted_for(project: Project, name: str) -> None:
    """Each second from the first row to the last has exactly one row."""
    seen: list[int] = []
    for run in project.history(name):
        if run["attempt"] == 1:
            first = from_iso(run["scheduledFor"]) // SECOND
            last = from_iso(run["lastFor"] or run["scheduledFor"]) // SECOND
            seen += range(first, last + 1)
    assert sorted(seen) == list(range(min(seen), max(seen) + 1))


# --- pause, disable, set, reset, forget ---------------------------------------------------------


def test_a_pause_holds_for_all_nodes_at_once_and_every_skip_says_so(project: Project) -> None:
    project.job("each", "note('ran')")
    project.job("other", "note('ran')")
    nodes = two(project)
    wait_until(project.notes, "a run")
    desk = Desk(project)
    desk.pause()
    paused = time.time()
    wait_until(lambda: skips(project, "each", "paused") >= 3, "skips")
    assert not started_since(project, "each", paused)
    assert not started_since(project, "other", paused)
    wait_until(lambda: "all schedules are paused" in project.words(0), "the word of one node")
    wait_until(lambda: "all schedules are paused" in project.words(1), "the word of the other")
    desk.resume()
    resumed = time.time()
    found = wait_until(lambda: started_since(project, "each", resumed), "a run after the pause")
    assert from_iso(found[0]["scheduledFor"]) / SECOND - resumed < 2 * LOOK + 2
    assert [stop(node) for node in nodes] == [0, 0]
    accounted_for(project, "each")


def test_a_disabled_job_starts_nothing_on_any_node_and_others_go_on(project: Project) -> None:
    project.job("each", "note('each')")
    project.job("other", "note('other')")
    nodes = two(project)
    wait_until(lambda: "each" in project.notes(), "a run")
    desk = Desk(project)
    desk.disable("each")
    disabled = time.time()
    wait_until(lambda: skips(project, "each", "disabled") >= 3, "skips")
    assert not started_since(project, "each", disabled)
    assert started_since(project, "other", disabled)
    assert project.ls("each")["state"] == "disabled"
    desk.enable("each")
    enabled = time.time()
    wait_until(lambda: started_since(project, "each", enabled), "a run")
    assert [stop(node) for node in nodes] == [0, 0]
    accounted_for(project, "each")


def test_what_set_says_holds_on_running_nodes_and_over_a_restart_until_it_is_unset(project: Project) -> None:
    project.job("set-me", "note(ctx.params['word'])", schedule=YEARLY, params={"word": "file"})
    nodes = two(project)
    desk = Desk(project)
    desk.set("set-me", schedule=SECONDLY)
    wait_until(lambda: "file" in project.notes(), "a run by the new schedule")
    desk.set("set-me", params={"word": "set"})
    wait_until(lambda: "set" in project.notes(), "a run with the new params")
    assert [stop(node) for node in nodes] == [0, 0]
    count = len(project.notes())
    nodes = two(project)
    wait_until(lambda: len(project.notes()) > count, "a run after the restart")
    assert set(project.notes()[count:]) == {"set"}
    assert stop(nodes[0]) == 0
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) > count + 1, "runs of the other node")
    assert set(project.notes()[count:]) == {"set"}
    desk.unset("set-me", "schedule", "params")
    settled = time.time() + 3 * LOOK
    time.sleep(5 * LOOK)  # nothing happens: that is what is tested
    assert not started_since(project, "set-me", settled)
    assert project.ls("set-me")["overrides"] == {}
    assert stop(nodes[1]) == 0
    assert "different definition" not in "".join(map(project.words, range(4)))


def test_a_reset_job_has_all_its_executions_again(project: Project) -> None:
    project.job("twice", "note('ran')", numberOfExecutions=2)
    nodes = two(project)
    wait_until(lambda: project.ls("twice")["state"] == "finished", "the limit")
    wait_until(lambda: len(project.notes()) == 2, "both runs")
    Desk(project).reset("twice")
    wait_until(lambda: len(project.notes()) == 4, "two more")
    wait_until(lambda: project.ls("twice")["state"] == "finished", "the limit")
    assert [stop(node) for node in nodes] == [0, 0]
    assert len(project.notes()) == 4
    assert project.ls("twice")["executions"] == 2


def test_a_job_can_be_forgotten_once_no_node_holds_it(project: Project) -> None:
    path = project.job("old", "note('ran')")
    project.job("other", "note('other')")
    node = project.start("--watch")
    wait_until(lambda: "ran" in project.notes(), "a run")
    desk = Desk(project)
    assert desk.forget("old") == 4
    path.unlink()
    wait_until(lambda: "gone: old" in project.words(), "the node to let go of it")
    wait_until(lambda: desk.forget("old") == 0, "no run of it to be left")
    assert project.ask("SELECT name FROM {schema}.jobs WHERE name = 'old'") == []
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) > count, "the other job to go on")
    assert stop(node) == 0


def test_stop_on_error_disables_a_job_over_a_restart_until_it_is_enabled(project: Project) -> None:
    project.job("bad", "note('tried'); raise RuntimeError('no')", stopOnError=2)
    node = project.start()
    wait_until(lambda: "is disabled after 2 failures in a row" in project.words(), "the word")
    wait_until(lambda: skips(project, "bad", "disabled"), "a skip")
    assert stop(node) == 0
    assert project.notes() == ["tried"] * 2
    node = project.start()
    count = skips(project, "bad", "disabled")
    wait_until(lambda: skips(project, "bad", "disabled") > count + 1, "skips after the restart")
    assert project.notes() == ["tried"] * 2
    job = project.ls("bad")
    assert (job["state"], job["enabledReason"]) == ("disabled", "after 2 failures in a row")
    Desk(project).enable("bad")
    wait_until(lambda: len(project.notes()) == 4, "two more tries")
    wait_until(lambda: project.words().count("is disabled after 2 failures in a row") == 1, "the word again")
    assert stop(node) == 0


def test_history_and_count_follow_a_rename_over_a_restart(project: Project) -> None:
    path = project.job("before", "note('before')", numberOfExecutions=3)
    node = project.start()
    wait_until(project.notes, "a run")
    assert stop(node) == 0
    first = len(project.notes())
    assert first < 3
    path.unlink()
    project.job("after", "note('after')", numberOfExecutions=3, formerNames=["before"])
    assert project.start("--until-done").wait(60) == 0
    assert project.notes() == ["before"] * first + ["after"] * (3 - first)
    assert project.ls("after")["executions"] == 3
    ran = [run["job"] for run in project.history("after") if run["state"] == "succeeded"]
    assert ran == ["after"] * 3


# --- --watch ------------------------------------------------------------------------------------


def test_an_edit_is_live_code_and_schedule_and_what_runs_ends_on_its_old_code(project: Project) -> None:
    body = """
        import time
        note("{0} begins")
        while not os.path.exists("go"):
            time.sleep(0.01)
        note("{0} ends")
    """
    project.job("edited", body.format("old"), schedule=YEARLY, runOnStart=True)
    node = project.start("--watch")
    wait_until(lambda: project.notes() == ["old begins"], "the body")
    project.job("edited", body.format("new"), schedule=SECONDLY)
    wait_until(lambda: "changed: edited" in project.words(), "the edit to hold")
    wait_until(lambda: skips(project, "edited", "overlap"), "the new schedule")
    assert project.notes() == ["old begins"]
    (project.root / "go").touch()
    wait_until(lambda: len(project.notes()) >= 4, "a run of the new code")
    assert project.notes()[:4] == ["old begins", "old ends", "new begins", "new ends"]
    assert stop(node) == 0


def test_a_broken_edit_keeps_the_job_and_its_old_code_until_it_is_mended(project: Project) -> None:
    path = project.job("edited", "note('old')")
    node = project.start("--watch")
    wait_until(project.notes, "a run")
    path.write_text(path.read_text().replace("note('old')", "note('broken'"))
    wait_until(lambda: "edited goes on as it was" in project.words(), "the word")
    assert "edited.py:" in project.words()
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) >= count + 3, "runs of the old code")
    assert set(project.notes()) == {"old"}
    project.job("edited", "note('new')")
    wait_until(lambda: "new" in project.notes(), "the new code")
    assert stop(node) == 0
    notes = project.notes()
    assert notes == ["old"] * notes.count("old") + ["new"] * notes.count("new")
    assert {run["state"] for run in project.history("edited")} == {"succeeded"}
    accounted_for(project, "edited")


@pytest.mark.sqlite
def test_an_edit_that_comes_while_the_state_is_locked_holds_once_it_can_be_written(project: Project) -> None:
    path = project.job("gone", "note('gone')")
    project.job("edited", "note('old')")
    node = project.start("--watch")
    wait_until(lambda: {"old", "gone"} <= set(project.notes()), "runs")
    lock = sqlite3.connect(project.root / ".jobrunner" / "state.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    wait_until(lambda: "trying again" in project.words(), "the node to notice", 20)
    path.unlink()
    project.job("edited", "note('new')")
    before = cpu(node.pid)
    time.sleep(4 * LOOK)  # the lock itself is what is tested
    assert cpu(node.pid) - before < LOOK / 10, "it waits, it does not spin"
    lock.execute("ROLLBACK")
    lock.close()
    wait_until(lambda: "new" in project.notes(), "the new code")
    wait_until(lambda: "gone: gone" in project.words(), "the word")
    assert stop(node) == 0


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_new_file_appears_and_a_deleted_one_goes(project: Project) -> None:
    gone = project.job("gone", "note('gone')")
    node = project.start("--watch")
    wait_until(lambda: "gone" in project.notes(), "a run")
    (project.jobs / "deep").mkdir()
    path = project.job("fresh", "note('fresh')")
    path.rename(project.jobs / "deep" / "fresh.py")
    wait_until(lambda: "fresh" in project.notes(), "a run of the new file")
    gone.unlink()
    wait_until(lambda: "gone: gone" in project.words(), "the word")
    left = time.time()
    count = project.notes().count("fresh")
    wait_until(lambda: project.notes().count("fresh") >= count + 3, "the other job to go on")
    assert not started_since(project, "gone", left)
    assert stop(node) == 0


def test_changed_settings_of_the_project_hold_for_the_next_run(project: Project) -> None:
    project.job("each", "note(ctx_settings())", schedule=YEARLY)
    path = project.jobs / "each.py"
    path.write_text(
        path.read_text().replace("def default(ctx):", "def default(ctx, settings):")
        .replace("note(ctx_settings())", "note(settings['word'])")
    )  # fmt: skip
    file = project.root / "jobrunner.yaml"
    file.write_text(f"settings:\n  word: one\njobs:\n  each:\n    schedule: '{SECONDLY}'\n")
    node = project.start("--watch")
    wait_until(lambda: "one" in project.notes(), "a run")
    file.write_text(f"settings:\n  word: two\njobs:\n  each:\n    schedule: '{SECONDLY}'\n")
    wait_until(lambda: "two" in project.notes(), "a run with the new settings")
    file.write_text("settings:\n  word: [unclosed\n")
    wait_until(lambda: "jobrunner.yaml" in project.words(), "the word about the broken file")
    count = len(project.notes())
    wait_until(lambda: len(project.notes()) >= count + 2, "runs to go on as they were")
    assert set(project.notes()[count:]) == {"two"}
    file.write_text("settings:\n  word: three\n")
    wait_until(lambda: project.ls("each")["schedule"] == YEARLY, "the file's own schedule")
    wait_until(lambda: project.words().count("changed: each"), "the node to take it over")
    settled = time.time() + LOOK
    time.sleep(2 * LOOK)  # nothing happens: that is what is tested
    assert not started_since(project, "each", settled)
    assert stop(node) == 0


def test_a_half_written_file_never_takes_its_job_down(project: Project) -> None:
    path = project.job("edited", "note('old')")
    node = project.start("--watch")
    wait_until(project.notes, "a run")
    text = path.read_text().replace("note('old')", "note('new')")
    for cut in (0, len(text) // 3, text.index("def default")):
        with path.open("w") as file:
            file.write(text[:cut])
            file.flush()
            time.sleep(1.2)  # longer than a node waits for quiet
            file.write(text[cut:])
        text = text.replace("note('new')", f"note('new {cut}')")
    wait_until(lambda: len(set(project.notes())) > 1, "the new code")
    assert stop(node) == 0
    assert "gone: edited" not in project.words()
    assert {run["state"] for run in project.history("edited")} == {"succeeded"}
    accounted_for(project, "edited")


def test_edits_of_what_a_computed_config_comes_from_are_live(project: Project) -> None:
    (project.root / "common.py").write_text(f"WHEN = {YEARLY!r}\n")
    path = project.job("computed", "note('ran')")
    text = path.read_text().replace("import os\n", "import os\nimport common\n")
    path.write_text(text.replace("'schedule': '* * * * * *'", "'schedule': common.WHEN"))
    assert "common.WHEN" in path.read_text()
    node = project.start("--watch")
    project.joined(1)
    assert project.ls("computed")["schedule"] == YEARLY
    (project.root / "common.py").write_text(f"WHEN = {SECONDLY!r}\n")
    wait_until(project.notes, "a run by the new schedule")
    (project.root / "common.py").write_text("WHEN = (\n")
    wait_until(lambda: "computed goes on as it was" in project.words(), "the word")
    count = len(project.notes())
    path.write_text(path.read_text() + "# edited\n")
    (project.root / "common.py").write_text(f"WHEN = {SECONDLY!r}\n")
    wait_until(lambda: len(project.notes()) >= count + 3, "runs to go on")
    assert stop(node) == 0


# --- hooks --------------------------------------------------------------------------------------

HOOKS = """
import os
def _tell(name, run, error):
    said = (error or {{}}).get("message", "")
    handle = os.open({told!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    line = f"{word}{{name}} {{run.job}} {{run.state}} {{run.attempt}} {{said}}".strip() + chr(10)
    os.write(handle, line.encode())
    os.close(handle)
def on_start(run, error): _tell("start", run, error)
def on_success(run, error): _tell("success", run, error)
def on_failure(run, error): _tell("failure", run, error)
def on_skip(run, error): _tell("skip", run, error)
def on_finish(run, error): _tell("finish", run, error)
"""


def write_hooks(project: Project, word: str = "") -> None:
    (project.root / "hooks.py").write_text(HOOKS.format(told=str(project.root / "told.txt"), word=word))


def told(project: Project) -> list[str]:
    path = project.root / "told.txt"
    return sorted(path.read_text().splitlines()) if path.exists() else []


def test_each_hook_is_called_once_for_each_chain_with_what_became_of_it(project: Project) -> None:
    write_hooks(project)
    once = {"schedule": YEARLY, "runOnStart": True, "numberOfExecutions": 1}
    project.job("good", "pass", **once)
    project.job("bad", "raise RuntimeError('no luck')", retries={"max": 1, "delay": "100ms"}, **once)
    project.job("rather-not", "import jobrunner; raise jobrunner.Skip('nothing to do')", **once)
    assert project.start("--until-done").wait(60) == 0
    assert told(project) == sorted([
        "start good running 1", "success good succeeded 1", "finish good succeeded 1",
        "start bad running 1", "failure bad failed 2 no luck", "finish bad failed 2 no luck",
        "start rather-not running 1", "skip rather-not skipped 1", "finish rather-not skipped 1",
    ])  # fmt: skip


def test_a_hook_that_fails_changes_nothing_and_is_told_of_in_the_log_of_its_run(project: Project) -> None:
    (project.root / "hooks.py").write_text("def on_success(run):\n    raise RuntimeError('cannot page')\n")
    project.job("good", "print('said')", schedule=YEARLY, runOnStart=True, numberOfExecutions=1)
    assert project.start("--until-done").wait(60) == 0
    assert [run["state"] for run in project.history("good")] == ["succeeded"]
    log = project.run("logs", "good", check=0).stdout
    assert log.startswith("said\n")
    assert "hook on_success failed" in log and "cannot page" in log
    assert "its hook on_success failed" in project.words()


def test_the_hooks_of_a_lost_run_are_called_by_the_node_that_recovers_it(project: Project) -> None:
    write_hooks(project)
    project.job("lost", "import time; note('ran'); time.sleep(600)", schedule=YEARLY, runOnStart=True)
    victim = project.start()
    wait_until(project.notes, "the body")
    wait_until(lambda: "start lost running 1" in told(project), "the first hook")
    witness = project.start()
    project.joined(2)
    victim.kill()
    victim.wait()
    wait_until(lambda: len(told(project)) >= 3, "the hooks")
    assert stop(witness) == 0
    failure, finish, start = told(project)
    assert failure.startswith("failure lost lost 1 ")
    assert finish.startswith("finish lost lost 1 ")
    assert start == "start lost running 1"


def _started(project: Project, name: str) -> subprocess.CompletedProcess[str] | None:
    done = project.run("run", name)
    return None if "is busy" in done.stderr else done


def test_the_hooks_of_a_lost_run_by_hand_are_called_by_the_next_one(project: Project) -> None:
    write_hooks(project)
    project.job("by-hand", "import time; note('ran'); time.sleep(600)", schedule=None)
    victim = subprocess.Popen(
        project.command("run", "by-hand"), env=project.env(), cwd=project.root, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    project.nodes.append(victim)
    wait_until(project.notes, "the body")
    wait_until(lambda: "start by-hand running 1" in told(project), "the first hook")
    victim.kill()
    victim.wait()
    project.job("by-hand", "pass", schedule=None)
    (project.root / "told.txt").unlink()
    # until a lease is over, the state cannot know that its holder is dead
    done = wait_until(lambda: _started(project, "by-hand"), "the lost run to be over")
    assert "is lost" in done.stderr
    assert [line.split()[:3] for line in told(project)] == [
        ["failure", "by-hand", "lost"], ["finish", "by-hand", "lost"], ["finish", "by-hand", "succeeded"],
        ["start", "by-hand", "running"], ["success", "by-hand", "succeeded"],
    ]  # fmt: skip


def test_edited_hooks_hold_from_the_next_run_on(project: Project) -> None:
    project.job("each", "note('ran')")
    node = project.start("--watch")
    wait_until(project.notes, "a run")
    write_hooks(project)
    wait_until(lambda: "finish each succeeded 1" in told(project), "a hook")
    write_hooks(project, "new-")
    wait_until(lambda: "new-finish each succeeded 1" in told(project), "the new hook")
    (project.root / "hooks.py").unlink()
    time.sleep(2 * LOOK)
    count, ran = len(told(project)), len(project.notes())
    wait_until(lambda: len(project.notes()) >= ran + 3, "runs without hooks")
    assert len(told(project)) == count
    assert stop(node) == 0


# --- secrets ------------------------------------------------------------------------------------


def test_a_secret_that_a_job_prints_and_raises_is_nowhere_to_be_read(project: Project) -> None:
    secret = "hunter2-correct-horse"
    body = """
        import sys, time
        secret = os.environ["WAREHOUSE_TOKEN"]
        print("with", secret, "inside")
        sys.stdout.write(secret[:7]); sys.stdout.flush(); time.sleep(0.6)
        sys.stdout.write(secret[7:] + chr(10)); sys.stdout.flush()
        ctx.progress(1, 2, "using " + secret)
        ctx.progress(2, 2, "still using " + secret)
        raise RuntimeError("refused: " + secret)
    """
    (project.root / "hooks.py").write_text(
        "def on_failure(run, error):\n    import os\n    raise ValueError(os.environ['WAREHOUSE_TOKEN'])\n"
    )
    assert secret not in body
    once = {"schedule": YEARLY, "runOnStart": True, "numberOfExecutions": 1}
    project.job("leaky", body, **once)
    assert project.start("--until-done", WAREHOUSE_TOKEN=secret).wait(60) == 0
    run = project.history("leaky")[0]
    assert run["error"]["message"] == "refused: ***"
    log = project.run("logs", "leaky", check=0).stdout
    assert "with *** inside\n***\n" in log
    assert "hook on_failure failed" in log
    assert secret not in project.words() + log + str(project.history())
    held = project.content()
    assert b"refused: ***" in held
    assert secret.encode() not in held
