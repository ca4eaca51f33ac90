"""What the fuzzer starts from, and what it has found, keeps its promises; without the fuzzer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.targets import TARGETS

FILES = sorted(path for path in fuzz.CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_of_the_corpus_breaks_no_promise(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_each_target_has_a_corpus_and_can_be_asked_for() -> None:
    assert {path.parent.name for path in FILES} == TARGETS.keys() == set(fuzz.NAMES)


def test_without_the_fuzzer_it_is_said_in_one_sentence_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(sys, "argv", ["fuzz"])
    assert fuzz.main() == 2
    assert capsys.readouterr().err == f"{fuzz.ABSENT}\n"
