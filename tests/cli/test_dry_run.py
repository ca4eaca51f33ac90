"""run --dry-run: what a run would be, with nothing executed, locked or written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.house import House

pytestmark = pytest.mark.usefixtures("store_kind")

SERVICES = """class Database:
    pass


def connect() -> Database:
    open("connected", "w").close()
    yield Database()


def register(container):
    container.register("db", connect, "singleton")
    container.register("region", "eu")
"""
JOB = '''"""Copy new orders."""
from services import Database
config = {"name": "sync", "schedule": "@daily", "params": {"tenant": "acme"}, "timeout": "5m", "retries": 2}


def default(ctx, store: Database, region, tenant, since, logger, rows: int = 100, mark=print):
    open("ran", "w").close()
'''


@pytest.fixture
def sync(house: House) -> House:
    house.write("services.py", SERVICES)
    house.write("jobs/sync.py", JOB)
    return house


def told(done: Any) -> dict[str, str]:
    """Return the lines of the answer by their heads."""
    found: dict[str, str] = {}
    for line in done.out.splitlines():
        head, colon, rest = line.partition(":")
        if colon and not line.startswith(" "):
            name = head
            found[name] = rest.strip()
        else:
            found[name] += "\n" + line.strip()
    return found


def test_it_says_where_each_argument_comes_from_and_by_which_policy(sync: House) -> None:
    done = sync.call("run", "sync", "-p", "since=2026-05-01", "--dry-run")
    assert (done.code, done.err) == (0, "")
    said = told(done)
    assert said["job"] == "sync: Copy new orders."
    assert said["function"] == "default (jobs/sync.py:6)"
    assert [" ".join(line.split()) for line in said["arguments"].splitlines()] == [
        "ctx the run's own",
        "store service db: services:connect, line 5, singleton",
        "region service region: a value",
        'tenant param "acme", from its config',
        'since param "2026-05-01", given',
        "logger service logger: jobrunner, singleton",
        "rows its default 100",
        "mark its default <built-in function print>",
    ]
    assert said["params"] == '{"tenant":"acme","since":"2026-05-01"}'
    assert said["policy"] == (
        "ended after 5m; no retries by hand (by its schedule: 2); refused while it is busy; "
        "at-most-once: lost, it is not repeated"
    )
    assert said["schedule"] == "every day at 00:00"
    assert said["now"] == "it would run"


def test_nothing_is_executed_or_written(sync: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    sync.write("shop.py", "OPEN = True\n")
    sync.write("services.py", "import shop\n" + SERVICES)
    before = sorted(path.name for path in sync.root.rglob("*"))
    assert sync.call("run", "sync", "-p", "since=1", "--dry-run").code == 0
    assert sorted(path.name for path in sync.root.rglob("*")) == before


def test_with_a_state_it_leaves_that_as_it_is(sync: House) -> None:
    sync.ran("sync")
    before = sync.call("history", "--json").json, sync.call("audit", "--json").json
    assert sync.call("run", "sync", "-p", "since=1", "--dry-run").code == 0
    assert (sync.call("history", "--json").json, sync.call("audit", "--json").json) == before


def test_with_json_it_is_data(sync: House) -> None:
    found = sync.call("run", "sync", "-p", "since=1", "--dry-run", "--json", "--timeout", "1s").json
    assert (found["job"], found["file"], found["function"], found["line"]) == (
        "sync", "jobs/sync.py", "default", 6
    )  # fmt: skip
    assert (found["wouldRun"], found["refused"], found["problems"], found["resting"]) == (
        True,
        None,
        [],
        None,
    )
    assert found["params"] == {"tenant": "acme", "since": 1}
    assert found["policy"][0] == "ended after 1.00s"
    by_name = {one["name"]: one for one in found["arguments"]}
    assert by_name["since"] == {"name": "since", "source": "param", "from": "given", "value": 1}
    assert (by_name["store"]["service"], by_name["store"]["factory"]) == ("db", "services:connect, line 5")


# -- what is missing -----------------------------------------------------------------------------------------


def test_a_missing_param_is_named_and_code_3(sync: House) -> None:
    done = sync.call("run", "sync", "--dry-run")
    assert done.code == 3
    assert "parameter 'since': no param of that name" in told(done)["problem"]
    assert "pass it with -p" in told(done)["problem"]
    assert told(done)["now"] == "it could not run"
    found = sync.call("run", "sync", "--dry-run", "--json").json
    assert (found["wouldRun"], found["problems"][0]["line"]) == (False, 6)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("services.py", "1 / 0\n", "division by zero"),
        ("services.py", SERVICES.replace("connect()", "connect(nobody)"), "nobody"),
        ("jobs/sync.py", JOB.replace('"""Copy', 'import nosuch\n"""Copy'), "No module named 'nosuch'"),
        ("jobs/sync.py", JOB.replace("    open", "    yield\n    open"), "is a generator"),
    ],
)
def test_what_cannot_be_loaded_is_code_3_with_the_reason(
    sync: House, file: str, text: str, said: str
) -> None:
    sync.write(file, text)
    done = sync.call("run", "sync", "-p", "since=1", "--dry-run")
    assert done.code == 3
    assert said in done.out + done.err
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("db: nowhere:connect", "nowhere:connect cannot be loaded"),
        ("db: {factory: 'shop:connect', args: {size: 1}}", "its args do not fit"),
        ("db: shop:one\n  two: shop:two", "db -> two -> db"),
    ],
)
def test_a_service_that_cannot_be_made_is_missing_for_whoever_needs_it(
    house: House, services: str, said: str
) -> None:
    house.write("jobrunner.yaml", f"services:\n  {services}\n")
    house.write("shop.py", "def connect(): pass\ndef one(two): pass\ndef two(db): pass\n")
    house.write("jobs/a.py", "config = {'name': 'a', 'schedule': None}\ndef default(db): pass\n")
    house.job("b")
    done = house.call("run", "a", "--dry-run")
    assert done.code == 3
    assert said in told(done)["problem"]
    assert house.call("run", "b", "--dry-run").code == 0


def test_an_endless_import_is_given_up(sync: House) -> None:
    sync.write("jobs/sync.py", JOB + "\nimport time\ntime.sleep(600)\n")
    sync.write("jobrunner.yaml", "import_limit: 1s\n")
    done = sync.call("run", "sync", "-p", "since=1", "--dry-run")
    assert done.code == 3
    assert "longer than 1 s" in told(done)["problem"]


def test_what_virtualize_may_bring_is_not_missing(sync: House) -> None:
    sync.write("services.py", SERVICES + "\n\ndef virtualize(container, params):\n    params['since'] = 1\n")
    done = sync.call("run", "sync", "--dry-run")
    assert done.code == 0
    assert "virtualize in services.py may bring it" in told(done)["arguments"]


# -- what is in the way --------------------------------------------------------------------------------------


ARGS = ("run", "sync", "-p", "since=1", "--dry-run")


def test_a_busy_job_would_be_refused_with_the_run_in_the_way_unless_forced(sync: House) -> None:
    run = sync.ran("sync", "running")
    done = sync.call(*ARGS)
    assert done.code == 4
    assert f"it would be refused: sync is busy: run {run.id} is running since 2" in told(done)["now"]
    found = sync.call(*ARGS, "--json").json
    assert (found["wouldRun"], found["refused"]["run"]) == (False, run.id)
    assert sync.call("run", "sync", "-p", "since=1").code == 4  # and so it is
    assert sync.call(*ARGS, "--force").code == 0


def test_what_a_dead_node_ran_is_in_nobodys_way(sync: House) -> None:
    sync.ran("sync", "running", dead=True)
    assert sync.call(*ARGS).code == 0


def test_a_job_that_runs_beside_itself_would_not_be_refused(sync: House) -> None:
    sync.write("jobs/sync.py", JOB.replace('"retries": 2', '"concurrency": "allow"'))
    sync.ran("sync", "running")
    done = sync.call(*ARGS)
    assert done.code == 0
    assert "starts beside other runs" in told(done)["policy"]


def test_a_full_group_would_refuse_it(house: House) -> None:
    house.job("a", group="g")
    house.job("b", group="g")
    run = house.ran("a", "running")
    found = house.call("run", "b", "--dry-run", "--json")
    assert (found.code, found.json["refused"]["run"]) == (4, run.id)
    assert "group g, of which 1 may run at once" in found.json["refused"]["reason"]
    assert house.call("run", "b").code == 4  # and so it is


def test_a_call_that_waits_for_its_moment_is_in_nobodys_way(house: House) -> None:
    house.write(
        "jobs/a.py",
        "config = {'name': 'a', 'schedule': None}\n"
        "def default(scheduler, again=True):\n"
        "    return again and scheduler.run_after('1h', 'a', again=False)\n",
    )
    waiting = house.process("run", "a").json
    assert [run["id"] for run in house.call("pending", "--json").json] == [waiting]
    assert house.call("run", "a", "--dry-run").code == 0
    assert house.process("run", "a", "-p", "again=no").code == 0


def test_a_schedule_that_rests_is_said_and_does_not_refuse(sync: House) -> None:
    sync.register()
    assert sync.call("disable", "sync", "--reason", "too slow").code == 0
    done = sync.call(*ARGS)
    assert done.code == 0
    assert told(done)["schedule"].startswith("rests: disabled")
    assert "too slow" in told(done)["schedule"]
    assert sync.call("enable", "sync").code == 0
    assert sync.call("pause").code == 0
    assert told(sync.call(*ARGS))["schedule"].startswith("rests: paused by")


def test_what_is_secret_is_hidden(sync: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "correct-horse")
    for more in ((), ("--json",)):
        done = sync.call("run", "sync", "-p", "since=correct-horse", "--dry-run", *more)
        assert done.code == 0
        assert "correct-horse" not in done.out
        assert "***" in done.out


def test_an_unknown_job_and_a_misspelt_param_are_refused_as_by_a_run(sync: House) -> None:
    assert sync.call("run", "snyc", "--dry-run").code == 3
    sync.write("services.py", SERVICES.replace("ctx", ""))
    sync.write("jobs/sync.py", JOB.replace("ctx, ", ""))
    done = sync.call("run", "sync", "-p", "sinc=1", "--dry-run")
    assert (done.code, done.out) == (2, "")
    assert "did you mean since?" in done.err


def test_services_that_cannot_be_registered_fail_every_run(house: House) -> None:
    house.job("b")
    house.write("services.py", "def register(container):\n    1 / 0\n")
    done = house.call("run", "b", "--dry-run")
    assert done.code == 3
    assert "services.py:2: services cannot be registered: ZeroDivisionError" in told(done)["problem"]
    assert house.process("run", "b").code == 1  # and so it is
