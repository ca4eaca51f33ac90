"""What a person or a script sees when something is wrong: a sentence, a hint, a code; never our traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from jobrunner.cli import app, look
from tests.cli.house import House, command

COMMANDS = sorted(app.COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(house: House, command: str) -> None:
    done = house.call(command, "--help")
    assert done.code == 0
    assert "Examples:" in done.out
    assert f"jobrunner {command}" in done.out.partition("Examples:")[2]
    assert done.err == ""


def test_the_help_lists_every_command_in_its_family(house: House) -> None:
    done = house.call("-h")
    assert done.code == 0
    for family, commands in app.FAMILIES.items():
        section = done.out.partition(f"{family}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines()] == list(commands)


def test_no_command_at_all_is_a_misuse_that_shows_the_help(house: House) -> None:
    done = house.call()
    assert (done.code, done.out) == (2, "")
    assert "Run jobs:" in done.err


def test_the_version_goes_to_stdout(house: House) -> None:
    assert house.call("--version").out.startswith("jobrunner 0.")


@pytest.mark.parametrize(
    "args",
    [
        ["strat"],
        ["ls", "--nope"],
        ["history", "--limit", "0"],
        ["history", "--limit", "many"],
        ["history", "--since", "yesterday-ish"],
        ["next", "--until", "2020-01-01", "--from", "2021-01-01"],
        ["next", "61 * * * *"],
        ["next", "@fortnightly"],
        ["next", "every nothing"],
        ["run"],
        ["run", "x", "-p", "novalue"],
        ["run", "x", "--params", "{"],
        ["run", "x", "--params", "[1]"],
        ["run", "x", "--params", '{"a": NaN}'],
        ["run", "x", "--params", '{"a": 1e400}'],
        ["run", "x", "--timeout", "soon"],
        ["run", "x", "--timeout", "0"],
        ["run", "x", "--timeout", "0ms"],
        ["run", "x", "--grace", "soon"],
        ["next", "-5 * * * *"],
        ["start", "--slots", "0"],
        ["start", "--for", "-1s"],
        ["start", "--grace", "soon"],
        ["start", "--log-format", "xml"],
        ["start", "--ui"],
        ["start", "--ui", "0.0.0.0:80"],
        ["start", "--role", "boss"],
        ["start", "--role", "control", "--until-done"],
        ["start", "--label", "a b"],
        ["run", "x", "--label", "-"],
        ["ls", "--timezone", "Mars/Olympus"],
        ["--timezone", "Mars/Olympus", "ls"],
        ["ls", "--project", "no-such-folder"],
        ["ls", "--jobs", ""],
        ["ls", "--state", "nonsense"],
        ["new", "two words"],
        ["new", "42"],
        ["new", "jobrunner.x"],
        ["new", "x", "--schedule", "bad"],
        ["logs", "1", "--tail", "3", "-f"],
        ["completion", "tcsh"],
    ],
    ids=" ".join,
)
def test_a_misuse_is_one_sentence_and_exit_code_2(house: House, args: list[str]) -> None:
    done = house.call(*args)
    assert (done.code, done.out) == (2, ""), done.err
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 2
    assert not (house.root / ".jobrunner").exists()


@pytest.mark.parametrize(
    ("typed", "meant"), [("histroy", "history"), ("strat", "start"), ("hist", "history"), ("lgos", "logs")]
)
def test_a_misspelt_command_is_recognised(house: House, typed: str, meant: str) -> None:
    assert f'did you mean "{meant}"?' in house.call(typed).err


@pytest.mark.parametrize("typed", ["bogus", "jobs", "x", "deploy", "stop"])
def test_what_is_like_no_command_is_taken_for_none(house: House, typed: str) -> None:
    done = house.call(typed)
    assert done.code == 2
    assert done.err.startswith(f'error: there is no command "{typed}"\n')


PROMISED = """ui top"""


@pytest.mark.parametrize("typed", PROMISED.split())
def test_a_command_of_a_later_version_is_not_yet_supported(house: House, typed: str) -> None:
    done = house.call(typed, "sync-orders", "--force")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: `{typed}` is not yet supported\n")
    assert typed not in app.COMMANDS


@pytest.mark.parametrize("line", ["ls", "start", "run a", "new x", "init", "check", "next a", "history"])
def test_a_deleted_working_folder_is_a_sentence(house: House, line: str) -> None:
    script = f"mkdir gone && cd gone && rmdir ../gone && {' '.join(command(line.split()))}"
    done = subprocess.run(["bash", "-c", script], cwd=house.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-2:] == [
        "error: the folder that you are in was deleted", "hint: cd to one that exists"
    ]  # fmt: skip


@pytest.mark.parametrize("args", [["run"], ["next"], ["check"]], ids=" ".join)
def test_a_job_whose_file_is_gone_is_said_to_be_gone(house: House, args: list[str]) -> None:
    house.job("keep")
    path = house.job("gone")
    house.register()
    path.unlink()
    done = house.call(*args, "GONE")
    assert (done.code, done.out) == (3, "")
    assert 'the file of job "gone" is gone: it was jobs/gone.py' in done.err
    assert "jobrunner history gone" in done.err
    assert "there is no job" in house.call(*args, "nobody").err


@pytest.mark.parametrize("args", [["run"], ["next"]], ids=" ".join)
def test_a_job_whose_file_broke_beyond_reading_says_where(house: House, args: list[str]) -> None:
    path = house.job("a")
    house.register()
    path.write_text("config = {")
    done = house.call(*args, "a")
    assert done.code == 3
    assert "jobs/a.py:1" in done.err


def test_with_json_an_error_is_an_object_on_stderr(house: House) -> None:
    house.job("sync-orders")
    done = house.call("ls", "sync-order", "--json")
    assert (done.code, done.out) == (3, "")
    assert done.error["code"] == "unknown-job"
    assert "sync-order" in done.error["message"]
    assert "sync-orders" in done.error["hint"]


def test_with_json_a_misuse_is_an_object_too(house: House) -> None:
    done = house.call("ls", "--json", "--nope")
    assert (done.code, done.error["code"]) == (2, "usage")


def test_a_bad_settings_file_is_named_with_its_line(house: House) -> None:
    house.write("jobrunner.yaml", "timezone: UTC\nslotz: 3\n")
    done = house.call("ls")
    assert done.code == 3
    assert "jobrunner.yaml:2" in done.err
    assert "slots" in done.err


def test_a_state_that_is_no_state_is_code_7(house: House) -> None:
    house.job("a")
    house.write(
        ".jobrunner/state.db", "this is a text, and long enough not to be taken for an empty file" * 50
    )
    for args in (["ls"], ["history"], ["show", "1"], ["run", "a"], ["start", "--for", "1s"]):
        done = house.call(*args)
        assert done.code == 7, (args, done.err)
        assert done.err.count("error: ") == 1


def test_a_flaw_of_ours_is_a_sentence_and_a_traceback_only_when_asked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flawed(*_: object) -> None:
        raise RuntimeError("a flaw\x1b[31m")

    monkeypatch.setattr(look, "_talk", flawed)
    done = house.call("ls")
    assert done.code == 1
    assert done.err.splitlines()[-2:][0].startswith("error: unexpected RuntimeError: a flaw\\x1b")
    assert "report" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in house.call("ls", "--debug").err
    assert "Traceback" in house.call("--debug", "ls").err
    monkeypatch.setenv("JOBRUNNER_DEBUG", "1")
    assert "Traceback" in house.call("ls").err


def test_a_system_without_room_for_a_process_is_no_flaw_of_ours(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    house.job("a")
    monkeypatch.setattr(subprocess, "Popen", refused)
    done = house.call("run", "a")
    assert done.code == 1
    assert "error: no more processes can be started here\n" in done.err
    assert "flaw" not in done.err


def test_names_from_a_command_line_cannot_act_on_the_terminal(house: House) -> None:
    house.job("a")
    done = house.call("ls", "\x1b[2J\u202eevil")
    assert done.code == 3
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err


def test_global_options_may_stand_on_either_side(house: House) -> None:
    house.write("elsewhere/x.py", 'config = {"name": "x", "schedule": None}\ndef default(): pass\n')
    folder = str(house.root / "elsewhere")
    before, after = house.call("--jobs", folder, "ls", "--json"), house.call("ls", "--json", "--jobs", folder)
    assert [job["id"] for job in before.json] == [job["id"] for job in after.json] == ["x"]
    house.job("a")
    both = house.call("--jobs", folder, "ls", "--json", "--jobs", str(house.root / "jobs"))
    assert [job["id"] for job in both.json] == ["a", "x"]


def test_options_come_from_the_environment_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write("elsewhere/x.py", 'config = {"name": "x", "schedule": None}\ndef default(): pass\n')
    monkeypatch.setenv("JOBRUNNER_JOBS", str(house.root / "elsewhere"))
    assert [job["id"] for job in house.call("ls", "--json").json] == ["x"]


# -- the ends of the pipe ------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["ls"], ["ls", "--json"], ["next", "@daily"], ["check"]], ids=" ".join)
def test_a_reader_that_leaves_is_no_news(house: House, args: list[str]) -> None:
    house.job("a")
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does, once it has seen enough
    done = subprocess.run(
        command(args), cwd=house.root, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_stdout_is_an_error(house: House) -> None:
    house.job("a")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(["ls"]), cwd=house.root, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the output cannot be written: No space left")
    assert "Traceback" not in done.stderr


def closed(house: House, line: str, streams: str) -> subprocess.CompletedProcess[str]:
    script = f"{' '.join(command(line.split()))} {streams}"
    return subprocess.run(
        ["bash", "-c", script], cwd=house.root, check=False, stderr=subprocess.PIPE, text=True
    )


def test_a_closed_stderr_is_lived_with(house: House) -> None:
    house.job("a")
    assert closed(house, "ls", "2>&-").returncode == 0


@pytest.mark.parametrize("line", ["ls", "ls --json", "run a", "next", "history --json"])
def test_data_that_a_closed_stdout_loses_is_an_error(house: House, line: str) -> None:
    house.job("a", "return 1")
    done = closed(house, line, ">&-")
    assert done.returncode == 1
    assert "the output cannot be written: stdout is closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert closed(house, line, ">&- 2>&-").returncode == 1


def test_a_closed_stdout_is_fine_where_there_is_no_data(house: House) -> None:
    house.job("a")
    assert closed(house, "run a", ">&-").returncode == 0


def test_an_encoding_that_lacks_a_character_shows_an_escape(house: House) -> None:
    house.write(
        "jobs/a.py", '"""Grüße an 日本."""\nconfig = {"name": "a", "schedule": None}\ndef default(): pass\n'
    )
    done = house.process("show", "a", env={"PYTHONIOENCODING": "ascii"})
    assert (done.code, done.err) == (0, "")
    assert "Gr\\xfc\\xdfe an \\u65e5" in done.out


def test_ctrl_c_ends_with_130_and_no_traceback(house: House) -> None:
    house.job("a")
    house.ran("a", "running", log=[(0, b"begun\n")])
    child = subprocess.Popen(
        command(["logs", "1", "-f"]), cwd=house.root, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"begun\n"
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert err.decode().strip() == "error: interrupted"


def test_json_stays_json_whatever_a_job_says(house: House) -> None:
    house.job("a")
    house.ran(
        "a",
        "failed",
        error={"type": "X", "message": "\x1b[31m\x9b\u202e\ud800 日本", "traceback": "", "phase": "body"},
    )
    done = house.call("history", "--json")
    assert "\x9b" not in done.out
    assert "\u202e" not in done.out
    assert json.loads(done.out)[0]["error"]["message"].endswith("日本")
