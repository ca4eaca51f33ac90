"""What a body logs is in the run's log once, in UTC, whatever it does to the logging module."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.executor.household import Household

STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def house(zygote_house: Household) -> Household:
    return zygote_house


def told(house: Household, *statements: str, head: str = "") -> list[bytes]:
    """Run the statements with `logger` and `logging` at hand; return the log, the stamps checked and cut."""
    lines = "".join(f"    {one}\n" for one in statements)
    outcome = house.run(f"import logging, sys\n{head}\ndef default(logger):\n{lines}")
    assert outcome.state == "succeeded", outcome.error
    return [re.sub(STAMP, b"@", line) for line in house.log(1).splitlines()]


def test_a_line_carries_the_moment_in_utc_with_milliseconds(
    house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.now(UTC)
    house.run(
        "import os, time\nos.environ['TZ'] = 'Asia/Kolkata'; time.tzset()\n"
        "def default(logger): logger.info('x')"
    )
    stamp = house.log(1).split()[0]
    assert re.fullmatch(STAMP, stamp)
    assert abs((datetime.fromisoformat(stamp.decode()) - before).total_seconds()) < 60


@pytest.mark.parametrize(
    "meddling",
    [
        "logging.basicConfig()",
        "logging.basicConfig(level=logging.DEBUG, format='mine %(message)s')",
        "logging.basicConfig(stream=sys.stdout, force=True)",
        "logging.getLogger().addHandler(logging.StreamHandler())",
        "logging.root.handlers.clear()",
        "import logging.config; logging.config.dictConfig({'version': 1})",
    ],
)
def test_the_runs_logger_keeps_its_format_and_is_written_once(house: Household, meddling: str) -> None:
    assert told(house, meddling, "logger.info('one')", "logger.warning('two')") == [
        b"@ INFO one",
        b"@ WARNING two",
    ]


def test_other_loggers_are_in_the_log_too_from_info_on(house: Household) -> None:
    assert told(
        house,
        "logging.getLogger('lib.part').info('a')",
        "logging.getLogger('lib').debug('b')",
        "logging.info('c')",
        "logger.info('d')",
        "logging.getLogger('lib').warning('e')",
    ) == [b"@ INFO lib.part: a", b"@ INFO root: c", b"@ INFO d", b"@ WARNING lib: e"]


def test_other_loggers_are_heard_though_the_body_asks_for_no_logger(house: Household) -> None:
    house.run("import logging\ndef default(container): logging.getLogger('lib').info('a')")
    assert house.log(1).endswith(b"Z INFO lib: a\n")


@pytest.mark.parametrize(
    ("meddling", "line"),
    [
        ("logging.basicConfig(format='mine %(message)s')", b"mine a"),
        ("logging.getLogger().addHandler(logging.StreamHandler())", b"a"),
        ("logging.basicConfig(level=logging.DEBUG)", b"INFO:lib:a"),
        ("logging.root.setLevel(logging.ERROR)", None),
    ],
)
def test_what_other_loggers_write_is_the_users_to_change(
    house: Household, meddling: str, line: bytes | None
) -> None:
    expected = [line] if line is not None else []
    assert told(house, meddling, "logging.getLogger('lib').info('a')") == expected


def test_a_handler_of_the_users_that_goes_elsewhere_gets_every_record_and_the_log_stays(
    house: Household,
) -> None:
    assert told(
        house,
        "logging.getLogger().addHandler(logging.FileHandler('mine.log'))",
        "logger.info('one')",
        "logging.getLogger('lib').info('two')",
    ) == [b"@ INFO one", b"@ INFO lib: two"]
    assert (house.root / "mine.log").read_text() == "one\ntwo\n"


def test_a_wrong_call_of_basic_config_leaves_the_log_as_it_was(house: Household) -> None:
    assert told(
        house,
        "try: logging.basicConfig(stream=sys.stdout, filename='mine.log')",
        "except ValueError: pass",
        "logging.getLogger('lib').info('a')",
    ) == [b"@ INFO lib: a"]


def test_the_next_run_of_a_process_has_a_logger_that_writes_once(house: Household) -> None:
    house.write("def default(logger): logger.info('x')")
    for _ in range(2):
        run_id = house.start(runs=2)
        house.finish(run_id)
        assert house.log(run_id).count(b"INFO x") == 1
