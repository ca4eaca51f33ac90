"""The outcome, from what is known: pure."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.executor import happened
from jobrunner.executor.ending import Asked, acceptable, by_exit, by_reply, exit_words
from jobrunner.executor.stopping import Escalation
from jobrunner.wire import Decoder, WireError, encode

CANCELED = {
    "state": "canceled",
    "result": None,
    "truncated": False,
    "error": {"type": "Canceled"},
    "fileHash": "h",
}


@pytest.mark.parametrize(
    "reply", [None, [], {}, {"state": "lost"}, {"state": "failed", "error": 1}, {"state": ["failed"]}]
)
def test_a_reply_of_another_shape_is_refused(reply: Any) -> None:
    with pytest.raises((WireError, TypeError)):
        by_reply(reply, None)


def test_a_complete_reply_decides_though_something_else_was_asked() -> None:
    reply = {"state": "succeeded", "result": 1, "truncated": False, "error": None, "fileHash": ""}
    assert by_reply(reply, Asked("timed_out", None, 5)).state == "succeeded"


def test_canceled_is_called_what_was_asked() -> None:
    assert by_reply(CANCELED, Asked("canceled", "shutdown")).reason == "shutdown"
    assert by_reply(CANCELED, Asked("timed_out", None, 1_500_000)).state == "timed_out"
    assert by_reply(CANCELED, None).state == "failed"


def test_a_run_that_goes_until_an_event_comes_is_waiting_unless_it_was_asked_to_end() -> None:
    reply = {"state": "waiting", "result": 5, "truncated": False, "error": None, "fileHash": "a" * 64}
    outcome = by_reply(reply, None)
    assert (outcome.state, outcome.result, outcome.file_hash) == ("waiting", None, "a" * 64)
    assert by_reply(reply, Asked("canceled", "shutdown")).reason == "shutdown"
    assert by_reply(reply, Asked("timed_out", None, 1_500_000)).state == "timed_out"


@pytest.mark.parametrize(
    ("verb", "size", "passes"),
    [("progress", 100, True), ("progress", 20_000, False), ("heartbeat", 20_000, False),
     ("state.write", 5_000_000, True), ("effects", 5_000_000, True), ("anything", 20_000, True)],
)  # fmt: skip
def test_what_is_kept_in_each_runs_row_is_bounded_and_what_is_asked_for_by_its_frame(
    verb: str, size: int, passes: bool
) -> None:
    assert acceptable(happened.Asked(1, 1, verb, {"message": "x" * size})) is passes


@pytest.mark.parametrize("request_", [("1", "call", {}), (1, 5, {}), (1, "call", [])])
def test_a_request_of_another_shape_breaks_the_wire(request_: Any) -> None:
    with pytest.raises(WireError):
        acceptable(happened.Asked(1, *request_))


def test_an_exit_without_a_reply_is_what_was_asked_or_a_crash() -> None:
    assert by_exit(-9, Asked("canceled", "replaced")).state == "canceled"
    assert by_exit(0, None).state == "failed"
    assert by_exit(-9, Asked("canceled", None), "broke the wire").error == {
        "type": "Crashed", "message": "broke the wire", "traceback": "", "phase": "body",
    }  # fmt: skip


def test_an_end_in_words() -> None:
    assert [exit_words(code) for code in (None, 0, -9, -63)] == [
        "its process is gone, nobody knows how",
        "exited with status 0 without a reply",
        "ended by signal 9 (SIGKILL)",
        "ended by signal 63",
    ]


def test_forged_data_is_made_fit_to_store() -> None:
    def forged(result: Any) -> Any:
        return by_reply({**CANCELED, "state": "succeeded", "error": None, "result": result}, None)

    assert forged("\ud800").result == "?"
    assert len(forged("x" * 10_000_000).result) < 300_000
    deep: Any = 0
    for _ in range(400):
        deep = [deep]
    assert forged(deep).truncated
    assert forged({"a": ["b" * 10]}).result == {"a": ["b" * 10]}


@pytest.mark.parametrize(
    "body", [b"NaN", b'{"a": NaN}', b"[" * 100_000, b"\xff", b'{"a": Infinity}', b"{", b"9" * 9999]
)
def test_a_frame_that_is_no_json_object_breaks_the_wire(body: bytes) -> None:
    with pytest.raises(WireError):
        list(Decoder().feed(len(body).to_bytes(4, "big") + body))


def test_frames_survive_any_cut() -> None:
    data = encode({"a": "ü"}) + encode({"b": [1, 2]})
    decoder, frames = Decoder(), []
    for at in range(len(data)):
        frames += list(decoder.feed(data[at : at + 1]))
    assert frames == [{"a": "ü"}, {"b": [1, 2]}]


def test_an_escalation_asks_then_terms_then_kills_and_insists() -> None:
    steps = Escalation(10.0, 4_000_000)
    assert [steps.next(now) for now in (10.0, 11.9, 12.0, 13.9, 14.0, 14.5, 15.0)] == [
        "message", None, "term", None, "kill", None, "kill",
    ]  # fmt: skip
    late = Escalation(10.0, 4_000_000)
    assert late.next(99.0) == "kill"
