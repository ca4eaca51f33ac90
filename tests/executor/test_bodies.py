"""Whatever a body does, its run ends as what it was and the node lives."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.executor.household import Household, alive, pid_in

LINUX = sys.platform.startswith("linux")


def test_a_returned_value_is_the_result(house: Household) -> None:
    outcome = house.run("def default(container): return {'rows': 42}")
    assert (outcome.state, outcome.result, outcome.truncated, outcome.error) == (
        "succeeded",
        {"rows": 42},
        False,
        None,
    )
    assert len(outcome.file_hash) == 64
    assert house.began(1)


def test_what_a_body_logs_and_prints_is_its_output_in_order(house: Household) -> None:
    house.run(
        """
        import sys
        def default(logger):
            print("one")
            logger.info("two %s", 2)
            print("three", file=sys.stderr)
        """
    )
    one, two, three = house.log(1).splitlines()
    assert (one, three) == (b"one", b"three")
    assert two.endswith(b"INFO two 2")
    ended = house.ended(1)
    assert ended is not None
    assert ended.log_bytes == len(house.log(1))


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("raise ValueError('no')", "ValueError", "no"),
        ("raise BaseException('base')", "BaseException", "base"),
        ("raise SystemExit(0)", "SystemExit", "0"),
        ("import sys; sys.exit()", "SystemExit", ""),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("raise MemoryError('full')", "MemoryError", "full"),
        ("def f(): f()\n    f()", "RecursionError", "maximum recursion depth exceeded"),
    ],
)
def test_whatever_is_raised_fails_the_run_with_its_traceback(
    zygote_house: Household, statement: str, kind: str, message: str
) -> None:
    outcome = zygote_house.run(f"def default(container):\n    {statement}\n")
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["phase"]) == (kind, "body")
    assert outcome.error["message"].startswith(message)
    assert "in default" in outcome.error["traceback"]


def test_a_traceback_shows_the_users_frames_with_the_chain_of_causes_and_none_of_ours(
    house: Household,
) -> None:
    outcome = house.run(
        """
        def deep(): raise KeyError("first")
        def default(container):
            try: deep()
            except KeyError as error: raise RuntimeError("second") from error
        """
    )
    assert outcome.error is not None
    told = outcome.error["traceback"]
    assert "KeyError: 'first'" in told
    assert "direct cause" in told
    assert "body.py" not in told
    assert told.count("job.py") == 3


def test_an_exception_that_cannot_be_shown_still_fails_the_run(zygote_house: Household) -> None:
    outcome = zygote_house.run(
        """
        class Hostile(Exception):
            def __str__(self): raise SystemExit("hostile")
        def default(container): raise Hostile
        """
    )
    assert outcome.error is not None
    assert outcome.error["type"] == "Hostile"
    assert "cannot be shown" in outcome.error["message"]


def test_an_enormous_message_is_shortened(zygote_house: Household) -> None:
    outcome = zygote_house.run("def default(container): raise ValueError('x' * 10_000_000)")
    assert outcome.error is not None
    assert len(outcome.error["message"]) < 5_000
    assert len(outcome.error["traceback"]) < 70_000


@pytest.mark.parametrize(
    "text", ["def default(:", "import nothing_of_that_name", "raise OSError('at import')", "1/0"]
)
def test_a_file_that_cannot_be_imported_fails_in_phase_import(zygote_house: Household, text: str) -> None:
    outcome = zygote_house.run(text)
    assert outcome.error is not None
    assert (outcome.state, outcome.error["phase"]) == ("failed", "import")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("os._exit(0)", "exited with status 0 without a reply"),
        ("os._exit(3)", "exited with status 3 without a reply"),
        ("os.kill(os.getpid(), 9)", "ended by signal 9 (SIGKILL)"),
        ("os.abort()", "ended by signal 6 (SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "ended by signal 11 (SIGSEGV)"),
        ("os.execv('/bin/true', ['true'])", "exited with status 0 without a reply"),
        ("os.killpg(0, 9)", "ended by signal 9 (SIGKILL)"),
    ],
)
def test_an_end_without_a_reply_is_a_crash_and_says_how(
    house: Household, statement: str, message: str
) -> None:
    outcome = house.run(f"import os\ndef default(container):\n    {statement}\n")
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["message"]) == ("Crashed", message)
    assert house.run("def default(container): return 1").result == 1


def test_closing_stdout_changes_nothing(house: Household) -> None:
    outcome = house.run(
        "import os, sys\ndef default(container):\n    sys.stdout.close(); os.close(1); os.close(2)"
    )
    assert outcome.state == "succeeded"


def test_closing_every_descriptor_fails_the_run_alone(house: Household) -> None:
    outcome = house.run("import os\ndef default(container): os.closerange(0, 1000)")
    assert outcome.error is not None
    assert outcome.error["type"] == "Crashed"


def test_a_reply_never_goes_into_a_file_that_took_the_wires_number(zygote_house: Household) -> None:
    outcome = zygote_house.run(
        """
        import os
        def default(container):
            os.closerange(0, 1000)
            for n in range(20): os.open("mine.txt", os.O_CREAT | os.O_RDWR)
        """
    )
    assert outcome.state == "failed"
    assert (zygote_house.root / "mine.txt").read_bytes() == b""


@pytest.mark.parametrize(
    "garbage",
    [
        r"b'\xff' * 64",
        r"b'\0\0\0\2[]'",
        r"b'\0\0\0\4null'",
        r"b'\0\0\0\x0c{\"ready\": 1}'",
        r"b'\0\0\0\x0b{\"reply\":1}'",
    ],
)
def test_garbage_on_every_descriptor_breaks_the_run_alone(house: Household, garbage: str) -> None:
    outcome = house.run(
        f"""
        import os, time
        def default(container):
            for fd in range(3, 64):
                try: os.write(fd, {garbage})
                except OSError: pass
            time.sleep(60)
        """
    )
    assert outcome.error is not None
    assert "broke the wire" in outcome.error["message"]
    assert house.run("def default(container): return 1").result == 1


def test_stdin_is_at_its_end_at_once(house: Household) -> None:
    assert house.run("import sys\ndef default(container): return sys.stdin.read()").result == ""


def test_binary_output_arrives_byte_for_byte_and_odd_text_never_raises(house: Household) -> None:
    house.run(r"""
        import os
        def default(container):
            print("\udcff")
            os.write(1, bytes(range(256)))
        """)
    assert house.log(1) == b"\\udcff\n" + bytes(range(256))


def test_an_async_body_really_runs(house: Household) -> None:
    body = "import asyncio\nasync def default(container):\n    await asyncio.sleep(0.01)\n    return 'done'"
    assert house.run(body).result == "done"


@pytest.mark.parametrize(
    "body",
    [
        "def default(container): yield 1",
        "async def default(container): yield 1",
        "class default:\n    def run(self): yield 1",
        "def inner(): yield 1\ndef default(container): return inner()",
    ],
)
def test_a_generator_is_refused_instead_of_never_run(zygote_house: Household, body: str) -> None:
    outcome = zygote_house.run(body)
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert "generator" in outcome.error["message"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("float('nan')", "nan"), ("{1, 2}", "{1, 2}"), ("object", "<class 'object'>"), ("b'x'", "b'x'")],
)
def test_a_result_that_is_no_json_becomes_a_flagged_repr(
    zygote_house: Household, value: str, shown: str
) -> None:
    outcome = zygote_house.run(f"def default(container): return {value}")
    assert (outcome.state, outcome.result, outcome.truncated) == ("succeeded", shown, True)


@pytest.mark.parametrize(
    "value",
    ["'x' * 10_000_000", "['y' * 1000] * 10_000", "Hostile()", "deep(5000)", "deep(900)", "'\\ud800'"],
)
def test_a_huge_deep_or_hostile_result_is_bounded(zygote_house: Household, value: str) -> None:
    outcome = zygote_house.run(
        f"""
        class Hostile:
            def __repr__(self): raise ValueError
        def deep(n):
            value = []
            for _ in range(n): value = [value]
            return value
        def default(container): return {value}
        """
    )
    assert outcome.state == "succeeded"
    assert outcome.truncated
    assert len(str(outcome.result).encode()) < 70_000


def test_skip_is_skipped_with_reason_body(house: Household) -> None:
    outcome = house.run(
        "from jobrunner.outcomes import Skip\ndef default(container): raise Skip('nothing to do')"
    )
    assert (outcome.state, outcome.reason, outcome.result) == ("skipped", "body", "nothing to do")


def test_a_permanent_failure_says_so(zygote_house: Household) -> None:
    outcome = zygote_house.run(
        """
        from jobrunner.outcomes import PermanentFailure
        class Gone(PermanentFailure): pass
        def default(container): raise Gone('404')
        """
    )
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["permanent"]) == ("Gone", True)


def test_canceled_that_nobody_asked_for_is_a_failure(zygote_house: Household) -> None:
    outcome = zygote_house.run(
        "from jobrunner.outcomes import Canceled\ndef default(container): raise Canceled('me')"
    )
    assert (outcome.state, (outcome.error or {})["type"]) == ("failed", "Canceled")


def test_one_run_sees_nothing_of_what_another_did_to_its_process(house: Household) -> None:
    house.run(
        """
        import os, sys, time, builtins
        def default(container):
            os.chdir("/"); os.environ["LEAK"] = "1"; os.umask(0o777); sys.path.insert(0, "/leak")
            time.time = None; builtins.len = None
        """
    )
    seen = house.run(
        """
        import os, sys, time
        def default(container):
            leaked = sys.path[0] == "/leak"
            return [os.getcwd(), os.environ.get("LEAK"), os.umask(0), leaked, time.time() > 0, len("x")]
        """
    )
    assert seen.result == [str(house.root), None, seen.result[2], False, True, 1]
    assert seen.result[2] != 0o777


def test_a_child_inherits_no_descriptor_but_its_own(house: Household) -> None:
    with open("/etc/passwd") as ours:
        os.set_inheritable(ours.fileno(), True)
        outcome = house.run(
            """
            import os
            def default(container):
                found = set()
                for name in os.listdir("/dev/fd"):
                    try: found.add(os.readlink(f"/proc/self/fd/{name}").split(":")[0])
                    except OSError: pass
                return sorted(found)
            """
        )
    assert outcome.result == ["/dev/null", "pipe", "socket"]


def test_forks_do_not_share_their_random_numbers(house: Household) -> None:
    body = "import random, uuid\ndef default(container): return [random.random(), str(uuid.uuid4())]"
    assert house.run(body).result != house.run(body).result


def test_a_fork_that_comes_back_is_not_the_run(house: Household) -> None:
    outcome = house.run(
        """
        import os
        def default(container):
            pid = os.fork()
            if pid == 0: raise SystemExit(7)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """
    )
    assert outcome.result == 7


def test_a_run_ends_when_it_returns_though_a_child_of_it_holds_the_pipe(house: Household) -> None:
    outcome = house.run(
        """
        import subprocess
        def default(container):
            child = subprocess.Popen(["sleep", "1000"])
            open("pid", "w").write(str(child.pid))
        """
    )
    assert outcome.state == "succeeded"
    assert not alive(pid_in(house.root / "pid"))


DAEMON = """
import os, sys, time
def default(container):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("pid.tmp", "w").write(str(os.getpid())); os.rename("pid.tmp", "pid")
            time.sleep(1000)
        os._exit(0)
    while not os.path.exists("pid"): time.sleep(0.001)
    {end}
"""


@pytest.mark.skipif(not LINUX, reason="only Linux has subreapers")
@pytest.mark.parametrize("end", ["return 1", "raise ValueError", "os.kill(os.getpid(), 9)"])
def test_a_daemon_of_a_run_is_dead_when_the_run_has_ended(house: Household, end: str) -> None:
    house.run(DAEMON.format(end=end))
    assert not alive(pid_in(house.root / "pid"))


@pytest.mark.skipif(not LINUX, reason="only Linux has subreapers")
def test_fifty_children_in_sessions_of_their_own_are_gone_with_the_run(zygote_house: Household) -> None:
    zygote_house.run(
        """
        import subprocess
        def default(container):
            pids = [subprocess.Popen(["sleep", "1000"], start_new_session=True).pid for _ in range(50)]
            open("pids", "w").write(" ".join(map(str, pids)))
        """
    )
    pids = [int(pid) for pid in (zygote_house.root / "pids").read_text().split()]
    assert len(pids) == 50
    assert not any(alive(pid) for pid in pids)


def test_a_run_may_delete_its_own_file(house: Household) -> None:
    assert house.run("import os\ndef default(container): os.remove(__file__); return 1").result == 1


def test_a_thread_left_behind_does_not_keep_the_run(house: Household) -> None:
    body = "threading.Thread(target=time.sleep, args=(99,)).start()"
    assert house.run(f"import threading, time\ndef default(container): {body}").state == "succeeded"


def test_an_exit_handler_that_hangs_is_killed_after_two_seconds_and_the_reply_counts(
    house: Household,
) -> None:
    outcome = house.run(
        "import atexit, time\ndef default(container): atexit.register(time.sleep, 99); return 1"
    )
    assert (outcome.state, outcome.result) == ("succeeded", 1)


@pytest.mark.skipif(not LINUX, reason="/proc")
def test_a_no_op_run_has_none_of_the_nodes_libraries_in_its_process(zygote_house: Household) -> None:
    loaded = zygote_house.run("import sys\ndef default(container): return sorted(sys.modules)")
    assert isinstance(loaded.result, list)
    heavy = {"apsw", "click", "croniter", "rich", "yaml", "filelock", "asyncio", "dataclasses", "sqlite3"}
    assert not heavy & set(loaded.result)
    asking = {"calls", "documents", "stepping", "terms", "workflow"}
    assert not {f"jobrunner.{name}" for name in asking} & set(loaded.result)


@pytest.mark.skipif(not LINUX, reason="/proc")
def test_memory_pressure_would_hit_a_run_before_the_node(house: Household) -> None:
    body = "def default(container): return open('/proc/self/oom_score_adj').read().strip()"
    assert house.run(body).result == "500"


def test_two_hundred_megabytes_of_output_pass_in_bounded_memory(zygote_house: Household) -> None:
    import resource

    from jobrunner.executor.happened import Output
    from jobrunner.executor.output import LogWindow

    zygote_house.write(
        "import os\ndef default(container):\n    for _ in range(200): os.write(1, b'x' * 1_000_000)"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run_id, window = zygote_house.start(), LogWindow(1_000_000)
    while zygote_house.ended(run_id) is None:
        zygote_house.turn()
        for event in zygote_house.events:
            if isinstance(event, Output):
                window.feed(event.data)
        zygote_house.events = [one for one in zygote_house.events if not isinstance(one, Output)]
    assert window.total == 200_000_000
    assert window.pending <= 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_a_node_that_takes_no_output_makes_the_run_wait_instead_of_growing(tmp_path: Path) -> None:
    house = Household(tmp_path, log_limit=500_000)
    house.pool.start()
    try:
        house.write(
            "import os\ndef default(container):\n    for _ in range(50): os.write(1, b'x' * 1_000_000)"
        )
        run_id = house.start()
        taken = house.pool.happened
        house.pool.happened = list  # type: ignore[method-assign]
        for _ in range(40):
            house.turn(0.01)
        house.pool.happened = taken  # type: ignore[method-assign]
        assert len(house.pool._events) <= 4
        house.finish(run_id)
        assert len(house.log(run_id)) == 50_000_000
    finally:
        house.close()


def test_signals_a_run_was_born_with_are_the_defaults(house: Household) -> None:
    body = (
        "import signal\ndef default(container): return [repr(signal.getsignal(n)) for n in (1, 13, 17, 15)]"
    )
    hup, pipe, chld, term = house.run(body).result
    assert "SIG_DFL" in hup
    assert "SIG_IGN" in pipe
    assert "SIG_DFL" in chld
    assert "Alarm" in term
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    "body",
    [
        "async def default(container): raise ValueError('mine')",
        "class default:\n    async def run(self): raise ValueError('mine')",
    ],
)
def test_the_traceback_of_an_async_body_tells_of_no_other_error(zygote_house: Household, body: str) -> None:
    outcome = zygote_house.run(body)
    assert outcome.error is not None
    assert "ValueError: mine" in outcome.error["traceback"]
    assert "RuntimeError" not in outcome.error["traceback"]
    assert "During handling" not in outcome.error["traceback"]
