"""The reference and the result in a run file.

The charge centroids of the orbitals are stored, too. To compute them again, a reader would need
PySCF and the same basis set under the stored name.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError, NotConvergedError
from dfmp2.references.converge import Convergence
from dfmp2.references.solution import ScfSolution
from dfmp2.results.result import Result
from dfmp2.runfile.failures import START_OVER
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.pairs import load_pairs

__all__ = [
    "load_centroids",
    "load_result",
    "load_scf",
    "store_result",
    "store_scf",
]

Array = NDArray[np.float64]

_ORBITALS = ("mo_coeff", "mo_energy", "mo_occ")
_PAIRS = ("e_os_pairs", "e_ss_pairs")


def store_scf(file: RunFile, solution: ScfSolution) -> None:
    """Write a converged SCF to the disk.

    Parameters
    ----------
    file : RunFile
    solution : ScfSolution

    Raises
    ------
    NotConvergedError
        If a number is not finite. Nothing is written then.
    """
    values = {name: np.asarray(getattr(solution, name), dtype=np.float64) for name in _ORBITALS}
    values["energy"] = np.array([solution.e_tot])
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise NotConvergedError(
                f"{solution.mol.natm} atoms: the SCF has {name} that are not finite numbers; check "
                "the geometry and the basis, and converge it again"
            )
    if solution.fock is not None:
        values["fock"] = solution.fock
    for name, value in values.items():
        file.write(f"scf/{name}", value)
    centroids = _centroids(solution, file.input["fields"]["frozen"])
    file.write("scf/centroids", centroids)
    file.state["scf"] = {
        "crc32": _checksum(values),
        "centroids_crc32": zlib.crc32(centroids.tobytes()),
        "conv_tol": solution.conv_tol,
        "read_from": solution.read_from,
        "how": None if solution.how is None else asdict(solution.how),
    }
    file.save()
    file.sync()


def load_scf(file: RunFile) -> dict[str, Any] | None:
    """The stored orbitals.

    Parameters
    ----------
    file : RunFile

    Returns
    -------
    dict or None
        mo_coeff, shape (nao, nmo); mo_energy, shape (nmo,), hartree; mo_occ, shape (nmo,); for an
        open shell with the spin as first index; of an ROHF also fock, shape (2, nmo, nmo), hartree;
        all float64. e_tot and conv_tol in hartree. read_from, the chkfile of the orbitals, or None.
        how, the `Convergence`, or None.
        None if no orbitals are stored.

    Raises
    ------
    CheckpointError
        If the orbitals do not match their checksum. They cannot be converged again, because B and
        the pair energies in the file belong to exactly these orbitals.
    """
    stored = file.state.get("scf")
    if stored is None:
        return None
    fock = ("fock",) if file.shape.semicanonical else ()
    values = {name: file.read(f"scf/{name}") for name in (*_ORBITALS, "energy", *fock)}
    if _checksum(values) != stored["crc32"]:
        raise CheckpointError(f"{file.path}: its orbitals are damaged (checksum); {START_OVER}")
    energy = float(values.pop("energy")[0])
    return {
        **values,
        "e_tot": energy,
        "conv_tol": stored["conv_tol"],
        "read_from": stored["read_from"],
        "how": Convergence(**how) if (how := stored.get("how")) else None,
    }


def load_centroids(file: RunFile) -> Array | None:
    """Charge centroids of the correlated occupied orbitals.

    Parameters
    ----------
    file : RunFile

    Returns
    -------
    ndarray, shape (nocc, 3), float64, bohr, or None
        None if no orbitals are stored, or if the centroids do not match their checksum.
    """
    stored = file.state.get("scf")
    if stored is None:
        return None
    centroids: Array = file.read("scf/centroids")
    whole = zlib.crc32(centroids.tobytes()) == stored["centroids_crc32"]
    return centroids if whole else None


def store_result(file: RunFile, result: Result) -> None:
    """Write a result to the disk. Its pair energies are in the file already.

    Parameters
    ----------
    file : RunFile
    result : Result
    """
    data = result.to_qcschema()
    for name in _PAIRS:
        del data["extras"]["dfmp2"][name]
    energies = (result.e_hf, result.e_corr_os, result.e_corr_ss, result.e_corr, result.e_tot)
    file.write("energies", np.array(energies))
    file.state["result"] = data
    file.save()
    file.sync()


def load_result(file: RunFile) -> Result | None:
    """The result of a finished run.

    Parameters
    ----------
    file : RunFile

    Returns
    -------
    Result or None
        None if the run is not finished, or if one of its pairs is damaged.

    Raises
    ------
    CheckpointError
        If its energies are not the sums of its pair energies.
    """
    data = file.state.get("result")
    if data is None:
        return None
    table, _ = load_pairs(file, file.accepted_sessions)
    if table.missing.any() and file.shape.sizes.elements:  # else all are zero
        return None
    pairs = (energies.tolist() for energies in table.symmetric()[:2])
    own = {**data["extras"]["dfmp2"], **dict(zip(_PAIRS, pairs, strict=True))}
    result = Result.from_qcschema({**data, "extras": {"dfmp2": own}}, file.path)
    times = [session["started"] for session in file.state["sessions"]]
    when = f" at {times[-1]}" if times else ""
    return replace(
        result,
        read_from=f"run file {file.path}, computed on {result.provenance.device_line()}{when}",
    )


def _centroids(solution: ScfSolution, frozen: list[Any]) -> Array:
    """<i|r|i> of the correlated occupied orbitals, shape (nocc, 3), bohr."""
    lists = frozen if solution.open_shell else [frozen]
    coeff = np.hstack(
        [
            spin.mo_coeff[:, [i for i in np.flatnonzero(spin.occupied) if i not in left_out]]
            for spin, left_out in zip(solution.spins, lists, strict=True)
        ]
    )
    # A user may have set another origin in the molecule.
    with solution.mol.with_common_orig((0.0, 0.0, 0.0)):
        position = solution.mol.intor("int1e_r", comp=3, hermi=1)
    return np.array([((x @ coeff) * coeff).sum(axis=0) for x in position]).T.copy()


def _checksum(values: dict[str, Any]) -> int:
    found = 0
    for name in (*_ORBITALS, "energy", "fock"):
        if name in values:
            found = zlib.crc32(values[name].tobytes(), found)
    return found
