"""What a job's function takes, as its file says it without being executed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jobrunner import settings
from jobrunner.model import Job, Parameter
from jobrunner.parameters import OTHERS
from jobrunner.registry import Registry

CONFIG = 'config = {"name": "a", "schedule": None}\n'


def job(root: Path, text: str) -> Job:
    (root / "jobs").mkdir(exist_ok=True)
    (root / "jobs/a.py").write_text(CONFIG + text, "utf-8")
    return Registry.load(settings.load({"project": str(root)}, {"PATH": os.defpath})).find("a")


def taken(root: Path, signature: str) -> tuple[Parameter, ...] | None:
    return job(root, f"def default({signature}): pass\n").parameters


@pytest.mark.parametrize(
    ("signature", "kind"),
    [
        ("x", ""),
        ("x: int", "int"),
        ("x: 'int'", "int"),
        ("x: int | None", "int?"),
        ("x: 'None | int'", "int?"),
        ("x: Optional[int]", "int?"),
        ("x: typing.Optional[list[int]]", "list[int]?"),
        ("x: Union[int, None]", "int?"),
        ("x: int | str", ""),
        ("x: int | str | None", "?"),
        ("x: list[int]", "list[int]"),
        ("x: list[int | None]", "list[int?]"),
        ("x: list[list[int]]", "list"),
        ("x: list[Shop]", "list"),
        ("x: dict[str, float]", "dict[str, float]"),
        ("x: dict[int, float]", "dict"),
        ("x: Literal['a', 'b']", 'Literal["a", "b"]'),
        ("x: typing.Literal[1, True, None]", "Literal[1, true]?"),
        ("x: Literal['a'] | None", 'Literal["a"]?'),
        ("x: Literal[Kind.A]", ""),
        ("x: dict[str, Any]", "dict"),
        ("x: List[int]", "list[int]"),
        ("x: Annotated[float, 'm']", "float"),
        ("x: date", "date"),
        ("x: datetime.date", "date"),
        ("x: dt.datetime", "datetime"),
        ("x: Any", ""),
        ("x: shop.Database", "Database"),
        ("x: 'no type ['", ""),
        ("x: f()", ""),
        ("x: None", ""),
    ],
)
def test_an_annotation_names_the_type(tmp_path: Path, signature: str, kind: str) -> None:
    assert taken(tmp_path, signature) == (Parameter("x", kind),)


@pytest.mark.parametrize(
    ("signature", "found"),
    [
        ("x=5", ("", 5)),
        ("x: float = 1.5", ("float", 1.5)),
        ("x='a'", ("", "a")),
        ("x=-1", ("", -1)),
        ("x=(1, 2)", ("", [1, 2])),
        ("x={'a': [True]}", ("", {"a": [True]})),
        ("x=None", ("?", None)),
        ("x: int = None", ("int?", None)),
        ("x: date = date.today()", ("date", None)),
        ("x=b'bytes'", ("", None)),
        ("x=1e999", ("", None)),
        ("x={1: 2}", ("", None)),
        ("*, x=5", ("", 5)),
        ("*rest, x=5", ("", 5)),
    ],
)
def test_a_default_makes_it_optional_and_is_kept_where_it_is_json(
    tmp_path: Path, signature: str, found: tuple[str, Any]
) -> None:
    kind, default = found
    assert taken(tmp_path, signature) == (Parameter("x", kind, False, default),)


def test_the_last_of_several_have_the_defaults(tmp_path: Path) -> None:
    found = taken(tmp_path, "a, /, b, c=1, *, d, e=2") or ()
    assert [(one.name, one.required, one.default) for one in found] == [
        ("a", True, None), ("b", True, None), ("c", False, 1), ("d", True, None), ("e", False, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("taker", ["container", "ctx", "params", "**more"])
def test_whoever_may_look_at_any_param_takes_others_too(tmp_path: Path, taker: str) -> None:
    assert taken(tmp_path, f"{taker}") == (OTHERS,)
    if taker != "**more":
        assert taken(tmp_path, f"{taker}, rows: int") == (Parameter("rows", "int"), OTHERS)


@pytest.mark.parametrize(
    "text",
    [
        "@other\ndef default(x): pass\n",
        "default = print\n",
        "if True:\n    def default(x): pass\n",
        "def default(x): pass\ndefault = other(default)\n",
        "def only(x): pass\nonly = other(only)\n",
        "from math import *\ndef default(x): pass\n",
        "from elsewhere import default\n",
        "class default:\n    def run(self): pass\ndef helper(x): pass\n",
        "def default(x): pass\ndef default(x, y): pass\n",
    ],
)
def test_what_is_not_plainly_written_is_not_guessed(tmp_path: Path, text: str) -> None:
    assert job(tmp_path, text).parameters is None


def test_the_only_public_function_counts_and_may_be_async(tmp_path: Path) -> None:
    found = job(tmp_path, "def _helper(y): pass\nasync def sync(x): pass\n").parameters
    assert found == (Parameter("x"),)


def test_a_computed_config_keeps_nobody_from_reading_the_function(tmp_path: Path) -> None:
    text = 'config["description"] = "more"\ndef default(x: int): pass\n'
    assert job(tmp_path, text).parameters == (Parameter("x", "int"),)


SERVICES = "def register(container): pass\n"
LOOKING = "def virtualize(container, params): pass\n"


def test_services_that_look_at_params_take_others_and_make_it_another_definition(tmp_path: Path) -> None:
    (tmp_path / "services.py").write_text(SERVICES)
    before = job(tmp_path, "def default(x): pass\n")
    (tmp_path / "services.py").write_text(SERVICES + LOOKING)
    after = job(tmp_path, "def default(x): pass\n")
    assert (before.parameters, after.parameters) == ((Parameter("x"),), (Parameter("x"), OTHERS))
    assert before.hash != after.hash


def test_what_the_cache_says_of_parameters_follows_the_services(tmp_path: Path) -> None:
    (tmp_path / ".jobrunner").mkdir(0o700)  # so that there is a cache
    before = job(tmp_path, "def default(x): pass\n")
    assert (tmp_path / ".jobrunner/cache/jobs.json").exists()
    (tmp_path / "services.py").write_text(SERVICES + LOOKING)
    registry = Registry.load(settings.load({"project": str(tmp_path)}, {"PATH": os.defpath}))
    assert registry.summaries[0].hash == registry.find("a").hash != before.hash


def test_what_the_cache_keeps_is_what_was_read(tmp_path: Path) -> None:
    (tmp_path / ".jobrunner").mkdir(0o700)
    text = "def default(x: int | None, y={'a': [1]}, *, z: date, **more): pass\n"
    first = job(tmp_path, text).parameters
    again = Registry.load(settings.load({"project": str(tmp_path)}, {"PATH": os.defpath})).find("a")
    assert again.parameters == first
    assert first == (
        Parameter("x", "int?"), Parameter("y", "", False, {"a": [1]}), Parameter("z", "date"), OTHERS
    )  # fmt: skip
