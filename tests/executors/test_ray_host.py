"""What a worker of a Ray cluster does for a run: it passes words on, and nothing lives on. Without Ray."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jobrunner
from jobrunner import wire
from jobrunner.executor.ray_host import Host
from jobrunner.model import Chosen
from tests.executor.household import Household, alive, wait_for

PACKAGE = str(Path(jobrunner.__file__).parent)


class Far:
    """A host, and the node's side of the talk with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "jobs").mkdir()
        self.host = Host(PACKAGE, jobrunner.__version__)
        self.pid = self.host.start(60.0)
        self._decoder = wire.Decoder()
        self.frames: list[wire.Frame] = []
        self.log = b""
        self.fed = self.taken = 0
        self.ended: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        return self.ended is not None

    def run(self, body: str) -> None:
        (self.root / "jobs" / "job.py").write_text(body)
        spec = Household.spec(self, 1, "job", {})  # type: ignore[arg-type]
        self.say({"run": spec, "again": False})

    def say(self, frame: wire.Frame) -> None:
        self.fed += 1
        self.host.feed(self.fed, wire.encode(frame))

    def take(self) -> bool:
        """Take what there is; returns whether that was all."""
        self.taken += 1
        words, output, self.ended = self.host.take(self.taken, 0.1)
        self.frames += self._decoder.feed(words)
        self.log += output
        return self.over

    def until(self, key: str) -> wire.Frame:
        wait_for(lambda: any(key in frame for frame in self.frames) or (self.over or self.take()))
        return next(frame for frame in self.frames if key in frame)

    def end(self) -> None:
        wait_for(lambda: self.over or self.take())

    def close(self) -> None:
        self.host.signal(signal.SIGKILL)
        self.end()
        self.host.close()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    made = Far(tmp_path)
    yield made
    made.close()


def test_words_and_output_go_both_ways_until_the_child_has_ended(far: Far) -> None:
    far.run("import os\ndef default(ctx):\n    print('hello')\n    return os.getpid()")
    far.end()
    assert far.until("reply")["reply"]["result"] == far.pid
    assert (far.log, far.ended) == (b"hello\n", {"code": 0, "problem": None})


def test_a_repeated_call_does_nothing_twice(far: Far) -> None:
    assert far.host.start(60.0) == far.pid
    far.run("def default(ctx):\n    print('hello')")
    far.host.feed(far.fed, b"no frame at all, and never passed on")
    wait_for(lambda: bool(far.log) or far.take())
    assert far.host.take(far.taken, 0.0)[1] == far.log == b"hello\n"
    far.end()
    assert far.until("reply")["reply"]["state"] == "succeeded"
    assert far.log == b"hello\n"


def test_a_question_waits_for_news_no_longer_than_its_patience(far: Far) -> None:
    far.until("ready")
    assert far.host.take(far.taken + 1, 0.0) == (b"", b"", None)


def test_output_that_nobody_takes_makes_the_child_wait(far: Far) -> None:
    far.run("def default(ctx):\n    for _ in range(5000): print('x' * 999)\n    print('done')")
    wait_for(lambda: len(far.host._output) >= 1024 * 1024)
    most = 0
    while not far.over:
        most = max(most, len(far.host._output))
        far.take()
    assert len(far.log) == 5_000_005 and most < 2 * 1024 * 1024


def test_it_lives_no_longer_than_somebody_lets_it(far: Far) -> None:
    far.run("import time\ndef default(ctx):\n    while True: time.sleep(0.01)")
    far.until("began")
    far.host.live_for(0.2)
    wait_for(lambda: not alive(far.pid))
    far.end()
    assert far.ended == {"code": -signal.SIGKILL, "problem": wire.LAPSED}


def test_who_lets_it_live_again_and_again_keeps_it(far: Far) -> None:
    far.run("import os, time\ndef default(ctx):\n    while not os.path.exists('go'): time.sleep(0.01)")
    far.until("began")
    began = time.monotonic()
    while time.monotonic() < began + 1.0:
        far.host.live_for(0.5)
        far.take()
    (far.root / "go").touch()
    far.end()
    assert far.until("reply")["reply"]["state"] == "succeeded"


def test_an_end_of_the_nodes_words_is_one_for_the_child(far: Far) -> None:
    far.until("ready")
    far.host.feed(far.fed + 1, b"")
    far.end()
    assert far.ended == {"code": 0, "problem": None}


def test_a_word_to_a_child_that_does_not_listen_holds_up_nobody_else(far: Far) -> None:
    far.run("import time\ndef default(ctx):\n    while True: time.sleep(0.01)")
    far.until("began")
    large = wire.encode({"cancel": "x" * 5_000_000})
    talker = threading.Thread(target=far.host.feed, args=(far.fed + 1, large))
    talker.start()
    far.host.signal(signal.SIGKILL)
    far.end()
    talker.join()


# -- what it runs ----------------------------------------------------------------------------------------


def test_where_the_nodes_package_is_not_it_is_the_one_that_is_installed(tmp_path: Path) -> None:
    assert Host(str(tmp_path / "nowhere"), jobrunner.__version__)._package == PACKAGE


def test_another_version_is_refused_in_a_sentence() -> None:
    with pytest.raises(LookupError, match=r"^jobrunner is version .* on .*, here 99\.9$"):
        Host(PACKAGE, "99.9")


def test_a_machine_without_jobrunner_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobrunner.executor.ray_host.find_spec", lambda _: None)
    with pytest.raises(LookupError, match=r"has no jobrunner: it is not at .*nowhere, and not installed$"):
        Host(str(tmp_path / "nowhere"), jobrunner.__version__)


def test_runs_of_one_cluster_share_a_bridge_and_others_have_their_own() -> None:
    from jobrunner.executor.ray_plugin import Ray

    one, same, other = (
        Chosen("ray", options).options
        for options in ({"address": "a:1", "numCpus": 1}, {"address": "a:1"}, {"address": "b:1"})
    )
    ray = Ray()
    assert ray.apart(one) == ray.apart(same) != ray.apart(other)
