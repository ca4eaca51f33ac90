"""The project's own services in a real run: where they come from, when they are closed, how they fail."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest

from tests.executor.household import Household


@pytest.fixture
def house(zygote_house: Household) -> Household:
    return zygote_house


def services(house: Household, text: str) -> None:
    (house.root / "services.py").write_text(text)


def test_what_is_always_there_is_there(house: Household) -> None:
    outcome = house.run(
        """
        def default(container, config, params, settings, logger, ctx):
            assert container.resolve("ctx") is ctx and container.resolve("params") == params
            return [config["name"], params, settings, logger.name, ctx.run_id]
        """,
        params={"a": 1},
        settings={"b": 2},
    )
    assert outcome.result == ["job", {"a": 1}, {"b": 2}, "job.job", 1]


def test_services_of_the_settings_file_are_imported_from_the_project(house: Household) -> None:
    (house.root / "lib.py").write_text(
        "class Client:\n    def __init__(self, url, settings): self.url = url + settings['path']\n"
    )
    outcome = house.run(
        "def default(client): return client.url",
        services={"client": {"factory": "lib:Client", "args": {"url": "http://"}, "lifetime": "singleton"}},
        settings={"path": "x"},
    )
    assert outcome.result == "http://x"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("lib", "names no function"),
        ({"factry": 1}, "no factory"),
        ({"factory": "a:b", "x": 1}, "unknown key 'x'"),
    ],
)
def test_a_wrong_entry_of_services_fails_in_phase_services(
    house: Household, entry: object, message: str
) -> None:
    outcome = house.run("def default(container): pass", services={"client": entry})
    assert outcome.error is not None
    assert outcome.error["phase"] == "services"
    assert message in outcome.error["message"]


def test_a_services_file_that_raises_fails_in_phase_services(house: Household) -> None:
    services(house, "raise RuntimeError('no')")
    outcome = house.run("def default(container): pass")
    assert outcome.error is not None
    assert (outcome.error["phase"], outcome.error["message"]) == ("services", "no")


def test_an_edit_of_the_services_file_counts_though_its_size_and_time_stay(house: Household) -> None:
    path = house.root / "services.py"
    path.write_text("def register(container): container.register('word', 'old', value=True)")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    py_compile.compile(str(path))  # as an import leaves it behind
    path.write_text(path.read_text().replace("old", "new"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert house.run("def default(word): return word").result == "new"


def test_a_job_sees_the_same_classes_as_the_services_file(house: Household) -> None:
    services(house, "class Db: pass\ndef register(container): container.register('db', Db)")
    body = "from services import Db\ndef default(thing: Db): return type(thing) is Db"
    assert house.run(body).result is True


def test_an_unresolvable_parameter_fails_in_phase_resolve_and_names_near_services(house: Household) -> None:
    services(house, "def register(container): container.register('database', object)")
    outcome = house.run("def default(databse): print('never')")
    assert outcome.error is not None
    assert outcome.error["phase"] == "resolve"
    assert "did you mean 'database'?" in outcome.error["message"]
    assert house.log(1) == b""


def test_a_failing_clean_up_fails_the_run_and_the_others_still_run(house: Household) -> None:
    services(
        house,
        "def register(container):\n"
        "    container.register('good', good); container.register('bad', bad, 'singleton')\n"
        "def good():\n    yield 1\n    print('good closed')\n"
        "def bad():\n    yield 2\n    raise OSError('will not close')\n",
    )
    outcome = house.run("def default(good, bad): return good + bad")
    assert outcome.error is not None
    assert (outcome.state, outcome.error["phase"], outcome.error["message"]) == (
        "failed", "cleanup", "will not close",
    )  # fmt: skip
    assert b"good closed" in house.log(1)


def test_a_failed_body_stays_the_reason_though_a_clean_up_fails_too(house: Household) -> None:
    services(
        house,
        "def register(c): c.register('bad', bad)\ndef bad():\n    yield 2\n    raise OSError('will not')",
    )
    outcome = house.run("def default(bad): raise ValueError('body')")
    assert outcome.error is not None
    assert outcome.error["message"] == "body"
    assert b"OSError: will not" in house.log(1)


def test_virtualize_acts_before_each_body_and_may_change_params(house: Household) -> None:
    services(
        house,
        "def virtualize(container, params):\n"
        "    container.register('tenant', params.pop('tenant', 'none')); params['size'] = 3\n",
    )
    house.write("def default(tenant, size, params): return [tenant, size, params]")
    assert house.finish(house.start(runs=2, params={"tenant": "acme"})).result == ["acme", 3, {"size": 3}]
    assert house.finish(house.start(runs=2)).result == ["none", 3, {"size": 3}]


def test_async_services_and_an_async_body_share_one_loop(house: Household) -> None:
    services(
        house,
        "import asyncio\n"
        "async def db():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    yield loop\n"
        "    print(asyncio.get_running_loop() is loop)\n"
        "async def number(): return 7\n"
        "async def register(container):\n"
        "    container.register('db', db); container.register('number', number)\n",
    )
    outcome = house.run(
        """
        import asyncio
        async def default(db, container):
            try: container.resolve("number")
            except Exception as error: hint = str(error)
            return [db is asyncio.get_running_loop(), await container.resolve_async("number"), hint]
        """
    )
    assert outcome.result[:2] == [True, 7]
    assert "await container.resolve_async" in outcome.result[2]
    assert house.log(1) == b"True\n"


def test_a_sync_body_gets_async_services_ready_made(house: Household) -> None:
    services(house, "async def n(): return 7\ndef register(container): container.register('n', n)")
    assert house.run("def default(n): return n").result == 7


def test_a_class_is_constructed_with_injection_and_run(house: Household) -> None:
    body = """
        class default:
            def __init__(self, size): self.size = size
            async def run(self, ctx): return [self.size, ctx.job]
        """
    assert house.run(body, params={"size": 2}).result == [2, "job"]


def test_a_target_needs_no_file(house: Household) -> None:
    (house.root / "package.py").write_text("def function(params): return params['x']")
    outcome = house.finish(house.start(file="", target="package:function", params={"x": 5}))
    assert outcome.result == 5


def test_progress_reaches_the_node_and_an_answer_harms_nobody(house: Household) -> None:
    house.write(
        "def default(ctx):\n    for n in range(1000): ctx.progress(n, 999)\n    ctx.heartbeat()\n    return 1"
    )
    run_id = house.start()
    house.until(lambda: bool(house.asked(run_id)))
    house.pool.answer(run_id, house.asked(run_id)[0].number, {})
    assert house.finish(run_id).result == 1
    told = [one.payload["value"] for one in house.asked(run_id) if one.verb == "progress"]
    assert (told[0], told[-1]) == (0, 999)
    assert len(told) < 10
    house.pool.answer(run_id, 1, {})


def test_the_logger_stamps_each_run_of_a_process(house: Household) -> None:
    house.write(
        """
        import logging
        class Keep(logging.Handler):
            def emit(self, record): self.seen = record.run_id
        def default(logger):
            logger.addHandler(keep := Keep())
            logger.info("x")
            return keep.seen
        """
    )
    assert [house.finish(house.start(runs=2)).result for _ in range(2)] == [1, 2]


def test_the_run_works_in_the_project_root(house: Household) -> None:
    assert house.run("import os\ndef default(container): return os.getcwd()").result == str(Path(house.root))
