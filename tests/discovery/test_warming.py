"""A node learns what changed files say without waiting for any of them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner import definitions
from jobrunner.clock import SECOND
from jobrunner.definitions import Definitions
from jobrunner.discovery import warming
from jobrunner.discovery.catalog import Gathered
from jobrunner.discovery.files import NOT_READ
from jobrunner.discovery.warming import Warmer
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.watching import Watch
from tests.discovery.household import PLAIN, Project, write
from tests.executor.household import alive, pid_in, wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs inotify and /proc")
COMPUTED = 'name = "{name}"\nconfig = dict(name=name, schedule="@daily")\ndef default(): pass\n'
HANGING = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
open("{path}.tmp", "w").write(str(os.getpid())); os.rename("{path}.tmp", "{path}")
name = "h"
config = dict(name=name, schedule=None)
while True: time.sleep(1)
def default(): pass
"""


@pytest.fixture
def warmer() -> Iterator[Warmer]:
    made = Warmer()
    yield made
    made.kill()


def hear(warmer: Warmer) -> Gathered | None:
    """Wait for the next news; None when there are none any more."""
    while not warmer.done():
        found = warmer.gathered()
        if found is not None:
            return found
        assert select.select([warmer.fileno()], [], [], 60)[0]
    return warmer.gathered()


def all_of(warmer: Warmer, settings: Settings) -> Gathered:
    warmer.start(settings)
    last = None
    while (found := hear(warmer)) is not None:
        last = found
    assert last is not None, warmer.trouble
    return last


def seen(registry: Registry) -> object:
    return json.dumps(registry.summaries), registry.problems, dict(registry.jobs)


@pytest.mark.parametrize("cache", [True, False])
def test_what_is_gathered_is_what_a_load_finds(project: Project, warmer: Warmer, cache: bool) -> None:
    if cache:
        (project.root / ".jobrunner").mkdir()
    project.plain("a")
    project.write("b.py", COMPUTED.format(name="b"))
    project.write("c.py", "broken(")
    project.write(
        "d.py", "import nowhere_at_all\nconfig = dict(name='d', schedule=None)\ndef default(): pass\n"
    )
    (project.jobs / "link.py").symlink_to("/nowhere")
    write(
        project.root / "jobrunner.yaml", "jobs: {a: {startAt: 2020-01-01T00:00:00Z, tags: [x]}, nobody: {}}\n"
    )
    settings = project.settings()._replace(stored={"b": {"timeout": 3, "params": {"x": [1]}}})
    found = Registry(settings, all_of(warmer, settings))
    assert (warmer.trouble, found.unread) == (None, frozenset())
    assert repr(seen(found)) == repr(seen(Registry.load(settings)))
    assert list(found.jobs) == ["a", "b"]


@pytest.mark.parametrize("services", [{}, {"db": "shop:connect"}])
def test_what_a_job_takes_is_gathered_with_regard_to_the_services(
    project: Project, warmer: Warmer, services: dict[str, str]
) -> None:
    project.write("a.py", PLAIN.format(name="a").replace("(container)", "(rows: int, since=None)"))
    settings = project.settings()._replace(services=services)
    found = Registry(settings, all_of(warmer, settings))
    loaded = Registry.load(settings)
    assert repr(seen(found)) == repr(seen(loaded))
    assert len(found.find("a").parameters or ()) == (3 if services else 2)


def test_what_is_gathered_is_in_the_cache_afterwards(project: Project, warmer: Warmer) -> None:
    (project.root / ".jobrunner").mkdir()
    counter = project.root / "count"
    project.write("b.py", f"open({str(counter)!r}, 'a').write('x')\n" + COMPUTED.format(name="b"))
    all_of(warmer, project.settings())
    assert list(project.load().jobs) == ["b"]
    assert counter.read_text() == "x"


def test_a_file_that_hangs_delays_no_other(project: Project, warmer: Warmer) -> None:
    for name in "abcd":
        project.plain(name)
    held = definitions.load(project.settings(), keep_sources=True)
    project.write("0.py", HANGING.format(path=project.root / "pid"))
    project.write("a.py", PLAIN.format(name="a").replace("*/5", "*/7"))
    project.write("b.py", COMPUTED.format(name="b"))
    warmer.start(project.settings()._replace(import_limit=1000 * SECOND))
    first = hear(warmer)
    assert first is not None
    held = definitions.renew(held, first)
    assert held.jobs["a"].config["schedule"] == "*/7 * * * *"
    while held.jobs["b"].config["schedule"] != "@daily":
        held = _next(held, warmer)
    assert (held.problems, held.kept) == ([], ())
    assert not warmer.done()


def _next(held: Definitions, warmer: Warmer) -> Definitions:
    found = hear(warmer)
    assert found is not None
    return definitions.renew(held, found)


def test_a_job_stays_as_it_was_until_its_edited_file_has_answered(project: Project, warmer: Warmer) -> None:
    text = COMPUTED.format(name="b")
    project.write("b.py", text)
    held = definitions.load(project.settings(), keep_sources=True)
    before = held.jobs["b"]
    project.write("b.py", text.replace("@daily", "@hourly"))
    warmer.start(project.settings())
    held = _next(held, warmer)
    if held.jobs["b"] is before:
        assert (held.source_of(before), held.kept, held.problems) == (text, (), [])
    while held.jobs["b"] is before:
        held = _next(held, warmer)
    assert held.jobs["b"].config["schedule"] == "@hourly"
    assert held.sources == {}


def test_a_problem_stays_listed_while_its_file_is_asked_again(project: Project) -> None:
    project.write("b.py", COMPUTED.format(name="b"))
    held = definitions.load(project.settings(), keep_sources=True)
    project.write("b.py", "1/0\n" + COMPUTED.format(name="b"))
    broken = definitions.reload(held, project.settings())
    asked = _unread(project)
    again = definitions.renew(broken, asked)
    assert (again.problems, again.kept) == (broken.problems, ("b",))
    assert again.jobs["b"] is held.jobs["b"]
    assert len(again.problems) == 1


def _unread(project: Project) -> Gathered:
    """Return what is known of a project before any file has been executed."""
    from jobrunner.clock import SystemClock
    from jobrunner.discovery.catalog import Catalog

    settings = project.settings()
    catalog = Catalog(settings._replace(import_limit=0), SystemClock())
    found = Gathered(settings, catalog.entries(), catalog.around)
    assert found.unread
    return found


def test_an_override_of_a_job_whose_name_is_not_read_yet_is_not_called_one_of_no_job(
    project: Project,
) -> None:
    project.write("b.py", "n = 'b'\nconfig = dict([('name', n), ('schedule', None)])\ndef default(): pass\n")
    write(project.root / "jobrunner.yaml", "jobs: {b: {timeout: 3}}\n")
    assert Registry(project.settings(), _unread(project)).problems == []


def test_what_was_not_executed_is_remembered_as_nothing(project: Project) -> None:
    (project.root / ".jobrunner").mkdir()
    project.write("b.py", COMPUTED.format(name="b"))
    static = Registry.load(project.settings()._replace(import_limit=0))
    assert [each.message for each in static.problems] == [NOT_READ]
    assert list(project.load().jobs) == ["b"]


def test_a_warmer_that_is_killed_leaves_nothing_behind(project: Project, warmer: Warmer) -> None:
    project.write("h.py", HANGING.format(path=project.root / "pid"))
    warmer.start(project.settings()._replace(import_limit=1000 * SECOND))
    hanging = pid_in(project.root / "pid")
    (grandchild,) = _children(hanging)
    warmer.kill()
    assert not alive(hanging)
    assert not alive(grandchild)
    assert warmer.done()


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_warmer_ends_with_the_process_that_asked_it(project: Project) -> None:
    project.write("h.py", HANGING.format(path=project.root / "pid"))
    code = (
        "import sys, os, time\nfrom jobrunner import settings\n"
        "from jobrunner.discovery.warming import Warmer\n"
        f"Warmer().start(settings.load({{'project': {str(project.root)!r}, 'timezone': 'UTC'}}, {{}}))\n"
        "time.sleep(1000)"
    )
    asker = subprocess.Popen([sys.executable, "-c", code])
    hanging = pid_in(project.root / "pid")
    (grandchild,) = _children(hanging)
    asker.kill()
    asker.wait()
    wait_for(lambda: not alive(hanging) and not alive(grandchild), 20)


def test_a_warmer_that_dies_says_so(project: Project, warmer: Warmer) -> None:
    project.write("h.py", HANGING.format(path=project.root / "pid"))
    warmer.start(project.settings())
    hanging = pid_in(project.root / "pid")
    left = [hanging, *_children(hanging)]
    assert warmer._child is not None
    warmer._child.kill()
    while hear(warmer) is not None:
        continue
    assert warmer.trouble is not None and "ended before" in warmer.trouble
    for each in left:
        os.kill(each, 9)


def test_a_failure_of_the_reading_itself_is_told(
    project: Project, warmer: Warmer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "_sent", lambda settings: {"folders": [1], "lines": [], "project": 3})
    warmer.start(project.settings())
    while hear(warmer) is not None:
        continue
    assert warmer.trouble is not None


def test_no_secret_of_the_settings_reaches_the_child(project: Project) -> None:
    write(project.root / "jobrunner.yaml", "services: {db: hunter2}\nsettings: {token: hunter2}\n")
    settings = project.settings()._replace(state="postgresql://me:hunter2@host/db")
    assert "hunter2" not in repr(warming._sent(settings))


def test_settings_arrive_as_they_are(project: Project) -> None:
    params = "{1: !!binary aGVsbG8=, x: [.inf, ö]}"
    text = f"jobs:\n  a:\n    startAt: 2020-01-01\n    params: {params}\n    timezone: ' '\n"
    write(project.root / "jobrunner.yaml", text)
    settings = project.settings()._replace(stored={"a": {"params": {"x": None}}})
    from jobrunner import wire

    frame = next(wire.Decoder().feed(wire.encode({"settings": warming._sent(settings)})))
    again = warming._received(frame["settings"])
    for name in (*warming.SENT, "overrides"):
        assert getattr(again, name) == getattr(settings, name), name
    assert again.lines == {path: line for path, line in settings.lines.items() if path[0] == "jobs"}


def test_an_edit_that_is_watched_becomes_the_definition_and_a_half_written_one_does_not(
    project: Project,
) -> None:
    project.plain("a")
    held = definitions.load(project.settings(), keep_sources=True)
    watch = Watch(project.settings().folders)
    text = PLAIN.format(name="a").replace("*/5", "*/7")
    for part, schedule in ((text[:30], "*/5 * * * *"), (text, "*/7 * * * *")):
        project.write("a.py", part)
        held = _after_a_hint(watch, held, project.settings())
        assert held.jobs["a"].config["schedule"] == schedule
        assert held.kept == (("a",) if part != text else ())
    watch.close()


def _after_a_hint(watch: Watch, held: Definitions, settings: Settings) -> Definitions:
    descriptor = watch.fileno()
    assert descriptor is not None
    assert select.select([descriptor], [], [], 20)[0]
    assert watch.read()
    warmer = Warmer()
    return definitions.renew(held, all_of(warmer, settings))
