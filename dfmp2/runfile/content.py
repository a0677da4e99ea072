"""The reference and the result in a run file."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from dfmp2.errors import CheckpointError
from dfmp2.result import Result
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.pairs import load_pairs

__all__ = ["load_result", "load_scf", "store_result", "store_scf"]

_ORBITALS = ("mo_coeff", "mo_energy", "mo_occ")
_PAIRS = ("e_os_pairs", "e_ss_pairs")


def store_scf(file: RunFile, mf: Any, read_from: str | None) -> None:
    """Commit a converged mean field."""
    values = {name: np.asarray(getattr(mf, name), dtype=np.float64) for name in _ORBITALS}
    values["energy"] = np.array([float(mf.e_tot)])
    for name, value in values.items():
        file.write(f"scf/{name}", value)
    file.state["scf"] = {
        "crc32": _checksum(values),
        "conv_tol": float(mf.conv_tol),
        "read_from": read_from,
    }
    file.save()
    file.sync()


def load_scf(file: RunFile, mf: Any) -> bool:
    """Give `mf` the orbitals of a run file, as if it had converged to them.

    Returns
    -------
    bool
        Whether there are any.

    Raises
    ------
    CheckpointError
        If they do not match their checksum. All that follows was made from them, so that other
        orbitals, converged again, would not belong to it.
    """
    stored = file.state.get("scf")
    if stored is None:
        return False
    values = {name: file.read(f"scf/{name}") for name in (*_ORBITALS, "energy")}
    if _checksum(values) != stored["crc32"]:
        raise CheckpointError(
            f"{file.path}: its orbitals are damaged (checksum); compute again with --restart"
        )
    for name in _ORBITALS:
        setattr(mf, name, values[name])
    mf.e_tot, mf.converged, mf.conv_tol = float(values["energy"][0]), True, stored["conv_tol"]
    if stored["read_from"] is not None:
        mf.read_from = stored["read_from"]
    return True


def store_result(file: RunFile, result: Result) -> None:
    """Commit the result; its pair energies are there already."""
    data = result.to_qcschema()
    for name in _PAIRS:
        del data["extras"]["dfmp2"][name]
    energies = (result.e_hf, result.e_corr_os, result.e_corr_ss, result.e_corr, result.e_tot)
    file.write("energies", np.array(energies))
    file.state["result"] = data
    file.save()
    file.sync()


def load_result(file: RunFile) -> Result | None:
    """The result of a finished run; None if it is not finished, or a pair of it is damaged."""
    data = file.state.get("result")
    if data is None:
        return None
    accepted = {s["id"] for s in file.state["sessions"] if not s["rejected"]}
    table, _ = load_pairs(file, accepted)
    if table.missing.any() and file.shape.sizes.nvir:  # without virtual orbitals, all are zero
        return None
    own = {**data["extras"]["dfmp2"], **dict(zip(_PAIRS, table.symmetric(), strict=True))}
    return Result.from_qcschema({**data, "extras": {"dfmp2": own}}, file.path)


def _checksum(values: dict[str, Any]) -> int:
    found = 0
    for name in (*_ORBITALS, "energy"):
        found = zlib.crc32(values[name].tobytes(), found)
    return found
