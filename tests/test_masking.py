"""Which values are secret, and that none of them gets through, however the bytes come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner import settings
from jobrunner.masking import Masker, secrets_of


@dataclass(frozen=True)
class Says:
    """As much of the settings as counts here."""

    secrets: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    state: str = "sqlite:////var/lib/app/state.db"


def found(environ: Mapping[str, str], says: Says | None = None) -> set[str]:
    return set(secrets_of(environ, says or Says()))


# --- which values are secret --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "API_TOKEN", "APP_SECRET", "DB_PASSWORD", "DB_PASSWD", "SSH_PASSPHRASE", "AWS_KEY", "AWS_CREDENTIALS",
        "SENTRY_DSN", "TOKEN", "password", "Api_Token", "dsn",
    ],
)  # fmt: skip
def test_a_variable_with_a_telling_name_is_secret(name: str) -> None:
    assert found({name: "hunter22"}) == {"hunter22"}


@pytest.mark.parametrize(
    "name", ["KEYBOARD", "MONKEY", "TOKENS", "SECRET_NAME", "PATH", "DB_PASSWORD_FILE", "X_KEY\n"]
)
def test_other_variables_are_not(name: str) -> None:
    assert found({name: "hunter22"}) == set()


def test_a_variable_that_the_setting_names_is_secret_in_any_case() -> None:
    assert found({"STRIPE": "sk_live_1", "OTHER": "shown"}, Says(frozenset({"stripe"}))) == {"sk_live_1"}


TREE = {
    "smtp": {"password": "p4ssw0rd", "host": "mail.example"},
    "hosts": [{"name": "first", "login": "one1"}, {"name": "second", "login": "two2"}],
    "vault": {"a": ["deep", {"b": "deeper"}], "pin": 123456, "open": True, "rate": 1.25, "none": None},
    "dotted.name": "with a dot",
}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("smtp.password", {"p4ssw0rd"}),
        ("SMTP.Password", {"p4ssw0rd"}),
        ("smtp", {"p4ssw0rd", "mail.example"}),
        ("hosts.login", {"one1", "two2"}),
        ("vault", {"deep", "deeper", "123456"}),
        ("dotted.name", {"with a dot"}),
        ("smtp.nothing", set()),
        ("password", set()),
    ],
)
def test_a_path_names_a_part_of_the_settings_with_all_its_texts(name: str, values: set[str]) -> None:
    assert found({}, Says(frozenset({name}), TREE)) == values


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("postgresql://me:hunter22@host:5432/db", {"hunter22"}),
        ("redis://:hunter22@host", {"hunter22"}),
        ("amqp://me:p%40ss%2Fword@host", {"p%40ss%2Fword", "p@ss/word"}),
        ("https://me:p@ss:word@host/x", {"p@ss:word"}),
        ("https://me:pass/word@host/x", {"pass/word"}),
        ("postgresql://host/db?user=me&password=hunter22&x=y", {"hunter22"}),
        ("mongodb://a:first1@one,mongodb://b:second2@two", {"first1", "second2"}),
        ("https://host:4873/@scope/package", set()),
        ("https://me@host/path:with@sign", set()),
        ("https://host/", set()),
        ("me:hunter22@host", set()),
        ("x://:%ff%fe%fd%fc%41@h", {"%ff%fe%fd%fc%41", "\udcff\udcfe\udcfd\udcfcA"}),
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "url", "MONGO_URI", None])
def test_passwords_in_urls_are_secret(url: str, values: set[str], name: str | None) -> None:
    assert (found({name: url}) if name else found({}, Says(state=url))) == values


def test_a_dsn_is_secret_as_a_whole_and_so_is_the_password_in_it() -> None:
    assert found({"APP_DSN": "mysql://me:hunter22@h"}) == {"mysql://me:hunter22@h", "hunter22"}


@pytest.mark.parametrize("value", ["", "1", "abc", " abc ", "true", "False", "none", "null", "default"])
def test_short_values_and_plain_words_are_left_out_since_hiding_them_would_destroy_every_log(
    value: str,
) -> None:
    assert found({"A_KEY": value}) == set()


def test_blanks_around_a_value_do_not_count() -> None:
    assert found({"A_KEY": " hunter22\n"}) == {"hunter22"}


def test_secrets_come_longest_first_and_once() -> None:
    environ = {"A_KEY": "four", "B_KEY": "longest", "C_KEY": "five5", "D_KEY": "four"}
    assert secrets_of(environ, Says()) == ("longest", "five5", "four")


def test_the_settings_of_a_project_name_secrets(tmp_path: Any) -> None:
    (tmp_path / "jobrunner.yaml").write_text(
        "secrets: [STRIPE, smtp.password]\nsettings: {smtp: {password: p4ssw0rd}}\n"
    )
    known = settings.load({"project": str(tmp_path)}, {})
    assert secrets_of({"STRIPE": "sk_live_1"}, known) == ("sk_live_1", "p4ssw0rd")
    other = settings.load({"project": str(tmp_path)}, {"JOBRUNNER_SECRETS": "A, b"})
    assert secrets_of({"a": "hunter22", "STRIPE": "shown"}, other) == ("hunter22",)


# --- texts and data -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("nothing here", "nothing here"),
        ("a hunter22 b hunter22", "a *** b ***"),
        ("hunter22hunter22", "******"),
        ("hunter222", "***"),  # the longer one
        ("xhunter2", "xhunter2"),
        ("say ünï/c@de", "say ***"),
        ("?p=%C3%BCn%C3%AF/c%40de", "?p=***"),
        ("?p=%C3%BCn%C3%AF%2Fc%40de", "?p=***"),
        ("overlap: tailtogether", "overlap: ***"),
    ],
)
def test_each_secret_becomes_three_stars(text: str, masked: str) -> None:
    masker = Masker(["hunter22", "hunter222", "ünï/c@de", "tailto", "together", ""])
    assert masker.text(text) == masked
    stream = masker.stream()
    assert stream.feed(text.encode()) + stream.end() == masked.encode()


@given(st.text(min_size=1).filter(lambda secret: "|" not in secret))
def test_a_secret_is_known_as_urllib_quotes_it(secret: str) -> None:
    masker = Masker([secret])
    for form in (secret, quote(secret), quote(secret, safe="")):
        assert masker.text(f"|{form}|") == "|***|"


def test_all_texts_of_data_are_masked_and_nothing_else_changes() -> None:
    masker = Masker(["hunter22", "1234"])
    data = {"a hunter22": ["hunter22", {"b": ("x hunter22 y", 1234, 1.5, True, None)}], "c": "fine"}
    assert masker.data(data) == {"a ***": ["***", {"b": ["x *** y", 1234, 1.5, True, None]}], "c": "fine"}
    assert masker.data("hunter22") == "***"
    assert data["c"] == "fine" and "a hunter22" in data


def test_without_secrets_everything_comes_back_itself() -> None:
    masker, text, data, flow = Masker([]), "a text", {"a": ["b"]}, b"some bytes"
    assert masker.text(text) is text and masker.data(data) is data
    assert masker.stream().feed(flow) is flow and masker.stream().end() == b""


def test_a_text_without_a_secret_comes_back_itself() -> None:
    text, flow = "a text", b"some bytes"
    assert Masker(["hunter22"]).text(text) is text
    assert Masker(["hunter22"]).stream().feed(flow) is flow


def test_a_masker_does_not_show_its_secrets() -> None:
    masker = Masker(["hunter22"])
    assert "hunter" not in f"{masker!r} {masker.stream()!r}"


def test_a_variable_that_is_not_utf_8_is_hidden_in_its_own_bytes() -> None:
    secret = b"k\xff\xfeey".decode("utf-8", "surrogateescape")
    stream = Masker([secret, "\ud800lone"]).stream()
    assert stream.feed(b"<k\xff\xfeey>") + stream.end() == b"<***>"


# --- streams ------------------------------------------------------------------------------------

LETTERS = "abü"
words = st.text(LETTERS, min_size=1, max_size=6)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return a text in which secrets begin and end in one another, and the secrets."""
    secrets = draw(st.lists(words, min_size=1, max_size=4))
    secrets += [each[1:-1] for each in secrets[:2] if len(each) > 2]
    begun = st.sampled_from(secrets).flatmap(
        lambda secret: st.integers(1, len(secret)).map(lambda n: secret[:n])
    )
    return "".join(draw(st.lists(begun | words, max_size=12))), secrets


cuttings = st.lists(st.integers(0, 80), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def by_hand(text: str, secrets: list[str]) -> str:
    """Mask one character after the other, as the words of the docstring have it."""
    written, end = "", 0
    for at, letter in enumerate(text):
        longest = max((len(each) for each in secrets if text.startswith(each, at)), default=0)
        if longest and at >= end:
            written += "***"
        end = max(end, at + longest) if longest else end
        written += letter if at >= end else ""
    return written


@given(cases())
def test_what_occurrences_cover_is_hidden_and_the_rest_is_kept(case: tuple[str, list[str]]) -> None:
    text, secrets = case
    assert Masker(secrets).text(text) == by_hand(text, secrets)


@given(cases())
def test_no_secret_gets_through(case: tuple[str, list[str]]) -> None:
    text, secrets = case
    masked = Masker(secrets).text(text)
    assert [secret for secret in secrets if secret in masked] == []


@given(cases(), cuttings)
def test_however_a_stream_is_cut_it_is_masked_like_the_whole(
    case: tuple[str, list[str]], cuts: list[int]
) -> None:
    text, secrets = case
    masker = Masker(secrets)
    stream = masker.stream()
    got = b"".join(map(stream.feed, pieces(text.encode(), cuts))) + stream.end()
    assert got == masker.text(text).encode()


@given(cases(), cuttings)
def test_only_the_beginning_of_a_secret_is_held_back(case: tuple[str, list[str]], cuts: list[int]) -> None:
    text, secrets = case
    masker, fed = Masker(secrets), b""
    stream, got = masker.stream(), b""
    forms = [each.encode() for each in {*secrets, *map(quote, secrets)}]
    for piece in pieces(text.encode(), cuts):
        fed += piece
        got += stream.feed(piece)
        tail = max((n for each in forms for n in range(len(each)) if fed.endswith(each[:n])), default=0)
        decided = masker.stream()
        expected = decided.feed(fed)
        assert got == expected
        assert len(stream._tail) == tail < max(map(len, forms))


def test_a_line_is_passed_on_at_once() -> None:
    stream = Masker(["hunter22", "line"]).stream()
    assert stream.feed(b"one line of the log\n") == b"one *** of the log\n"
    assert stream.feed(b"the password is hun") == b"the password is "
    assert stream.feed(b"ter2") == b""
    assert stream.feed(b"2 and on\n") == b"*** and on\n"
    assert stream.feed(b"hun") == b""
    assert stream.feed(b"gry\n") == b"hungry\n"
    assert stream.feed(b"hunter") == b""
    assert stream.end() == b"hunter"
    assert stream.end() == b""


def test_a_secret_over_several_lines_is_hidden() -> None:
    key = "-----BEGIN KEY-----\nMIIabc\nxyz\n-----END KEY-----"
    stream = Masker([key]).stream()
    got = b"".join(stream.feed(line) for line in f"a\n{key}\nb\n".encode().splitlines(keepends=True))
    assert got == b"a\n***\nb\n"


def test_a_shorter_secret_waits_for_the_longer_one_around_it() -> None:
    stream = Masker(["abcdefgh", "cde"]).stream()
    assert stream.feed(b"abcdef") == b""
    assert stream.feed(b"gh") == b"***"
    assert stream.feed(b"x abcdef") == b"x "
    assert stream.end() == b"ab***f"


def test_a_child_can_afford_the_module() -> None:
    code = (
        "import sys, re, typing, jobrunner; before = set(sys.modules); import jobrunner.masking;"
        "print(sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['jobrunner.masking']"
