"""What is asked of torch.cuda, in which order, with torch.cuda played by a log.

The played parts have the names and arguments of torch's own; that they bind is checked against
torch. What a GPU makes of them is tested in tests/tensors/test_streamed.py, where there is one.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dfmp2.backends.cuda import CudaEngine, free_memory

GPU = torch.device("cuda", 1)


class PlayedCuda:
    """Streams and events that write down what they were asked."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.events = 0
        self.current = "arithmetic"

    def stream(self, name: str) -> Any:
        played = self

        class Stream:
            def wait_event(self, event: Any) -> None:
                _binds("wait_event", self, event)
                played.log.append((name, "waits for", event.name))

            def wait_stream(self, stream: Any) -> None:
                _binds("wait_stream", self, stream)
                played.log.append((name, "waits for stream", stream.name))

        stream = Stream()
        stream.name = name  # type: ignore[attr-defined]
        return stream

    def event(self, enable_timing: bool = False) -> Any:
        played = self
        self.events += 1
        number = self.events

        class Event:
            name = f"event {number}"

            def record(self, stream: Any) -> None:
                _binds("record", self, stream)
                played.log.append((stream.name, "records", self.name))

            def synchronize(self) -> None:
                played.log.append(("host", "waits for", self.name))

            def elapsed_time(self, end: Any) -> float:
                _binds("elapsed_time", self, end)
                return 1500.0  # ms

        assert enable_timing, "an event without timing has no elapsed_time"
        return Event()

    @contextlib.contextmanager
    def entered(self, stream: Any) -> Iterator[None]:
        outer, self.current = self.current, stream.name
        yield
        self.current = outer


REAL = {
    "wait_event": torch.cuda.Stream.wait_event,
    "wait_stream": torch.cuda.Stream.wait_stream,
    "record": torch.cuda.Event.record,
    "elapsed_time": torch.cuda.Event.elapsed_time,
}


def _binds(name: str, *arguments: Any) -> None:
    inspect.signature(REAL[name]).bind(*arguments)


class Target:
    """A tensor of the device that is copied to."""

    def __init__(self, played: PlayedCuda) -> None:
        self._played = played

    def copy_(self, source: Any, non_blocking: bool = False) -> None:
        self._played.log.append((self._played.current, "copies", source, non_blocking))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedCuda:
    played = PlayedCuda()
    arithmetic = played.stream("arithmetic")
    plain = torch.empty

    def empty(count: int, *, dtype: Any, device: Any = None, pin_memory: bool = False) -> Any:
        played.log.append(("host", "allocates", count, str(device), pin_memory))
        return plain(count, dtype=dtype)

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: arithmetic)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: played.stream("copies"))
    monkeypatch.setattr(torch.cuda, "Event", played.event)
    monkeypatch.setattr(torch.cuda, "stream", played.entered)
    monkeypatch.setattr(torch, "empty", empty)
    return played


def test_memory(played: PlayedCuda) -> None:
    engine = CudaEngine(GPU)
    engine.host_memory(3)
    engine.device_memory(4)
    assert played.log == [
        ("host", "allocates", 3, "None", True),
        ("host", "allocates", 4, "cuda:1", False),
        ("copies", "waits for stream", "arithmetic"),
    ]


def test_copy_and_arithmetic(played: PlayedCuda) -> None:
    """A copy, the arithmetic on it, and a copy into the same memory."""
    engine = CudaEngine(GPU)
    arrived = engine.copy("block 1", Target(played), None)  # type: ignore[arg-type]
    work = lambda: played.log.append((played.current, "works"))  # noqa: E731
    done = engine.compute(work, arrived)
    engine.copy("block 3", Target(played), done)  # type: ignore[arg-type]
    assert played.log == [
        ("copies", "records", "event 1"),
        ("copies", "copies", "block 1", True),
        ("copies", "records", "event 2"),
        ("arithmetic", "waits for", "event 2"),
        ("arithmetic", "records", "event 3"),
        ("arithmetic", "works"),
        ("arithmetic", "records", "event 4"),
        ("copies", "waits for", "event 4"),
        ("copies", "records", "event 5"),
        ("copies", "copies", "block 3", True),
        ("copies", "records", "event 6"),
    ]
    engine.wait(done)
    assert played.log[-1] == ("host", "waits for", "event 4")
    assert engine.seconds(done) == 1.5


def test_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch keeps for later is free to it."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_memory(GPU) == 130
