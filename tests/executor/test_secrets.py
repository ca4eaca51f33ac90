"""A run hides secrets before it shortens what it says: no half of one is left at a cut."""

from __future__ import annotations

import pytest

from jobrunner.executor.happened import Asked
from tests.executor.household import Household

SECRET = "correct-horse-battery"
CUT = {  # how much a text keeps before its cut: the secret lies across it
    "skip": ("from jobrunner import Skip\ndef default(ctx): raise Skip('x' * 490 + {secret!r} + 'y' * 2000)"),
    "message": "def default(ctx): raise ValueError('x' * 2040 + {secret!r} + 'y' * 8000)",
    "clean-up": "def default(db): pass",
    "result": "def default(ctx): return 'x' * 32758 + {secret!r} + 'y' * 100000",
    "cursor": "def default(ctx): ctx.cursor = {{1: object(), 2: 'x' * 8 + {secret!r} * 20}}",
}


@pytest.mark.parametrize("where", CUT)
def test_no_half_of_a_secret_is_left_where_a_text_is_cut(house: Household, where: str) -> None:
    (house.root / "services.py").write_text(
        "def register(container): container.register('db', db)\n"
        f"def db():\n    yield 1\n    raise ValueError('x' * 2040 + {SECRET!r} + 'y' * 8000)\n"
    )
    outcome = house.run(CUT[where].format(secret=SECRET), secrets=[SECRET])
    told = str(outcome.result if outcome.error is None else outcome.error["message"])
    assert "corr" not in told
    assert "**" in told
    assert "corr" not in str(outcome)


def test_no_half_of_a_secret_is_left_in_a_message_about_progress(house: Household) -> None:
    house.write(f"def default(ctx): ctx.progress(1, message='x' * 990 + {SECRET!r} + 'y' * 100)")
    run_id = house.start(secrets=[SECRET])
    house.finish(run_id)
    (asked,) = (one for one in house.events if isinstance(one, Asked))
    assert asked.payload["message"] == "x" * 990 + "***" + "y" * 7


def test_results_and_cursors_have_no_secrets_in_their_texts_and_keys(house: Household) -> None:
    outcome = house.run(
        f"""
        def default(ctx):
            ctx.cursor = ["at " + {SECRET!r}, 7]
            return {{{SECRET!r}: [{SECRET!r}, 1], "ok": True}}
        """,
        secrets=[SECRET],
    )
    assert outcome.result == {"***": ["***", 1], "ok": True}
    assert (outcome.cursor, outcome.truncated) == (["at ***", 7], False)


def test_a_secret_of_several_lines_is_known_in_what_is_no_json(house: Household) -> None:
    key = "-----BEGIN-----\nabcdef\n-----END-----"
    outcome = house.run(f"def default(ctx): return ['x' * 70_000, {key!r}]", secrets=[key])
    assert outcome.truncated
    assert str(outcome.result).endswith("'***']")


def test_a_run_without_secrets_says_what_it_says(house: Household) -> None:
    outcome = house.run(f"def default(ctx): return ({SECRET!r}, 1)")
    assert outcome.result == [SECRET, 1]
