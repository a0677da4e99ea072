"""Write evidence of the environment or of the kernels. The scripts in this folder call it.

record.py environment|kernels [--simulator] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dfmp2.backends.neuron import hardware_generation
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.selection import Selection, select
from dfmp2.doctor import examine, usable
from dfmp2.doctor.evidence import Item, write
from dfmp2.errors import BackendUnavailable
from dfmp2.kernels import registry
from dfmp2.results.provenance import Provenance

PLACES = ("trn1", "trn2")


def options(description: str, *names: str) -> argparse.Namespace:
    """The options of the scripts in this folder."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        parser.add_argument(name, choices=("environment", "kernels"))
    parser.add_argument("--simulator", action="store_true", help="dry run without a device")
    parser.add_argument("--output", type=Path, default=Path("neuron-evidence"), metavar="FOLDER")
    return parser.parse_args()


def prepared(simulator: bool) -> tuple[Selection, str]:
    """The backend and its place. Without a device, print the findings and exit with status 7."""
    asked = ("simulator", "bundled") if simulator else ("nki", None)
    findings = examine(*asked)
    for finding in findings:
        print(finding, file=sys.stdout if usable(findings) else sys.stderr)
    if not usable(findings):
        sys.exit(BackendUnavailable.exit_code)
    selection = select(*asked)
    if simulator:
        return selection, "bundled-simulator"
    place = hardware_generation()
    if place not in PLACES or selection.backend.where.mode != "device":
        print(f"no evidence: {place or 'this machine'} is none of {', '.join(PLACES)}",
              file=sys.stderr)  # fmt: skip
        sys.exit(BackendUnavailable.exit_code)
    return selection, place


def one_product(selection: Selection) -> Item:
    """A product of two small matrices."""
    provenance = Provenance()
    backend = RecordingBackend(selection.backend, provenance)
    rng = np.random.default_rng(5)
    a, b = rng.random((128, 256)), rng.random((256, 512))
    product = selection.backend.to_host(backend.gemm(backend.asarray(a), backend.asarray(b)))
    error = float(np.abs(product - a @ b).max() / 256)
    return Item("gemm 128 x 256 x 512", provenance, error < 1e-5, facts={"error": error})


def kernels(selection: Selection, place: str, output: Path) -> Item:
    """The recorded problems of every kernel. On a device they go to `kernels/evidence/`."""
    runner = selection.backend.runner
    provenance = Provenance()

    def launch(kernel: Any, *operands: Any) -> Any:
        start = time.perf_counter()
        result = runner(kernel, *operands)
        seconds = time.perf_counter() - start
        name = getattr(kernel, "__name__", type(kernel).__name__)
        provenance.add(name, runner.where, "float32", seconds, 0.0)
        return result

    folder = registry.EVIDENCE if runner.where.mode == "device" else output
    found = registry.record(place, folder, launch)
    facts = {
        e.kernel: {"passed": e.passed, "worst_ratio": e.worst_ratio, "tolerance": e.tolerance}
        for e in found
    }
    print(f"{folder}: evidence of {len(found)} kernels")
    passed = all(e.passed for e in found)
    return Item("checks of the kernels", provenance, passed, facts={"kernels": facts})


def main() -> int:
    """Write the file. The exit status is 0 if everything in it passed."""
    chosen = options(__doc__ or "", "what")
    selection, place = prepared(chosen.simulator)
    if chosen.what == "environment":
        item = one_product(selection)
    else:
        item = kernels(selection, place, chosen.output)
    path = chosen.output / f"{chosen.what}.{place}.json"
    content = write(path, f"record.py {chosen.what}", [item])
    print(f"{path}: mode {content['mode']}, passed {content['passed']}")
    return 0 if content["passed"] else 3


if __name__ == "__main__":
    sys.exit(main())
