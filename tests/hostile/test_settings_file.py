"""A hostile jobrunner.yaml is one sentence with a line, soon, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.errors import ConfigError
from jobrunner.settings import Settings, load

LAUGHS = "settings:\n" + "".join(
    f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}' if n else 'x'] * 9)}]\n" for n in range(12)
)
MERGES = "settings:\n" + "".join(
    f"  m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 3) if n else '{a: 1}'}]}}\n" for n in range(20)
)
REFUSED = {  # text -> (line, words)
    "slots: !!bool maybe\n": (1, "not of its type"),
    "grace: 3s\nslots: !!int ''\n": (2, "not of its type"),
    "slots: !!int '_'\n": (1, "not of its type"),
    "slots: !!float ''\n": (1, "not of its type"),
    "settings:\n  a: [1, {b: !!timestamp x}]\n": (2, "not of its type"),
    "settings:\n\n  a: 2001-01-01 00:00:00 +99:99\n": (3, "not of its type"),
    "slots: " + "9" * 5000 + "\n": (1, "not of its type"),
    "settings: " + "[" * 100_000: (1, "nested more than 100 deep"),
    "settings:\n " + "- " * 100_000: (2, "nested more than 100 deep"),
    "settings: " + "{a: " * 5_000: (1, "nested more than 100 deep"),
    "settings: &a [*a, *a]\n": (1, "part of itself"),
    "settings: &a {<<: *a}\n": (1, "part of itself"),
    LAUGHS: (8, "more than 1,000,000 values"),
    MERGES: (13, "more than 1,000,000 values"),
    "settings: &x {a: 3}\njobs:\n  <<: *x\n": (1, "jobs.a is 3"),
    'jobs: {"a\\e[31m": 3}\n': (1, "jobs.'a\\x1b[31m' is 3"),
    '"a\\e[31m": 3\n': (1, "is no setting"),
    "? [a]\n: 3\n": (1, "not a text"),
    "~: 3\n": (1, "not a text"),
    "!!set {a, b}\n": (1, "not a mapping"),
    "jobs: !!set {a, b}\n": (1, "not a folder"),
    "settings: !!omap [1]\n": (1, "not YAML"),
    "!python/object:os.system {}\n": (1, "not YAML"),
    "settings: {a: !!binary 'AAAA'}\n": (1, "is a bytes"),
    'settings: {a: "\\ud800"}\n': (1, "not YAML"),
    "a: 1\n---\nb: 2\n": (2, "not YAML"),
}


def settings(root: Path, text: str) -> Settings:
    (root / "jobrunner.yaml").write_text(text)
    return load({"project": str(root)}, {"TZ": "UTC"})


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_a_hostile_settings_file_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)
    line, words = REFUSED[text]
    assert (caught.value.file, caught.value.line) == ("jobrunner.yaml", line)
    assert words in caught.value.message
    assert caught.value.message.isprintable()


def test_what_is_merged_in_counts_as_if_it_were_written_there(tmp_path: Path) -> None:
    found = settings(tmp_path, "settings: &x {slots: 7, grace: 3s}\n<<: *x\ngrace: 4s\n")
    assert (found.slots, found.grace) == (7, 4_000_000)


def test_aliases_that_repeat_little_are_followed(tmp_path: Path) -> None:
    assert settings(tmp_path, "settings: {a: &a [1, 2], b: [*a, *a]}\n").settings["b"] == [[1, 2], [1, 2]]
