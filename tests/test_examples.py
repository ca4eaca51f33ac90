"""The jobs in examples/ do their work, on their real input, by the real command line."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
LIMITS = {
    "import-orders": 3,
    "billing/write-invoices": 2,
    "check-links": 2,
    "compress-logs": 1,
    "count-visits": 3,
    "forecast": 1,
    "publish-reports": 1,
}  # fmt: skip


class Shop:
    """A copy of the examples; `jobrunner` is called in it as a person would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root / "output"
        shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("output", ".jobrunner", "__pycache__"))

    def call(self, *args: str) -> subprocess.CompletedProcess[str]:
        keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "jobrunner", *args],
            cwd=self.root, env=keep, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def run(self, name: str, *args: str) -> Any:
        """Run a job by hand and return its result."""
        done = self.call("run", name, *args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rows(self, sql: str, database: str = "warehouse.db") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.output / database)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


def orders() -> list[dict[str, str]]:
    found = []
    for file in sorted((EXAMPLES / "data" / "orders").glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as lines:
            found += list(csv.DictReader(lines))
    return found


def test_examples_pass_check_strictly(shop: Shop) -> None:
    done = shop.call("check", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "9 jobs, no problems"


def test_each_example_is_short_and_says_what_it_does() -> None:
    files = sorted((EXAMPLES / "jobs").glob("*.py"))
    assert len(files) == 9
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith('"""') and len(text.splitlines()) < 60


def test_orders_are_imported_once_each(shop: Shop) -> None:
    assert shop.run("import-orders") == {"files": 3, "new": 36}
    assert shop.run("import-orders") == {"files": 3, "new": 0}
    assert shop.rows("SELECT count(*), sum(cents) FROM orders") == [
        (36, sum(int(row["cents"]) for row in orders()))
    ]


def test_an_invoice_for_each_customer_and_month_and_never_a_second_one(shop: Shop) -> None:
    shop.run("import-orders")
    due = {(row["customer"], row["date"][:7]) for row in orders() if row["date"] < "2025-03"}
    first = shop.run("billing/write-invoices")
    assert len(first["written"]) == len(due)
    assert shop.run("billing/write-invoices") == {"written": []}
    march = shop.run("billing/write-invoices", "-p", "until=2025-03", "-p", "currency=CHF")
    files = sorted((shop.output / "invoices").iterdir())
    assert [int(file.stem) for file in files] == first["written"] + march["written"]
    assert "CHF" in files[-1].read_text("utf-8")
    net = sum(int(row["cents"]) for row in orders())
    assert shop.rows("SELECT sum(net) FROM invoices") == [(net,)]


def test_links_are_checked_over_http(shop: Shop) -> None:
    report = shop.run("check-links")
    assert report == {"checked": 4, "broken": ["/team.html"]}
    assert json.loads((shop.output / "links.json").read_text("utf-8")) == report


def test_logs_are_compressed_once_and_can_be_read_again(shop: Shop) -> None:
    assert shop.run("compress-logs") == {"compressed": ["web.log", "worker.log"]}
    assert shop.run("compress-logs") == {"compressed": []}
    log = shop.root / "data" / "logs" / "web.log"
    log.write_bytes(log.read_bytes() + b"one more line\n")
    assert shop.run("compress-logs") == {"compressed": ["web.log"]}
    assert gzip.decompress((shop.output / "logs" / "web.log.gz").read_bytes()) == log.read_bytes()


def test_the_forecast_is_a_computation_that_can_be_repeated(shop: Shop) -> None:
    days = shop.run("forecast", "-p", "rounds=4000")
    assert 20 < days["50 %"] < days["80 %"] < days["95 %"] < 85
    assert shop.run("forecast", "-p", "rounds=4000") == days
    assert shop.run("forecast", "-p", "rounds=4000", "-p", "seed=2") != days


def test_each_request_is_counted_once_from_where_the_last_run_stopped(shop: Shop) -> None:
    assert [shop.run("count-visits")["requests"] for _ in range(4)] == [60, 60, 30, 0]
    log = shop.root / "data" / "logs" / "web.log"
    log.write_bytes(log.read_bytes() + b"2025-04-01T06:00:00Z web-1 GET / 200 1ms\n2025-04-01T06:0")
    assert shop.run("count-visits") == {"requests": 1}, (
        "a line that is not whole yet is left for the next run"
    )
    with (shop.output / "visits.csv").open(newline="", encoding="utf-8") as lines:
        counted = [int(number) for _, _, number in csv.reader(lines)]
    assert sum(counted) == 151


def test_reports_are_published_when_all_are_there(shop: Shop) -> None:
    done = shop.call("run", "publish-reports")
    assert done.returncode == 1
    assert "not there yet: links.json, visits.csv" in done.stderr
    shop.run("check-links")
    shop.run("count-visits")
    assert shop.run("publish-reports") == {"published": ["links.json", "visits.csv"]}
    assert sorted(file.name for file in (shop.output / "public").iterdir()) == ["links.json", "visits.csv"]


def test_an_order_is_shipped_in_five_steps_or_taken_back(shop: Shop) -> None:
    told = ["1017-to-customer.txt", "1017-to-store.txt"]
    assert shop.run("ship-order") == {"parcel": "1017-label.txt", "told": told}
    shipping = shop.output / "shipping"
    assert len(list(shipping.iterdir())) == 5
    shutil.rmtree(shipping)
    assert shop.call("run", "ship-order", "-p", "stamps=0").returncode == 1
    assert list(shipping.iterdir()) == []
    newest = json.loads(shop.call("history", "--json").stdout)[0]
    steps = json.loads(shop.call("show", str(newest["id"]), "--json").stdout)["steps"]
    assert [(each["path"], each["state"], (each["undo"] or {}).get("state")) for each in steps] == [
        ("reserve", "done", "done"),
        ("charge", "done", "done"),
        ("label", "failed", None),
    ]


def test_the_backup_is_whole(shop: Shop) -> None:
    shop.run("import-orders")
    assert shop.run("backup-warehouse")["orders"] == 36
    assert shop.rows("PRAGMA integrity_check", "backup.db") == [("ok",)]
    assert shop.rows("SELECT count(*) FROM orders", "backup.db") == [(36,)]


def test_the_schedule_does_the_whole_job_within_a_minute(shop: Shop) -> None:
    done = shop.call("start", "--until-done")
    assert done.returncode == 0, done.stderr
    jobs = {job["id"]: job for job in json.loads(shop.call("ls", "--json").stdout)}
    assert {name: job["executions"] for name, job in jobs.items() if job["state"] == "finished"} == LIMITS
    assert jobs["backup-warehouse"]["state"] == jobs["ship-order"]["state"] == "on-demand"
    runs = json.loads(shop.call("history", "--json").stdout)
    assert len([run for run in runs if run["state"] == "succeeded"]) == sum(LIMITS.values())
    failed = [run for run in runs if run["state"] not in ("succeeded", "skipped")]
    assert {(run["job"], run["state"]) for run in failed} == {("publish-reports", "failed")}
    assert len({run["rootId"] for run in runs if run["job"] == "publish-reports"}) == 1, "attempts of one run"
    journal = (shop.output / "journal.txt").read_text("utf-8").splitlines()
    assert sorted(line.split()[1:] for line in journal) == sorted(
        [name, "succeeded"] for name, limit in LIMITS.items() for _ in range(limit)
    )
