"""What the benchmarks make of their figures. That they measure is seen by `make bench-short`."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import cost, growth, measure, processes, report, short
from benchmarks.measure import Contender, Metric, NotMeasured, Result, Row, System
from benchmarks.peers import environment
from benchmarks.peers.programs import body

OURS, PEER = System("jobrunner", "ours"), System("other")
RATE, TIME = Metric("rate", "calls/s", more=True), Metric("ms", "ms", more=False)


def row(system: System, **figures: list[float]) -> Row:
    return Row("work", system, figures)


def result(*rows: Row) -> Result:
    conditions = {**measure.conditions(3, [1.0, 2.5]), "when": "2026-01-01 00:00"}
    return Result("drain", "Drain", [RATE, TIME], list(rows), conditions)


def test_the_tables_in_the_page_are_what_the_files_say() -> None:
    text = report.PAGE.read_text("utf-8")
    assert report.page(text, report.results(report.RESULTS)) == text, "python -m benchmarks.report"


def test_each_file_of_figures_is_in_the_page() -> None:
    found = [path.stem for path in report.RESULTS.glob("*.json")]
    assert found, "python -m benchmarks.all"
    assert sorted(found) == sorted(each.name for each in report.results(report.RESULTS))


def test_a_changed_figure_changes_the_page() -> None:
    page = f"before\n{report.BEGIN}\n{report.END}\nafter\n"
    one, other = (report.page(page, [result(row(OURS, rate=[rate], ms=[1.0]))]) for rate in (100.0, 200.0))
    assert one != other
    assert report.page(one, [result(row(OURS, rate=[200.0], ms=[1.0]))]) == other


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks its marks"):
        report.page("nothing here", [])


def test_figures_are_the_medians_of_rounds_taken_in_turns() -> None:
    order = []

    def contender(name: str) -> Contender:
        def measured(folder: Path) -> dict[str, float]:
            order.append(name)
            return {"rate": float(len(order))}

        return Contender("work", System(name), measured)

    rows = measure.turns([contender("a"), contender("b")], 3, lambda line: None)
    assert order == ["a", "b"] * 3
    assert [measure.median(each, "rate") for each in rows] == [3.0, 4.0]


def test_what_is_not_there_is_said_and_stops_nobody() -> None:
    def lacking(folder: Path) -> dict[str, float]:
        raise NotMeasured("needs redis-server on PATH")

    rows = measure.turns(
        [Contender("work", PEER, lacking), Contender("work", OURS, lambda folder: {"rate": 1.0})],
        2, lambda line: None,
    )  # fmt: skip
    assert rows[0].note == "not measured: needs redis-server on PATH"
    assert rows[1].figures == {"rate": [1.0, 1.0]}
    assert "| not measured: needs redis-server on PATH |" in report.table(result(*rows))


def test_a_peer_that_fails_is_not_measured_and_ours_is_an_error() -> None:
    def failing(folder: Path) -> dict[str, float]:
        raise subprocess.CalledProcessError(1, ["x"], stderr="first\nno such table")

    rows = measure.turns([Contender("work", PEER, failing)], 1, lambda line: None)
    assert rows[0].note == "not measured: it failed: no such table"
    with pytest.raises(subprocess.CalledProcessError):
        measure.turns([Contender("work", OURS, failing)], 1, lambda line: None)


def test_a_ratio_above_one_means_that_ours_is_better() -> None:
    ours, peer = row(OURS, rate=[200.0], ms=[5.0]), row(PEER, rate=[100.0], ms=[20.0])
    assert report.ratio(RATE, ours, peer) == 2.0
    assert report.ratio(TIME, ours, peer) == 4.0
    assert "| 2× / 4× |" in report.table(result(ours, peer))


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = result(row(OURS, rate=[1.0, 2.0]), row(PEER))
    written.write(tmp_path / "drain.json")
    assert measure.read(tmp_path / "drain.json") == written


# -- the short form --------------------------------------------------------------------------------------


def test_a_ratio_may_fall_by_a_third_and_no_more() -> None:
    kept = {"drain": 3.0}
    assert short.complaints(kept, {"drain": 2.01}) == []
    assert short.complaints(kept, {"drain": 1.99}) == ["drain has fallen by more than a third: from 3× to 2×"]


def test_a_ratio_that_is_missing_is_a_complaint() -> None:
    assert short.complaints({"drain": 3.0}, {"drain": None}) == ["drain could not be measured; it was 3×"]
    assert short.complaints({"drain": 3.0}, {}) == ["drain could not be measured; it was 3×"]
    assert short.complaints({}, {"drain": 1.0}) == [
        "drain has no kept ratio: python -m benchmarks.short --keep"
    ]


def test_the_exit_code_says_whether_a_ratio_has_fallen() -> None:
    assert short.judge({"drain": 3.0}, {"drain": 3.0}) == 0
    assert short.judge({"drain": 3.0}, {"drain": 1.0}) == 1


def task(looks: list[list[float]], peer: float = 100.0) -> short.Task:
    """A task whose looks find these costs of ours, one after another."""

    def measure(turns: int, folder: Path) -> short.Both:
        return short.Both({"work": looks.pop(0)}, {"work": [peer] * turns})

    return short.Task("other", ("work",), measure, 5)


def test_what_has_fallen_is_looked_at_a_second_time_and_all_turns_count() -> None:
    recovers = [[100.0] * 5, [50.0] * 5, [0.0] * 5]
    assert short.look([task(recovers)], {"work": 2.0}) == {"work": 2.0}
    assert recovers == [[0.0] * 5]
    assert short.look([task([[100.0] * 5, [100.0] * 5])], {"work": 2.0}) == {"work": 1.0}


def test_what_has_not_fallen_is_looked_at_once() -> None:
    holds = [[50.0] * 5, [0.0] * 5]
    assert short.look([task(holds)], {"work": 2.0}) == {"work": 2.0}
    assert holds == [[0.0] * 5]


def test_a_ratio_is_kept_after_two_looks() -> None:
    looks = [[50.0] * 5, [50.0] * 5]
    assert short.look([task(looks)], {}) == {"work": 2.0}
    assert looks == []


def test_a_single_lucky_turn_and_many_disturbed_ones_change_no_ratio() -> None:
    assert short.look([task([[10.0, 50.0, 400.0, 700.0, 900.0]])], {"work": 2.0}) == {"work": 2.0}


def test_latency_is_not_judged_on_a_crowded_machine_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = itertools.count(0.0, 1000.0)
    monkeypatch.setattr(cost, "stalled", lambda: next(waited))
    latency, busy = task([[100.0], [100.0]])._replace(wall=True), task([[100.0], [100.0]])
    found = short.look([latency], {"work": 9.0})
    assert short.judge({"work": 9.0}, found) == 0
    assert short.keep({}, found) == 1
    assert short.judge({"work": 9.0}, short.look([busy], {"work": 9.0})) == 1


def test_who_cannot_be_measured_stops_nobody_else() -> None:
    def lacking(turns: int, folder: Path) -> short.Both:
        raise NotMeasured("needs huey, which could not be installed")

    without = short.Task("other", ("first", "second"), lacking, 1)
    found = short.look([without, task([[50.0]])], {"work": 2.0})
    assert found == {"first": None, "second": None, "work": 2.0}


def test_what_is_kept_is_what_is_measured() -> None:
    kept = json.loads(short.KEPT.read_text("utf-8"))
    assert sorted(kept) == sorted(name for each in short.tasks() for name in each.names)


# -- processes -------------------------------------------------------------------------------------------


def test_a_process_that_ends_by_itself_is_not_measured_and_its_last_words_are_said(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no such table')"]
    with (
        pytest.raises(NotMeasured, match="no such table"),
        processes.working([failing], tmp_path, os.environ) as found,
    ):
        found[0].wait(30)


def test_what_was_started_is_gone_afterwards_with_what_it_has_started(tmp_path: Path) -> None:
    shell = ["/bin/sh", "-c", "sleep 600 & echo $! > child; wait"]
    with processes.working([shell], tmp_path, os.environ) as found:
        assert processes.wait(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), 30)
        child = int((tmp_path / "child").read_text())
        assert child in processes.tree(found[0].pid)
        assert processes.tree_pss(found[0].pid) > 0
        assert processes.tree_cpu(found[0].pid) > 0
    assert processes.wait(lambda: ended(child), 30)


def ended(pid: int) -> bool:
    """Nobody may have buried it: then it is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_lines_say_when_a_body_began_and_when_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_OUT", str(tmp_path / "out"))
    before = time.time()
    body.note()
    body.note(1234.5)
    found = processes.lines(tmp_path / "out")
    assert processes.written(tmp_path / "out") == len(found) == 2
    assert [each.asked for each in found] == [0.0, 1234.5]
    assert before - 0.001 <= found[0].began <= found[1].began <= time.time()


# -- the rest --------------------------------------------------------------------------------------------


def test_the_slope_is_the_power_by_which_cost_grows() -> None:
    assert growth.slope({10: 5.0, 100: 5.0, 1000: 5.0}) == pytest.approx(0.0)
    assert growth.slope({10: 1.0, 100: 10.0, 1000: 100.0}) == pytest.approx(1.0)
    assert growth.slope({10: 1.0, 100: 100.0}) == pytest.approx(2.0)


def test_without_node_its_peers_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PLACE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    environment.folder.cache_clear()
    with pytest.raises(NotMeasured, match="needs node and npm"):
        environment.folder("bree")
    environment.folder.cache_clear()


def test_every_peer_is_pinned() -> None:
    pins = [pin for group in environment.PINS.values() for pin in group]
    assert [pin for pin in pins if "==" not in pin] == []
    assert [pin for group in environment.NODE_PINS.values() for pin in group if "@" not in pin] == []
