"""What one run leaves to the next, and which text it runs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from jobrunner.executor.ending import by_reply
from jobrunner.wire import WireError
from tests.executor.household import Household

# -- ctx.cursor ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, "page 7", {"after": [1, 2.5, None, True]}, "x" * 65_534])
def test_a_cursor_that_a_successful_body_assigns_comes_with_the_outcome(
    zygote_house: Household, value: Any
) -> None:
    outcome = zygote_house.run(
        "def default(ctx, params):\n    ctx.cursor = params['it']\n    return 1", params={"it": value}
    )
    assert (outcome.state, outcome.cursor_set, outcome.cursor) == ("succeeded", True, value)


def test_a_body_that_assigns_no_cursor_leaves_the_one_before_alone(house: Household) -> None:
    outcome = house.run("def default(ctx): return ctx.cursor", cursor={"page": 3})
    assert (outcome.result, outcome.cursor_set, outcome.cursor) == ({"page": 3}, False, None)


def test_what_a_cursor_is_when_the_body_ends_counts(zygote_house: Household) -> None:
    body = "def default(ctx):\n    ctx.cursor = seen = []\n    seen.append(1)\n    return ctx.cursor"
    assert zygote_house.run(body).cursor == [1]


@pytest.mark.parametrize(
    "end", ["raise ValueError('no')", "import jobrunner; raise jobrunner.Skip('nothing new')"]
)
def test_a_run_that_does_not_succeed_hands_no_cursor_on(zygote_house: Household, end: str) -> None:
    outcome = zygote_house.run(f"def default(ctx):\n    ctx.cursor = 1\n    {end}")
    assert (outcome.state == "succeeded", outcome.cursor_set, outcome.cursor) == (False, False, None)


def test_a_failing_clean_up_takes_the_cursor_along(zygote_house: Household) -> None:
    (zygote_house.root / "services.py").write_text(
        "def register(container): container.register('db', db)\ndef db():\n    yield 1\n    raise OSError\n"
    )
    outcome = zygote_house.run("def default(ctx, db): ctx.cursor = 1")
    assert (outcome.state, outcome.cursor_set) == ("failed", False)


@pytest.mark.parametrize("value", ["object()", "{1}", "float('nan')", "'x' * 65_535", "'\\ud800'", "deep"])
def test_a_cursor_that_cannot_be_kept_fails_the_run_by_name(zygote_house: Household, value: str) -> None:
    outcome = zygote_house.run(
        f"""
        deep = []
        for _ in range(200): deep = [deep]
        def default(ctx): ctx.cursor = {value}
        """
    )
    assert outcome.error is not None
    assert (outcome.state, outcome.error["phase"], outcome.cursor_set) == ("failed", "result", False)
    assert "ctx.cursor" in outcome.error["message"]


def test_a_forged_cursor_is_refused_or_made_fit_to_store() -> None:
    def forged(cursor: Any, state: str = "succeeded") -> Any:
        reply = {"state": state, "result": None, "truncated": False, "error": None, "fileHash": ""}
        return by_reply({**reply, "cursor": cursor}, None)

    assert forged("\ud800").cursor == "?"
    assert not forged(1, "failed").cursor_set
    with pytest.raises(WireError, match="cursor"):
        forged("x" * 10_000_000)


# -- source ----------------------------------------------------------------------------------------------

OLD = "# ä\ndef helper():\n    raise ValueError('old')  # this very line\ndef default(container): helper()\n"


def test_a_run_with_a_source_runs_that_and_not_the_file(house: Household) -> None:
    text = "def default(ctx): return [1, __name__, __file__]\n"
    house.write("def default(ctx): return [2, __name__, __file__]")
    from_file = house.finish(house.start())
    from_text = house.finish(house.start(source=text))
    assert from_text.result == [1, *from_file.result[1:]]
    assert from_text.file_hash == sha256(text.encode()).hexdigest() != from_file.file_hash


def test_the_old_code_goes_on_though_the_file_is_broken_or_gone(house: Household) -> None:
    house.write("def default(container: return 1")
    assert house.finish(house.start(source="def default(container): return 1")).result == 1
    (house.root / "jobs" / "job.py").unlink()
    assert house.finish(house.start(source="\ufeffdef default(container): return 2")).result == 2


def test_a_traceback_shows_the_lines_of_the_source_under_the_files_name(house: Household) -> None:
    house.write("1\n2\nnot_this_line = 3\n")
    outcome = house.finish(house.start(source=OLD))
    assert outcome.error is not None
    told = outcome.error["traceback"]
    assert f'File "{house.root}/jobs/job.py", line 3, in helper' in told
    assert "raise ValueError('old')  # this very line" in told
    assert "not_this_line" not in told


def test_a_source_that_does_not_compile_fails_the_run_while_importing(house: Household) -> None:
    house.write("def default(container): return 1")
    outcome = house.finish(house.start(source="def default(:\n"))
    assert outcome.error is not None
    assert (outcome.error["type"], outcome.error["phase"]) == ("SyntaxError", "import")


def test_a_declared_encoding_does_not_garble_a_source(house: Household) -> None:
    house.write("def default(container): return 1")
    text = "# -*- coding: latin-1 -*-\ndef default(container): return 'ä'\n"
    assert house.finish(house.start(source=text)).result == "ä"


def test_a_process_kept_for_a_source_serves_that_text_only(house: Household) -> None:
    house.write("import os\ndef default(container): return [os.getpid(), 1]")
    text = "import os\ndef default(container): return [os.getpid(), 2]"
    of_file, of_text, again, file_again = (
        house.finish(house.start(runs=9, source=source)).result for source in (None, text, text, None)
    )
    assert of_text == again
    assert of_file == file_again
    assert (of_file[1], of_text[1]) == (1, 2)


def test_a_child_is_in_hand_once_its_pid_is_known_though_it_said_before_that_it_is_ready(
    house: Household,
) -> None:
    house.until(lambda: bool(house.pool.ready))
    pid = house.pool.ready[0]
    (member,) = [one for one in house.pool._members.values() if one.pid == pid]
    member.pid = 0
    assert pid not in house.pool.ready and 0 not in house.pool.ready
    house.pool.happened()
    house.pool.forked(member.number, pid)
    assert pid in house.pool.ready and not house.pool.can_wait
