"""All entries put together: names are unique over all files, and an override needs a job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from jobrunner.discovery.entries import Entry, JobEntry, Overrides
from jobrunner.discovery.walk import ProblemRow
from jobrunner.settings import FILE, Settings

NAMED = 3  # so many of those that share a name are named


class _Claim(NamedTuple):
    """A config that wants a name, as its own or as a former one."""

    name: str
    entry: Entry
    job: JobEntry

    @property
    def where(self) -> str:
        return f"{self.job['row'][10]}:{self.line}"

    @property
    def line(self) -> int:
        return self.job["lines"].get("name", self.job["line"])


def merge(entries: Sequence[Entry], settings: Settings) -> tuple[list[list[Any]], list[ProblemRow]]:
    """Return the rows of all valid jobs by name, ignoring case, and all problems by file and line.

    A name that two configs claim (ignoring case, former names included) is neither's: which one would
    run must not depend on the order of files.
    """
    claims: dict[str, list[_Claim]] = defaultdict(list)
    for entry in entries:
        for job in entry["jobs"]:
            for name in {each.casefold(): each for each in (*job["former"], job["row"][0])}.values():
                claims[name.casefold()].append(_Claim(name, entry, job))
    problems = [row for entry in entries for row in entry["problems"]]
    twice = [found for found in claims.values() if len(found) > 1]
    lost = {id(claim.job) for found in twice for claim in found}
    problems += [row for found in twice for row in _duplicates(found)]
    if not any(map(_hides_names, entries)):
        names = {(row[4] or "").casefold() for row in problems}
        names |= {each.name.casefold() for each in settings.added}
        problems += _unknown(entries, settings, set(claims) | names)
    rows = [job["row"] for entry in entries for job in entry["jobs"] if id(job) not in lost]
    return sorted(rows, key=lambda row: row[0].casefold()), sorted(
        {_order(row): row for row in problems}.values(), key=_order
    )


def _hides_names(entry: Entry) -> bool:
    return entry["unread"] and any(row[4] is None for row in entry["problems"])


def _order(row: ProblemRow) -> tuple[Any, ...]:
    return row[0], row[1] or 0, row[2], row[4] or ""


def _duplicates(found: Sequence[_Claim]) -> list[ProblemRow]:
    return [_duplicate(claim, [each for each in found if each is not claim]) for claim in found]


def _duplicate(claim: _Claim, others: Sequence[_Claim]) -> ProblemRow:
    places = ", ".join(each.where for each in others[:NAMED])
    rest = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    said = f'the name "{claim.name}" is also used at {places}{rest}'
    hint = "give each job a name of its own (upper and lower case count as the same)"
    return claim.job["row"][10], claim.line, said, hint, claim.job["row"][0], claim.entry["path"]


def _unknown(entries: Sequence[Entry], settings: Settings, names: set[str]) -> list[ProblemRow]:
    known = [job["row"][0] for entry in entries for job in entry["jobs"]]
    rows: list[ProblemRow] = []
    for name, line in Overrides(settings).unknown(names):
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        hint = f'did you mean "{near[0]}"?' if near else "remove it, or add the job"
        rows.append(
            (FILE, line, f'jobs: names "{name}", and there is no such job', hint, None, settings.file or FILE)
        )
    return rows
