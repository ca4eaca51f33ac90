"""exec: any Python file's default function, with the services of the project, and no job anywhere."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.cli.house import House, command

pytestmark = pytest.mark.usefixtures("store_kind")

SCRIPT = '''"""Load files."""


def default(container, args, rows: int = 1):
    print("loading", *args)
    container.resolve("logger").warning("slowly")
    return {"args": args, "rows": rows, "db": container.resolve("db", None)}
'''


@pytest.fixture
def bare(house: House) -> House:
    """A folder without jobs."""
    (house.root / "jobs").rmdir()
    house.write("load.py", SCRIPT)
    return house


def test_a_file_runs_with_its_words_and_params_and_its_output_is_talk(bare: House) -> None:
    done = bare.process("exec", "load.py", "-p", "rows=5", "a.csv", "b.csv", "--", "--deep")
    assert (done.code, done.json) == (0, {"args": ["a.csv", "b.csv", "--deep"], "rows": 5, "db": None})
    lines = done.err.splitlines()
    assert lines[0] == "jobrunner.exec #1 started"
    assert lines[1] == "| loading a.csv b.csv --deep"
    assert "slowly" in lines[2]
    assert lines[3].startswith("jobrunner.exec #1 succeeded after ")


def test_it_has_the_project_s_services_and_siblings(bare: House) -> None:
    bare.write("services.py", "def register(container): container.register('db', lambda: 'the database')\n")
    bare.write("scripts/_shared.py", "WORD = 'shared'\n")
    bare.write("scripts/deep.py", "from ._shared import WORD\ndef default(db): return [db, WORD]\n")
    bare.write("jobrunner.yaml", "")
    assert bare.process("exec", "scripts/deep.py").json == ["the database", "shared"]


def test_state_calls_once_and_steps_work_as_in_any_run(bare: House) -> None:
    bare.write(
        "jobs/other.py", "config = {'name': 'other', 'schedule': None}\ndef default(rows): return rows\n"
    )
    bare.write(
        "all.py",
        "def default(ctx, state, scheduler):\n"
        "    count = state.get('count', 0) + 1\n"
        "    state.set('count', count)\n"
        "    first = ctx.once('first', lambda: count)\n"
        "    done = ctx.step('one', lambda: 'done')\n"
        "    return [count, first, done, scheduler.run_after('1h', 'other', rows=1)]\n",
    )
    first, second = (bare.process("exec", "all.py").json for _ in range(2))
    assert (first[:3], second[:3]) == ([1, 1, "done"], [2, 1, "done"])
    waiting = {run["id"]: run for run in bare.call("pending", "--json").json}
    assert sorted(waiting) == sorted([first[3], second[3]])
    assert waiting[first[3]]["job"] == "other"


def test_its_run_has_a_row_and_there_is_no_job_of_it(bare: House) -> None:
    assert bare.process("exec", "load.py", "x").code == 0
    (run,) = bare.call("history", "jobrunner.exec", "--json").json
    assert run["params"] == {"file": str(bare.root / "load.py"), "args": ["x"]}
    assert (run["state"], run["trigger"]) == ("succeeded", "manual")
    assert "loading x" in bare.call("logs", str(run["id"])).out
    for args in (["ls", "--json"], ["ls", "--all", "--json"]):
        assert "jobrunner.exec" not in bare.call(*args).out


@pytest.mark.stateless
@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("nosuch.py", None, "there is no file nosuch.py"),
        (".", None, ". is a folder"),
        ("x.py", "x = 1\n", "x.py:1: the file has no function to run"),
        ("x.py", "def a(): pass\ndef b(): pass\n", "a and b could each be the job's function"),
        ("x.py", "def default(:\n", "x.py:1: the file is not Python"),
        ("x.py", "def default():\n    yield 1\n", "x.py:1: default is a generator"),
        ("x.py", "\0", "NUL byte"),
    ],
)
def test_what_is_no_such_file_is_one_sentence_and_code_3(
    bare: House, file: str, text: str | None, said: str
) -> None:
    if text is not None:
        bare.write(file, text)
    done = bare.call("exec", file)
    assert (done.code, done.out) == (3, "")
    assert said in done.err
    assert len(done.err.splitlines()) <= 2
    assert bare.stateless


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-p", "rows=many"], 'rows: "many" is no int'),
        (["-p", "args=[]"], "args comes from the command line itself"),
        (["--params", '{"file": 1}'], "file comes from the command line itself"),
        (["--params", "{"], "--params is not JSON"),
        (["--deep"], "No such option"),
    ],
)
def test_a_misuse_is_code_2(bare: House, args: list[str], said: str) -> None:
    done = bare.call("exec", "load.py", *args)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_param_that_nothing_can_bring_is_asked_for(bare: House) -> None:
    bare.write("x.py", "def default(since, file, args): return [since, args]\n")
    done = bare.call("exec", "x.py")
    assert done.code == 2
    assert 'x.py needs the param "since"' in done.err
    assert bare.process("exec", "x.py", "-p", "since=1", "w").json == [1, ["w"]]


@pytest.mark.parametrize(
    ("body", "code"), [("raise ValueError('no')", 1), ("import time; time.sleep(60)", 5), ("return None", 0)]
)
def test_the_exit_code_tells_how_it_ended(bare: House, body: str, code: int) -> None:
    bare.write("x.py", f"def default():\n    {body}\n")
    done = bare.process("exec", "x.py", "--timeout", "1s", "--grace", "0.2s")
    assert (done.code, done.out) == (code, "")


def test_ctrl_c_ends_it_and_is_code_130(bare: House) -> None:
    bare.write("x.py", "import time\ndef default():\n    print('up', flush=True)\n    time.sleep(60)\n")
    child = subprocess.Popen(
        command(["exec", "x.py"]), cwd=bare.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    while child.stderr.readline() != "| up\n":
        assert child.poll() is None
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=40)
    assert child.returncode == 130, err
    assert "Traceback" not in err


def test_several_run_beside_each_other(bare: House) -> None:
    bare.write("x.py", "import time\ndef default():\n    print('up', flush=True)\n    time.sleep(60)\n")
    first = subprocess.Popen(
        command(["exec", "x.py"]), cwd=bare.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert first.stderr is not None
    while first.stderr.readline() != "| up\n":
        assert first.poll() is None
    assert bare.process("exec", "load.py").code == 0
    first.terminate()
    first.communicate(timeout=40)


def test_hooks_are_not_told_of_it(bare: House) -> None:
    bare.write("hooks.py", "def on_failure(run): open('told', 'w').close()\n")
    bare.write("x.py", "def default(): raise ValueError('no')\n")
    assert bare.process("exec", "x.py").code == 1
    assert not (bare.root / "told").exists()


def test_the_hint_names_the_param_that_lacks_and_no_service(bare: House) -> None:
    bare.write("services.py", "def register(container): container.register('db', lambda: 1)\n")
    bare.write("needs.py", "def default(db, since): return since\n")
    assert "hint: give it what it needs: -p since=…" in bare.process("exec", "needs.py").err
    bare.write("needs.py", "class Mail: ...\ndef default(db, mail: Mail): ...\n")
    assert "hint" not in bare.process("exec", "needs.py").err


def test_its_help_says_that_a_config_in_the_file_is_not_used(bare: House) -> None:
    assert "A config in it is not used" in " ".join(bare.call("exec", "--help").out.split())
    bare.write("job.py", "config = {'params': {'n': 1}, 'timeout': 1}\ndef default(n): ...\n")
    assert 'job.py needs the param "n"' in bare.call("exec", "job.py").err


def test_its_help_lists_what_the_file_takes_and_the_shell_completes_it(bare: House) -> None:
    said = bare.call("exec", "load.py", "--help").out
    assert "Load files." in said
    assert "rows  int  [default: 1]" in said
    assert "args  " not in said.partition("Its params")[2]
    words = {"COMP_WORDS": "jobrunner exec load.py -p ", "COMP_CWORD": "4"}
    done = bare.process(env={"_JOBRUNNER_COMPLETE": "bash_complete", **words})
    assert done.out.splitlines() == ["plain,rows="]


def test_it_executes_the_file_in_the_run_s_own_process_only(bare: House) -> None:
    bare.write(
        "x.py", "import os\nPID = os.getpid()\ndef default(): return [PID, os.getpid(), os.getppid()]\n"
    )
    loaded, ran, parent = bare.process("exec", "x.py").json
    assert loaded == ran != parent
