"""The result of a run: energies, their input, and the devices that computed them.

A `Result` contains plain data only, no PySCF objects. It is written as a QCSchema AtomicResult
(https://molssi-qc-schema.readthedocs.io) and can be read again without loss. Values that have no
name in the schema are under ``extras.dfmp2``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError, ValidationError
from dfmp2.molecules.plain import PlainMolecule, element_of
from dfmp2.results.form import check_form, digest, read_json
from dfmp2.results.provenance import Provenance
from dfmp2.results.spin_scaling import scs_energy, sos_energy

__all__ = ["ROUNDING", "Result", "read_results"]

ROUNDING = 1e-11
"""Hartree. Sums over the same pair energies in another order differ by less than this."""


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one DF-MP2 calculation. Energies are in hartree.

    Attributes
    ----------
    molecule : PlainMolecule
    reference : {"RHF", "RKS"}
    e_hf : float
        Energy of the reference.
    e_os_pairs, e_ss_pairs : ndarray, shape (nocc, nocc), float64, hartree
        Opposite- and same-spin pair energies, symmetric. The sum over all elements is the energy.
    occupied, frozen : tuple of int
        Indices of the correlated occupied and of the frozen orbitals, from 0.
    sizes : dict of str to int
        nao, nocc, nvir, naux.
    labels : dict of str to str
        Texts of the table: basis, auxbasis and its reason, metric, frozen orbitals, SCF.
    settings : dict
        fused, precision (the one that was used), accuracy, frozen, integrals, density_fit,
        scf_auxbasis, conv_tol, and every other setting that changes the energy.
    memory : dict of str to float
        MB: forecast, max_memory and, if it was measured, peak.
    provenance : Provenance
    notes : tuple of str
        Warnings and remarks about the energy.
    versions : dict of str to str
        Version by program.
    read_from : str or None
        Run file, device and time, if the result was read and not computed. Not in the JSON.
    hamiltonian : tuple of str
        What makes the Hamiltonian another one than that of the plain molecule, such as "sfX2C1e".
    scf : dict
        How dfmp2 did the SCF: algorithm, exact_builds, fitted_iterations, seconds, and reason where
        it was another algorithm than asked for. Empty if it was not done by dfmp2.
    has_digest : bool
        False for a result that was read from a file without a digest, as version 0.1.0 wrote it:
        a change of its numbers cannot be seen. Not in the JSON.

    Raises
    ------
    ValidationError
        If an energy is not a finite number.
    """

    molecule: PlainMolecule
    reference: str
    e_hf: float
    e_os_pairs: NDArray[np.float64]
    e_ss_pairs: NDArray[np.float64]
    occupied: tuple[int, ...]
    frozen: tuple[int, ...]
    sizes: dict[str, int]
    labels: dict[str, str]
    settings: dict[str, Any]
    memory: dict[str, float]
    provenance: Provenance
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    read_from: str | None = None
    hamiltonian: tuple[str, ...] = ()
    scf: dict[str, Any] = field(default_factory=dict)
    has_digest: bool = True

    def __post_init__(self) -> None:
        if not np.isfinite([self.e_hf, self.e_corr_os, self.e_corr_ss]).all():
            raise ValidationError(
                f"{self.molecule.name}: the energies are not finite numbers (E(HF) {self.e_hf}, "
                f"E(MP2) correlation {self.e_corr}); check the orbital energies, and use precision "
                "fp64"
            )

    @property
    def e_corr_os(self) -> float:
        """Opposite-spin correlation energy."""
        return float(self.e_os_pairs.sum())

    @property
    def e_corr_ss(self) -> float:
        """Same-spin correlation energy."""
        return float(self.e_ss_pairs.sum())

    @property
    def e_corr(self) -> float:
        """MP2 correlation energy."""
        return self.e_corr_os + self.e_corr_ss

    @property
    def e_tot(self) -> float:
        """Reference plus MP2 correlation energy."""
        return self.e_hf + self.e_corr

    @property
    def e_tot_scs(self) -> float:
        """Total SCS-MP2 energy."""
        return self.e_hf + scs_energy(self.e_corr_os, self.e_corr_ss)

    @property
    def e_tot_sos(self) -> float:
        """Total SOS-MP2 energy."""
        return self.e_hf + sos_energy(self.e_corr_os)

    @property
    def pair_energies(self) -> NDArray[np.float64]:
        """Correlation energy by pair: shape (nocc, nocc), symmetric. The sum is `e_corr`."""
        return self.e_os_pairs + self.e_ss_pairs

    def to_qcschema(self) -> dict[str, Any]:
        """The result as a QCSchema AtomicResult in plain JSON types.

        ``extras.dfmp2.digest`` is a checksum of all else under ``extras.dfmp2``, which holds every
        number of the result.

        Raises
        ------
        ValidationError
            If a number is not finite. JSON has no such numbers.
        """
        mol = self.molecule
        atoms = [element_of(symbol) for symbol in mol.symbols]
        names = self.labels
        return {
            "schema_name": "qcschema_output",
            "schema_version": 1,
            "molecule": {
                "schema_name": "qcschema_molecule",
                "schema_version": 2,
                "name": mol.name,
                "symbols": [symbol for symbol, _ in atoms],
                "geometry": [x for xyz in mol.coordinates for x in xyz],
                "real": [real for _, real in atoms],
                "molecular_charge": mol.charge,
                "molecular_multiplicity": mol.spin + 1,
                "fix_com": True,
                "fix_orientation": True,
            },
            "driver": "energy",
            "model": {"method": "df-mp2", "basis": names["basis"]},
            "keywords": {key: value for key, value in self.settings.items() if value is not None},
            "properties": {
                "return_energy": self.e_tot,
                "scf_total_energy": self.e_hf,
                "mp2_correlation_energy": self.e_corr,
                "mp2_total_energy": self.e_tot,
                "mp2_same_spin_correlation_energy": self.e_corr_ss,
                "mp2_opposite_spin_correlation_energy": self.e_corr_os,
                "calcinfo_natom": len(mol.symbols),
                "calcinfo_nbasis": self.sizes["nao"],
            },
            "return_result": self.e_tot,
            "success": True,
            "provenance": {
                "creator": "dfmp2",
                "version": self.versions.get("dfmp2", ""),
                "routine": "dfmp2.DFMP2",
            },
            "extras": {"dfmp2": self._extras()},
        }

    def _extras(self) -> dict[str, Any]:
        mol = self.molecule
        extras = {
            "molecule": {
                "name": mol.name,
                "symbols": list(mol.symbols),
                "coordinates": [list(xyz) for xyz in mol.coordinates],
                "charge": mol.charge,
                "spin": mol.spin,
                "basis": mol.basis,
                "auxbasis": mol.auxbasis,
                "ecp": mol.ecp,
                "cart": mol.cart,
            },
            "reference": self.reference,
            "e_hf": self.e_hf,
            "e_tot_scs": self.e_tot_scs,
            "e_tot_sos": self.e_tot_sos,
            "e_os_pairs": self.e_os_pairs.tolist(),
            "e_ss_pairs": self.e_ss_pairs.tolist(),
            "occupied": list(self.occupied),
            "frozen": list(self.frozen),
            "sizes": self.sizes,
            "labels": self.labels,
            "settings": self.settings,
            "memory_mb": self.memory,
            "provenance": self.provenance.to_dict(),
            "notes": list(self.notes),
            "versions": self.versions,
            "hamiltonian": list(self.hamiltonian),
            **({"scf": self.scf} if self.scf else {}),
        }
        try:
            return {**extras, "digest": digest(extras)}
        except ValueError as error:
            raise ValidationError(
                f"{mol.name}: the result holds a number that is not finite, so it is not written"
            ) from error

    @classmethod
    def from_qcschema(cls, data: dict[str, Any], source: str) -> Result:
        """The inverse of `to_qcschema`.

        Parameters
        ----------
        data : dict
            Parsed JSON that this or an earlier version of dfmp2 wrote.
        source : str
            Name of the file, for error messages.

        Returns
        -------
        Result

        Raises
        ------
        CheckpointError
            If dfmp2 did not write the data, or if they do not match their digest.
        ValidationError
            If an energy is not the sum of the pair energies, or the two descriptions of the
            molecule differ.
        """
        try:
            own = data["extras"]["dfmp2"]
            check_form(own)
            result = cls(
                molecule=PlainMolecule.from_plain(own["molecule"]),
                reference=own["reference"],
                e_hf=float(own["e_hf"]),
                e_os_pairs=_square(own["e_os_pairs"]),
                e_ss_pairs=_square(own["e_ss_pairs"]),
                occupied=tuple(own["occupied"]),
                frozen=tuple(own["frozen"]),
                sizes=own["sizes"],
                labels=own["labels"],
                settings=own["settings"],
                memory=own["memory_mb"],
                provenance=Provenance.from_dict(own["provenance"]),
                notes=tuple(own["notes"]),
                versions=own["versions"],
                hamiltonian=tuple(own.get("hamiltonian", ())),
                scf=own.get("scf", {}),
                has_digest="digest" in own,
            )
            schema = result.to_qcschema()
            if data.get("molecule") != schema["molecule"]:
                raise ValidationError(
                    f"{source}: its molecule is not the one of extras.dfmp2; the file was changed "
                    "after dfmp2 wrote it"
                )
            energies = {"return_result": result.e_tot, **schema["properties"]}
            for name, value in energies.items():
                stored = {**data, **data["properties"]}.get(name, value)
                if not abs(stored - value) <= ROUNDING:
                    raise ValidationError(
                        f"{source}: {name} is {stored}, but its pair energies give {value:.10f}; "
                        "the file was changed after dfmp2 wrote it"
                    )
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"{source}: is not a result of dfmp2 ({type(error).__name__}: {error}); "
                "write one with dfmp2 run --json FILE"
            ) from error
        rest = {name: value for name, value in own.items() if name != "digest"}
        if result.has_digest and own["digest"] != digest(rest):
            raise CheckpointError(
                f"{source}: does not match its digest: the file was changed after dfmp2 wrote it; "
                "restore it, or write it again with dfmp2 run --json FILE"
            )
        return result


def read_results(path: str) -> list[Result]:
    """Read the results in a JSON file: one AtomicResult, or a list of them.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of Result

    Raises
    ------
    CheckpointError
        If the file cannot be read, was not written by dfmp2, or was changed.
    ValidationError
        As `Result.from_qcschema`.
    """
    return [Result.from_qcschema(item, path) for item in read_json(path)]


def _square(rows: list[list[float]]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(rows))
