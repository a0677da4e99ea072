"""Kill runs: a process imports all modules once and forks one child per run.

``python -m tests.runfile.killed`` reads one request per line (JSON) and answers each with one line.
The child is killed from outside after some time, or kills itself at its n-th write to an HDF5
dataset: before the write, after a part of its bytes, or after all of them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.systems import ROOT

SMALL_BLOCKS = {"ERI_BLOCK": 1, "PAIR_BLOCK_FLOPS": 1.0}
"""Constants that give the largest number of blocks."""


class Killer:
    """The process that forks, as a context manager.

    It handles one request at a time. The answer contains the exit code (negative: the signal), the
    seconds until the child ended, and the number of its writes.
    """

    def __enter__(self) -> Killer:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.runfile.killed"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)

    def run(self, folder: Path, *args: object, **how: Any) -> dict[str, Any]:
        """Run ``dfmp2 args`` in `folder`.

        Parameters
        ----------
        folder : Path
        args : object
        how : Any
            after: seconds until the run is killed. write: number of the write at which it is
            killed. cut: part of the bytes of that write that is written. of: count only writes to
            this dataset. blocks: constants of `dfmp2.planning.plan`. expected: a-priori error of
            float32. file_size: limit on the size of a file. fill: path of a file that fills the
            disk before that write, instead of the kill. twins: start two such runs, which create
            their run file at the same time; the answer is for the first, "other" is the exit code
            of the second.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"folder": str(folder), "args": [str(a) for a in args], **how}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _serve() -> None:
    # A child must not inherit a thread pool, so modules are imported but nothing is computed.
    for name in (
        "backends.reduction",
        "backends.torch",
        "cli.resume",
        "cli.run",
        "cli.output",
        "cli.progress",
        "cli.session",
        "cli.table",
        "workflow.jobs",
        "interfaces.pyscf",
        "interfaces.validation",
    ):
        importlib.import_module(f"dfmp2.{name}")

    for line in sys.stdin:
        request = json.loads(line)
        report = Path(request["folder"]) / "writes"
        report.unlink(missing_ok=True)
        started = time.perf_counter()
        child = os.fork()
        if child == 0:
            _child(request, report)
        if "twins" in request:
            other = os.fork()
            if other == 0:
                _child({**request, "name": "other"}, report)
        if "after" in request:
            time.sleep(request["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        answer = {
            "exit": os.waitstatus_to_exitcode(status),
            "seconds": time.perf_counter() - started,
            "writes": int(report.read_text()) if report.is_file() else None,
        }
        if "twins" in request:
            answer["other"] = os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _child(request: dict[str, Any], report: Path) -> None:
    from dfmp2.cli import main
    from dfmp2.planning import plan
    from dfmp2.runfile import layout
    from dfmp2.workflow import compute as pipeline

    os.chdir(request["folder"])
    for name in ("stdout", "stderr"):
        stream = os.open(request.get("name", "") + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, getattr(sys, name).fileno())
    for name, value in request.get("blocks", SMALL_BLOCKS).items():
        setattr(plan, name, value)
    layout.SOLVED_AT_ONCE = 1
    if "expected" in request:
        pipeline.expected_error = lambda _: float(request["expected"])
    if "file_size" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
    if "twins" in request:
        _publish_together()
    count = _Writes(request)
    code = 1
    try:
        main(request["args"])
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):
            report.write_text(str(count.number))
        os._exit(code)


class _Writes:
    """Count the writes of this process to HDF5 datasets, and kill it at one of them."""

    def __init__(self, request: dict[str, Any]) -> None:
        import h5py

        self.number = 0
        self._last, self._cut = request.get("write"), request.get("cut", 0.0)
        self._fill, self._of = request.get("fill"), request.get("of")
        self._write = h5py.Dataset.__setitem__
        h5py.Dataset.__setitem__ = self._count_and_write()

    def _count_and_write(self) -> Any:
        def write(dataset: Any, where: Any, values: Any) -> None:
            self.number += self._of is None or dataset.name == f"/{self._of}"
            if self.number == self._last:
                if self._fill is not None:
                    _fill(self._fill)
                else:
                    self._write_part(dataset, where, values)
                    os.kill(os.getpid(), signal.SIGKILL)
            self._write(dataset, where, values)

        return write

    def _write_part(self, dataset: Any, where: Any, values: Any) -> None:
        import numpy as np

        whole = dataset[where]
        new = np.broadcast_to(np.asarray(values, dtype=dataset.dtype), whole.shape)
        old, new = (np.ascontiguousarray(x).tobytes() for x in (whole, new))
        cut = round(self._cut * len(new))
        torn = np.frombuffer(new[:cut] + old[cut:], dtype=dataset.dtype).reshape(whole.shape)
        if cut:
            self._write(dataset, where, torn)


def _publish_together() -> None:
    """Wait until both runs have a temporary file before either is renamed."""
    from dfmp2.runfile import file

    publish = file._publish

    def wait(draft: str, path: str, replace: bool) -> None:
        mark = Path(f"{draft}.ready")
        mark.touch()
        for _ in range(1000):
            if len(list(mark.parent.glob("*.ready"))) == 2:
                break
            time.sleep(0.01)
        publish(draft, path, replace)

    file._publish = wait


def _fill(path: str) -> None:
    """Fill the disk."""
    with contextlib.suppress(OSError), Path(path).open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"0" * size)


if __name__ == "__main__":
    _serve()
