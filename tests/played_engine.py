"""A fake device with two queues, which runs queued work on the CPU in a chosen order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dfmp2.backends.protocol import Backend
from dfmp2.backends.torch import TorchBackend

ORDERS = ("at once", "as late as may be", "copies first", "arithmetic first")


class PlayedEngine:
    """`dfmp2.backends.protocol.Engine` that runs queued work in an order chosen by the test.

    Parameters
    ----------
    order : str
        One of `ORDERS`. "at once": when it is queued. "as late as may be": when something waits
        for it. "copies first": each copy when it is queued, preceded only by the work that its
        event depends on. "arithmetic first": the same with the queues exchanged.
    ignore : str
        A synchronisation that is left out, to test that the result is then wrong: "host",
        "copies" or "arithmetic".
    """

    def __init__(self, order: str = "as late as may be", ignore: str = "") -> None:
        self._order, self._ignore = order, ignore
        self._queues: dict[str, list[dict[str, Any]]] = {"copies": [], "arithmetic": []}
        self.waits = 0
        self.memory: list[int] = []

    def host_memory(self, count: int) -> torch.Tensor:
        self.memory.append(count)
        return torch.full((count,), float("nan"), dtype=torch.float64)

    device_memory = host_memory

    def copy(self, source: torch.Tensor, target: torch.Tensor, after: Any) -> Any:
        return self._queued("copies", lambda: target.copy_(source), after)

    def compute(self, work: Callable[[], None], after: Any) -> Any:
        return self._queued("arithmetic", work, after)

    def wait(self, event: Any) -> None:
        self.waits += 1
        if self._ignore != "host" or event["queue"] == "arithmetic":
            self._do(event)

    def seconds(self, event: Any) -> float:
        assert event["done"], "asked for the time of what was not waited for"
        return 0.25

    def _queued(self, queue: str, work: Callable[[], object], after: Any) -> Any:
        if self._ignore == queue:
            after = None
        event = {"queue": queue, "work": work, "after": after, "done": False}
        self._queues[queue].append(event)
        if self._order == "at once" or self._order == f"{queue} first":
            self._do(event)
        return event

    def _do(self, event: Any) -> None:
        queue = self._queues[event["queue"]]
        while not event["done"]:  # first all work that was queued before it
            first = queue.pop(0)
            if first["after"] is not None:
                self._do(first["after"])
            first["work"]()
            first["done"] = True


class PlayedGpu(TorchBackend):
    """Torch on the CPU, reported as a GPU with queues."""

    def __init__(self, engine: PlayedEngine, mode: str = "cuda") -> None:
        super().__init__("cpu")
        from dfmp2.results.provenance import Where

        self.where = Where("pytorch", mode, "a played GPU")
        self._engine = engine

    def engine(self) -> Any:
        return self._engine


def played_selection(backend: Backend) -> Any:
    """A replacement of `dfmp2.workflow.prepare.select` that returns this backend."""
    from dfmp2.backends.selection import Selection

    return lambda *_: Selection(backend, "a test")
