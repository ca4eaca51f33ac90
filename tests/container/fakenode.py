"""A node at the other end of a socket pair: it knows documents, results and ids of calls, and no store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import Any

from jobrunner.link import Line, Link, pair
from jobrunner.wire import LONGEST_WORD, Decoder, Frame, encode

Answer = dict[str, Any]


class FakeNode:
    """`line` is a run's; `heard` has every request. What `refuse` names is refused with that error.

    While `works` is not set it is stopped: it reads nothing.
    """

    def __init__(self) -> None:
        self._ours, theirs = pair()
        self.link = Link(theirs.detach())
        self.line = Line(self.link)
        self.documents: dict[str, tuple[Any, int]] = {}
        self.results: dict[str, Any] = {}
        self.heard: list[tuple[str, Mapping[str, Any]]] = []
        self.refuse: dict[str, Answer] = {}
        self.works = threading.Event()
        self.works.set()
        self.page = 2  # documents in an answer
        self._version = 0
        self._calls = 100
        self._outbox: SimpleQueue[bytes] = SimpleQueue()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._serve, self._send)]
        for thread in self._threads:
            thread.start()

    def said(self, verb: str) -> list[Mapping[str, Any]]:
        """Return what was asked with that verb."""
        return [payload for one, payload in self.heard if one == verb]

    def say(self, frame: Frame) -> None:
        """Send a frame of the node's own."""
        self._outbox.put(encode(frame))

    def write(self, key: str, value: Any) -> None:
        """Have somebody else write a document."""
        self._version += 1
        self.documents[key] = value, self._version

    def close(self) -> None:
        """Be gone."""
        self.works.set()
        if self._ours.fileno() >= 0:
            self._ours.shutdown(2)
            self._outbox.put(b"")
            for thread in self._threads:
                thread.join()
            self._ours.close()
            self.link.let_go()

    def _serve(self) -> None:
        decoder = Decoder(LONGEST_WORD)
        while data := self._receive():
            for frame in decoder.feed(data):
                self._hear(frame)

    def _send(self) -> None:
        """A node of ours is never kept from reading by what it has to say."""
        while data := self._outbox.get():
            try:
                self._ours.sendall(data)
            except OSError:
                return

    def _receive(self) -> bytes:
        self.works.wait()
        try:
            return self._ours.recv(1 << 18)
        except OSError:
            return b""

    def _hear(self, frame: Frame) -> None:
        verb, payload = frame.get("verb", ""), frame.get("payload", {})
        self.heard.append((verb, payload))
        if verb in self.refuse:
            self.say({"answer": frame["ask"], "error": self.refuse[verb]})
            return
        for answer in self._answers(verb, payload):
            self.works.wait()
            self.say({"answer": frame["ask"], **answer})

    def _answers(self, verb: str, payload: Mapping[str, Any]) -> Iterator[Answer]:
        verbs: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "state.get": self._get, "state.write": self._write, "call": self._call,
            "call.cancel": lambda asked: {"state": "canceled" if asked["id"] < 1000 else None},
            "once.get": self._recorded, "once.set": self._record,
        }  # fmt: skip
        if verb in verbs:
            yield verbs[verb](payload)
        elif verb == "state.list":
            rows = [
                [key, *self.documents[key]]
                for key in sorted(self.documents)
                if key.startswith(payload["prefix"])
            ]
            for at in range(0, max(len(rows), 1), self.page):
                yield {"documents": rows[at : at + self.page], "more": at + self.page < len(rows)}

    def _get(self, asked: Mapping[str, Any]) -> Answer:
        value, version = self.documents.get(asked["key"], (None, 0))
        return {"value": value, "version": version}

    def _write(self, asked: Mapping[str, Any]) -> Answer:
        existed = [key in self.documents for key, _, _ in asked["writes"]]
        for key, value, deleted in asked["writes"]:
            self.write(key, value)
            if deleted:
                del self.documents[key]
        return {"existed": existed}

    def _call(self, asked: Mapping[str, Any]) -> Answer:
        self._calls += 1
        return {"id": self._calls, "at": asked.get("at", asked.get("delay"))}

    def _recorded(self, asked: Mapping[str, Any]) -> Answer:
        key = asked["key"]
        return {"recorded": key in self.results, "result": self.results.get(key)}

    def _record(self, asked: Mapping[str, Any]) -> Answer:
        return {"result": self.results.setdefault(asked["key"], asked["result"])}
