"""`state` keeps JSON by key: at once, or gathered until the run succeeds."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import documents
from jobrunner.documents import State
from jobrunner.effects import layer
from jobrunner.errors import BadArgument, JobrunnerError
from jobrunner.fingerprint import of_versions
from tests.container.fakenode import FakeNode


@pytest.fixture(params=[False, True], ids=["at-once", "gathered"])
def state(request: pytest.FixtureRequest, node: FakeNode) -> State:
    """A state of either kind."""
    return State(node.line, gathered=request.param)


def test_a_run_finds_what_it_has_written(state: State, node: FakeNode) -> None:
    node.write("a/1", {"n": 1})
    node.write("b", 2)
    state.set("a/2", [1, "ü", None, True, 1.5])
    assert (state.get("a/1"), state.get("a/2"), state.get("none")) == (
        {"n": 1},
        [1, "ü", None, True, 1.5],
        None,
    )
    assert ("a/1" in state, "none" in state, state.get("none", 7)) == (True, False, 7)
    assert state.list("a/") == {"a/1": {"n": 1}, "a/2": [1, "ü", None, True, 1.5]}
    assert list(state.list()) == ["a/1", "a/2", "b"]
    assert (state.delete("a/1"), state.delete("a/1"), state.delete("none")) == (True, False, False)
    assert ("a/1" in state, state.get("a/1", 0), list(state.list())) == (False, 0, ["a/2", "b"])
    state.set("a/1", "again")
    assert (state.get("a/1"), state.delete("a/1"), state.get("a/1")) == ("again", True, None)


def test_none_is_a_value_like_any_other(state: State) -> None:
    state.set("k", None)
    assert ("k" in state, state.get("k", 5), state.list()) == (True, None, {"k": None})


def test_what_is_returned_is_the_callers_own(state: State) -> None:
    value = {"rows": [1]}
    state.set("k", value)
    value["rows"].append(2)
    state.get("k")["rows"].append(3)
    state.list()["k"]["rows"].append(4)
    assert state.get("k") == {"rows": [1]}


@pytest.mark.parametrize("key", ["", "x" * 513, "a\nb", "\x00", "\x7f", "a\ud800", 5, None, b"k"])
def test_a_key_that_is_none_is_an_error_that_names_it(state: State, node: FakeNode, key: Any) -> None:
    for ask in (state.get, state.delete, state.__contains__, lambda key: state.set(key, 1)):
        with pytest.raises(BadArgument) as caught:
            ask(key)
        assert caught.value.argument == "key"
        assert "key" in caught.value.message
    assert node.heard == []
    state.set("ü" * 512, 1)
    assert state.get("ü" * 512) == 1


@pytest.mark.parametrize("prefix", ["x" * 513, "a\n", 5, None])
def test_a_prefix_that_is_none_is_an_error_that_names_it(state: State, prefix: Any) -> None:
    with pytest.raises(BadArgument) as caught:
        state.list(prefix)
    assert caught.value.argument == "prefix"


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, b"x", float("nan"), float("inf"), {"a": {"b": object()}}, "x" * (1 << 20), "\ud800",
        nested(101), nested(100_000), {(1, 2): 3}, 10**5000,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_that_cannot_be_kept_is_an_error_that_names_it(
    state: State, node: FakeNode, value: Any
) -> None:
    with pytest.raises(BadArgument, match="value") as caught:
        state.set("k", value)
    assert caught.value.argument == "value"
    assert node.heard == []
    assert "k" not in state


def test_a_value_of_one_mebibyte_is_kept(state: State) -> None:
    for value in ("x" * ((1 << 20) - 2), "\x01" * 170_000, nested(100)):
        state.set("k", value)
        assert state.get("k") == value


def test_a_run_writes_no_more_documents_than_it_may(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_DOCUMENTS", 5)
    for n in range(20):
        state.set(f"k{n % 5}", n)  # the same five again and again
    with pytest.raises(BadArgument, match="k5 would be one document more than the 5") as caught:
        state.set("k5", 1)
    assert caught.value.argument == "key"
    assert len(state.list()) == 5


def test_a_run_writes_no_more_bytes_than_it_may(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 1000)
    for _ in range(10):
        state.set("k", "x" * 900)
    with pytest.raises(BadArgument, match=r"value: .* 1,00\d bytes") as caught:
        state.set("l", "x" * 103)
    assert caught.value.argument == "value"
    state.set("k", "")
    state.set("l", "x" * 900)


# -- at once -----------------------------------------------------------------------------------------


def test_a_write_at_once_is_with_the_node_when_set_returns(node: FakeNode) -> None:
    state = State(node.line, gathered=False)
    state.set("k", 1)
    assert node.documents["k"][0] == 1
    assert state.delete("k")
    assert node.documents == {}
    node.line.close(well=True)
    assert [verb for verb, _ in node.heard] == ["state.write", "state.write"]


def test_a_write_of_a_run_that_was_given_up_is_an_error(node: FakeNode) -> None:
    node.refuse["state.write"] = {"code": "superseded", "message": "this run was given up", "hint": None}
    with pytest.raises(JobrunnerError, match="given up"):
        State(node.line, gathered=False).set("k", 1)


# -- gathered ----------------------------------------------------------------------------------------


def test_a_gathered_write_is_nobodys_until_it_is_told(node: FakeNode) -> None:
    state = State(node.line, gathered=True)
    state.set("k", 1)
    assert node.heard == []
    assert node.line.effects.told() == {"writes": [["k", 1, False]]}


def test_what_was_read_is_noted_with_its_version_and_own_writes_are_not(node: FakeNode) -> None:
    node.write("a", 1)
    node.write("b", 2)
    state = State(node.line, gathered=True)
    state.get("b")
    assert "none" not in state
    state.set("own", 1)
    state.get("own")
    assert node.line.effects.reads == {"b": 2, "none": 0}


def test_to_delete_what_is_not_there_changes_nothing_and_is_a_read(node: FakeNode) -> None:
    state = State(node.line, gathered=True)
    assert not state.delete("k")
    assert node.line.effects.told() == {"reads": {"k": 0}}


def test_a_list_is_noted_as_the_node_has_it_without_the_runs_own_writes(node: FakeNode) -> None:
    for n in range(5):
        node.write(f"a/{n}", n)
    state = State(node.line, gathered=True)
    state.set("a/9", 9)
    state.delete("a/0")
    assert list(state.list("a/")) == ["a/1", "a/2", "a/3", "a/4", "a/9"]
    digest = of_versions((f"a/{n}", n + 1) for n in range(5))
    assert node.line.effects.prefixes == {"a/": digest}


def test_a_document_that_changes_between_two_reads_makes_the_run_stale(node: FakeNode) -> None:
    state = State(node.line, gathered=True)
    node.write("k", 1)
    assert state.get("k") == 1
    node.write("k", 2)
    assert state.get("k") == 2
    assert node.line.effects.reads["k"] not in (1, 2)


def test_a_step_that_fails_has_written_nothing(node: FakeNode) -> None:
    state = State(node.line, gathered=True)
    state.set("k", "run")
    with pytest.raises(ZeroDivisionError), layer(node.line.effects):
        state.set("k", "step")
        assert state.get("k") == "step"
        raise ZeroDivisionError
    assert state.get("k") == "run"
    with layer(node.line.effects):
        state.set("k", "step")
    assert state.get("k") == "step"
