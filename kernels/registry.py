"""The status table of the kernels, generated from recorded evidence.

``python -m dfmp2.kernels.registry record PLACE...`` runs every kernel's check on a fixed list of
problems at each place (`PLACES`) and writes one file per kernel and place into
``kernels/evidence/``. `rows` reads those files. A kernel without a file was never run at that
place; a file recorded from other source than the present one counts as outdated.
"""

from __future__ import annotations

import ast
import datetime
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.kernels import reference, simulator
from dfmp2.kernels.checks import CHECKS, Outcome, compare
from dfmp2.kernels.launch import Launch, simulate, simulate_bundled
from dfmp2.kernels.nki import HAS_NKI, nki_version, why_not

__all__ = ["EVIDENCE", "KERNELS", "PLACES", "Evidence", "Row", "record", "rows", "source_digest"]

EVIDENCE = Path(__file__).parent / "evidence"
"""Folder of the recorded evidence, part of the package."""

DEVICES = ("trn1", "trn2")

PLACES = ("reference", "bundled-simulator", "aws-simulator", *DEVICES)
"""Columns of the table."""

PROBLEMS: dict[str, tuple[tuple[int, ...], ...]] = {
    "gemm": ((1, 1, 1), (129, 513, 259), (1025, 3, 2051)),
    "batched_gemm": ((1, 1, 1, 1), (9, 29, 523, 31), (5, 65, 7, 63), (3, 129, 515, 257)),
    "syrk": ((1, 1), (523, 131)),
    "trsm": ((1, 1), (259, 513)),
    "ao2mo": ((1, 1, 1, 1), (5, 259, 37, 523)),
    "mp2_energy": ((1, 1), (3, 259), (1, 1100), (3, 131, 259)),
    "pair_energy": (
        (1, 0, 1, 1),
        (5, 0, 131, 261),
        (2, 3, 259, 523),
        (2, 0, 18500, 128),
        (2, 3, 259, 131, 523),  # two spins
    ),
}
"""Sizes of the recorded problems, in the order of the check's arguments."""

KERNELS = tuple(PROBLEMS)


@dataclass(frozen=True)
class Evidence:
    """One kernel, validated in one place.

    Attributes
    ----------
    version
        Version of NKI or of the simulator that ran it, the latter with its set of rules; NumPy
        for the definition.
    source
        Digest of the source (`source_digest`).
    cases
        Sizes of each problem, with the largest error relative to the largest element of the
        result, and the largest in units of its bound.
    tolerance
        The rule by which it passes.
    """

    kernel: str
    place: str
    date: str
    version: str
    source: str
    passed: bool
    max_relative_error: float
    worst_ratio: float
    tolerance: str
    command: str
    cases: list[dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """One row of the status table: evidence by place, None where never run."""

    kernel: str
    evidence: dict[str, Evidence | None]

    def status(self, place: str) -> str:
        """Return ``never run``, ``passed``, ``failed`` or ``outdated``."""
        found = self.evidence[place]
        if found is None:
            return "never run"
        if found.source != source_digest(self.kernel, place):
            return "outdated"
        return "passed" if found.passed else "failed"


def _imports(path: Path) -> list[str]:
    """Modules of this package that a module imports."""
    prefix = "dfmp2.kernels"
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(prefix):
            module = (node.module or "")[len(prefix) + 1 :]
            names += [module] if module else [alias.name for alias in node.names]
    return names


def source_digest(kernel: str, place: str) -> str:
    """SHA-256 over the source that decides a kernel's results, first 16 digits.

    The digest covers its module and all modules of this package that it imports, directly or not.
    For the definition it covers `reference`. The simulator is not included: evidence names it by
    its version.
    """
    folder = Path(__file__).parent
    todo = ["reference"] if place == "reference" else [kernel]
    seen: dict[str, bytes] = {}
    while todo:
        name = todo.pop()
        path = folder / f"{name}.py"
        if name in seen or name in ("nki", "simulator") or not path.is_file():
            continue
        seen[name] = path.read_bytes()
        todo += _imports(path)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + seen[name])
    return digest.hexdigest()[:16]


def _definition_checks() -> dict[str, Callable[[], Outcome]]:
    """Compare each definition with a second formula, both in float64."""
    rng = np.random.default_rng(2)
    a, b, s = rng.random((5, 4)), rng.random((4, 3)), rng.random((2, 3, 3))
    sym, occ, vir = s + s.swapaxes(1, 2), rng.random((3, 2)), rng.random((3, 4))
    low = np.tril(rng.random((4, 4))) + np.eye(4)
    e_i, e_v = -1 - rng.random(2), 1 + rng.random(3)
    gap = e_v[:, None] + e_v - 2 * e_i[:, None, None]
    exchange = s * (2 * s - s.swapaxes(1, 2)) / gap
    t = np.einsum("iPa,jPb->ijab", s, s)
    gaps = e_v[:, None] + e_v - (e_i[:, None] + e_i)[:, :, None, None]

    def same(result: Any, expected: Any) -> Callable[[], Outcome]:
        def run() -> Outcome:
            x = np.asarray(expected)
            return compare(np.asarray(result), x, 1e-13 * np.abs(x) + 1e-15)

        return run

    def energies(result: tuple[Any, Any]) -> Any:
        return result[0] + result[1]

    pair = reference.pair_energy(s, s, e_i, e_i, e_v)
    return {
        "gemm": same(reference.gemm(a, b), np.einsum("mk,kn->mn", a, b)),
        "batched_gemm": same(reference.batched_gemm(s, s), np.einsum("xmk,xkn->xmn", s, s)),
        "syrk": same(reference.syrk(a), np.einsum("mk,nk->mn", a, a)),
        "trsm": same(low @ reference.trsm(low, b), b),
        "ao2mo": same(reference.ao2mo(sym, occ, vir), np.einsum("Pmn,mi,na->iPa", sym, occ, vir)),
        # The textbook form: sum T (2 T - T') / D, without splitting by spin.
        "mp2_energy": same(
            energies(reference.mp2_energy(s, 2 * e_i, e_v)), -exchange.sum(axis=(1, 2))
        ),
        "pair_energy": same(
            energies(pair), -(t * (2 * t - t.swapaxes(2, 3)) / gaps).sum(axis=(2, 3))
        ),
    }


def _launch(place: str) -> tuple[Launch, str]:
    """The function that runs kernels at `place`, and the version of NKI or the simulator."""
    if place == "bundled-simulator":
        rules = f"{simulator.current_rule_set()} rules"
        return simulate_bundled, f"bundled simulator {simulator.__version__}, {rules}"
    if not HAS_NKI:
        raise BackendUnavailable(f"{place} needs AWS's nki: {why_not()}")
    return simulate, f"nki {nki_version}"


def _today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def record(place: str, folder: Path = EVIDENCE, launch: Launch | None = None) -> list[Evidence]:
    """Run every kernel's problems at `place`, write the evidence and return it.

    For `trn1` and `trn2` the caller passes the `launch` of such a device;
    `examples/trainium/2_kernel_tests.sh` checks the instance first.

    Raises
    ------
    InputError
        An unknown place.
    BackendUnavailable
        AWS's nki or a device is needed and not there.
    """
    if place not in PLACES:
        raise InputError(f"no such place to run kernels: {place!r}; use one of {', '.join(PLACES)}")
    found: list[Evidence] = []
    for kernel in KERNELS:
        if place == "reference":
            outcomes: dict[tuple[int, ...], Outcome] = {(): _definition_checks()[kernel]()}
            version = f"NumPy {np.__version__}"
            tolerance = "1e-13 relative, against a second formula in float64"
        else:
            run, version = _launch(place)
            if place in DEVICES and launch is None:
                raise BackendUnavailable(
                    f"evidence of {place} can only be recorded on such an instance: run "
                    "examples/trainium/2_kernel_tests.sh there"
                )
            run = launch or run
            outcomes = {sizes: CHECKS[kernel](run, *sizes) for sizes in PROBLEMS[kernel]}
            tolerance = "elementwise float32 error bound (kernels/bounds.py); ratio <= 1"
        worst = max(o.ratio for o in outcomes.values())
        evidence = Evidence(
            kernel=kernel,
            place=place,
            date=_today(),
            version=version,
            source=source_digest(kernel, place),
            passed=worst <= 1,
            max_relative_error=max(o.error for o in outcomes.values()),
            worst_ratio=worst,
            tolerance=tolerance,
            command=(
                "examples/trainium/2_kernel_tests.sh"
                if place in DEVICES
                else f"python -m dfmp2.kernels.registry record {place}"
            ),
            cases=[{"sizes": list(s), **o._asdict()} for s, o in outcomes.items()],
        )
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(evidence), indent=1) + "\n"
        (folder / f"{kernel}.{place}.json").write_text(text, encoding="utf-8")
        found.append(evidence)
    return found


def _read(kernel: str, place: str, folder: Path) -> Evidence | None:
    path = folder / f"{kernel}.{place}.json"
    if not path.is_file():
        return None
    return Evidence(**json.loads(path.read_text(encoding="utf-8")))


def rows(folder: Path = EVIDENCE) -> list[Row]:
    """One row per kernel, from the evidence on file."""
    return [Row(k, {place: _read(k, place, folder) for place in PLACES}) for k in KERNELS]


def main(arguments: list[str]) -> int:
    """``record PLACE...``: exit status 0 where all recorded checks passed, else 1."""
    if arguments[:1] != ["record"] or len(arguments) < 2:
        raise InputError(f"usage: record PLACE..., with PLACE one of {', '.join(PLACES)}")
    return 0 if all(e.passed for place in arguments[1:] for e in record(place)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
