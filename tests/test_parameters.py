"""Params held against what a function takes: their names, and their types."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import parameters
from jobrunner.errors import BadArgument
from jobrunner.model import Parameter
from jobrunner.parameters import OTHERS


def one(kind: str = "", **more: Any) -> tuple[Parameter, ...]:
    return (Parameter("x", kind, **more),)


def read(text: str, takes: tuple[Parameter, ...] | None, own: dict[str, Any] | None = None) -> Any:
    return parameters.typed(takes, own or {}, [("x", text)])["x"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "42", 42),
        ("int", "-1", -1),
        ("float", "5", 5.0),
        ("float", "1e3", 1000.0),
        ("bool", "yes", True),
        ("bool", "TRUE", True),
        ("bool", "1", True),
        ("bool", "no", False),
        ("bool", "0", False),
        ("bool", "false", False),
        ("str", "42", "42"),
        ("str", "null", "null"),
        ("str", '"7"', '"7"'),
        ("str", "NaN", "NaN"),
        ("list", "[1, 2]", [1, 2]),
        ("list[int]", "[1, 2]", [1, 2]),
        ('Literal["fast", 2, true]', "fast", "fast"),
        ('Literal["fast", 2, true]', "2", 2),
        ('Literal["fast", 2, true]', "true", True),
        ('Literal["null"]?', "null", None),
        ("dict", '{"a": 1}', {"a": 1}),
        ("date", "2026-05-01", "2026-05-01"),
        ("datetime", "2026-05-01T09:30:00+02:00", "2026-05-01T09:30:00+02:00"),
        ("int?", "null", None),
        ("int?", "3", 3),
        ("str?", "null", None),
        ("str?", "x", "x"),
        ("", "3", 3),
        ("", "a b", "a b"),
        ("", "null", None),
        ("Database", "[1]", [1]),
    ],
)
def test_a_text_becomes_a_value_of_the_annotated_type(kind: str, text: str, value: Any) -> None:
    found = read(text, one(kind))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("int", "abc", 'x: "abc" is no int'),
        ("int", "1.5", 'x: "1.5" is no int'),
        ("int", "", 'x: "" is no int'),
        ("int", "null", 'x: "null" is no int'),
        ("int", "1" * 5000, "is no int"),
        ("float", "nan", 'x: "nan" is no float'),
        ("float", "1e999", "is no float"),
        ("bool", "maybe", 'x: "maybe" is no bool'),
        ("list", '{"a": 1}', "is no list"),
        ("list", "[", "is no list"),
        ("list[int]", '["1"]', "is no list[int]"),
        ("dict[str, int]?", '{"a": "b"}', "is no dict[str, int]"),
        ('Literal["fast", 2]', "slow", 'is none of "fast", 2'),
        ("dict", "[1]", "is no dict"),
        ("dict", "[" * 100_000, "is no dict"),
        ("date", "tomorrow", 'x: "tomorrow" is no date'),
        ("date", "2026-02-30", "is no date"),
        ("datetime", "noon", "is no datetime"),
        ("int?", "abc", "is no int"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_by_the_param_s_name(kind: str, text: str, said: str) -> None:
    with pytest.raises(BadArgument) as caught:
        read(text, one(kind))
    assert said in caught.value.message
    assert caught.value.argument == "x"


@pytest.mark.parametrize(
    ("default", "own", "text", "value"),
    [
        (1, None, "2", 2),
        (1, None, "2.5", 2.5),
        (True, None, "no", False),
        ("a", None, "42", "42"),
        ([1], None, "[2]", [2]),
        (None, None, "42", 42),
        (None, "a", "42", "42"),
        (None, False, "yes", True),
        (1, None, "null", None),
        ("a", None, "null", "null"),
    ],
)
def test_without_an_annotation_the_default_s_type_counts_or_that_of_the_job_s_own_param(
    default: Any, own: Any, text: str, value: Any
) -> None:
    found = read(text, one("", required=False, default=default), {"x": own} if own is not None else {})
    assert (found, type(found)) == (value, type(value))
    assert read(text, None, {"x": own if default is None else default}) == value


def test_without_one_a_text_that_is_no_number_is_refused_for_a_number() -> None:
    with pytest.raises(BadArgument, match='x: "abc" is no number'):
        read("abc", one("", required=False, default=5))


# -- names ---------------------------------------------------------------------------------------------


def test_a_param_that_nothing_takes_is_refused_with_near_names() -> None:
    takes = (Parameter("rows", "int"), Parameter("since"))
    with pytest.raises(BadArgument, match='sync has no param "rosw"') as caught:
        parameters.check("sync", takes, {"full": True}, {"since": 1, "rosw": 2})
    assert (caught.value.argument, caught.value.hint) == ("rosw", "did you mean rows?")
    with pytest.raises(BadArgument) as caught:
        parameters.check("sync", takes, {"full": True}, {"zzz": 2})
    assert caught.value.hint == "it takes full, rows, since"
    with pytest.raises(BadArgument) as caught:
        parameters.check("sync", (), {}, {"zzz": 2})
    assert caught.value.hint == "it takes none"


def test_the_job_s_own_params_and_those_of_its_function_are_accepted() -> None:
    parameters.check("sync", (Parameter("rows"),), {"full": True}, {"rows": 1, "full": False})


@pytest.mark.parametrize("takes", [None, (OTHERS,), (Parameter("rows"), OTHERS)])
def test_where_any_param_may_be_looked_at_every_name_is_accepted(takes: tuple[Parameter, ...] | None) -> None:
    parameters.check("sync", takes, {}, {"zzz": 1})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", [1, -1], ["1", 1.5, True, None, [1]]),
        ("int?", [1, None], ["1"]),
        ("float", [1, 1.5], ["1", False]),
        ("bool", [True], [1, "true"]),
        ("str", ["a"], [1, None]),
        ("list", [[1]], ["[1]", {}]),
        ("list[int]", [[], [1]], [["1"], [1, None], 1, [True]]),
        ("list[int?]", [[1, None]], [["1"]]),
        ("dict[str, date]", [{}, {"a": "2026-05-01"}], [{"a": "May"}, []]),
        ('Literal["a", 1]', ["a", 1], ["b", True, 1.0, None, "1"]),
        ('Literal["a"]?', ["a", None], [""]),
        ("dict", [{}], [[], "{}"]),
        ("date", ["2026-05-01"], ["soon", 20260501]),
        ("datetime", ["2026-05-01T10:00:00Z"], ["soon", 5]),
        ("", [1, "a", None], []),
        ("Database", [1, "a", None], []),
    ],
)
def test_a_value_is_held_to_the_annotated_type(kind: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        parameters.check("sync", one(kind), {}, {"x": value})
    for value in bad:
        with pytest.raises(BadArgument, match=r"^x: .* is no(ne of)? ") as caught:
            parameters.check("sync", one(kind), {}, {"x": value})
        assert caught.value.argument == "x"


def test_missing_are_those_without_a_value_that_no_service_of_ours_brings() -> None:
    takes = (
        Parameter("logger"), Parameter("state"), Parameter("a"), Parameter("b"), Parameter("c"),
        Parameter("d", required=False), OTHERS,
    )  # fmt: skip
    assert parameters.missing(takes, {"b": 1}, {"c": None}) == ["a"]
    assert parameters.missing(None, {}, {}) == []
