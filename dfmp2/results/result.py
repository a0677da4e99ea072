"""The result of a run: energies, their input, and the devices that computed them.

A `Result` contains plain data only, no PySCF objects. It is written as a QCSchema AtomicResult
(https://molssi-qc-schema.readthedocs.io) and can be read again without loss. Values that have no
name in the schema are under ``extras.dfmp2``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError, ValidationError
from dfmp2.molecules.plain import PlainMolecule, element_of
from dfmp2.results.form import check_form, digest, read_json
from dfmp2.results.properties import GradientRecord, Properties
from dfmp2.results.provenance import Provenance
from dfmp2.results.variants import VARIANTS, Regularised, kappa_name, scaled_name

__all__ = ["OPTIMIZATION", "ROUNDING", "Result", "read_results"]

OPTIMIZATION = "qcschema_optimization_output"
"""Name of the schema of an optimisation, whose points are results."""

ROUNDING = 1e-11
"""Hartree. Sums over the same pair energies in another order differ by less than this."""

CHANGED = "the file was changed after dfmp2 wrote it: restore it, or compute again"


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one DF-MP2 calculation. Energies are in hartree.

    Attributes
    ----------
    molecule : PlainMolecule
    reference : {"RHF", "UHF", "ROHF", "RKS", "UKS"}
    e_hf : float
        Energy of the reference; of the Kohn-Sham part of a double hybrid.
    e_os_pairs, e_ss_pairs : ndarray, shape (nocc, nocc), float64, hartree
        Opposite- and same-spin pair energies, symmetric. The sum over all elements is the energy.
        The orbitals of an open shell are those of alpha, then those of beta.
    occupied, frozen : tuple of int, or of two tuples of int
        Indices of the correlated occupied and of the frozen orbitals, from 0. Of an open shell
        those of alpha and those of beta.
    sizes : dict of str to int
        nao, nocc, nvir, naux; of an open shell nao, nocc_a, nvir_a, nocc_b, nvir_b, naux.
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
    e_singles : float
        Energy of the single excitations of an ROHF reference, contained in `e_corr`.
    regularised : tuple of Regularised
        Energies of kappa-regularised MP2.
    spin_square : float or None
        <S^2> of the reference of an open shell.
    e_dispersion : float
        Dispersion energy of a double hybrid, contained in `e_tot`.
    gradient : GradientRecord or None
        The nuclear gradient, if it was computed.
    properties : Properties or None
        Moments and natural occupations, if they were computed.

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
    occupied: tuple[Any, ...]
    frozen: tuple[Any, ...]
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
    e_singles: float = 0.0
    regularised: tuple[Regularised, ...] = ()
    spin_square: float | None = None
    e_dispersion: float = 0.0
    gradient: GradientRecord | None = None
    properties: Properties | None = None

    def __post_init__(self) -> None:
        energies = [self.e_hf, self.e_corr_os, self.e_corr_ss, self.e_singles]
        energies.append(self.e_dispersion)
        energies += [e for one in self.regularised for e in (one.e_os, one.e_ss)]
        if not np.isfinite(energies).all():
            raise ValidationError(
                f"{self.molecule.name}: the energies are not finite numbers (reference "
                f"{self.e_hf}, correlation {self.e_corr}); check the orbital energies, and use "
                "precision fp64"
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
    def double_hybrid(self) -> str | None:
        """Name of the double hybrid; with a remark if its dispersion was left out."""
        name = self.settings.get("xc")
        left_out = name is not None and name.endswith(("-D3BJ", "-D4"))
        left_out &= self.settings.get("dispersion") is False
        return f"{name} without dispersion" if left_out else name

    @property
    def scale(self) -> tuple[float, float] | None:
        """Weights of opposite and same spin in `e_corr`: the user's, or of the double hybrid."""
        chosen = self.settings.get("scale" if self.double_hybrid is None else "pt2_scale")
        return None if chosen is None else (float(chosen[0]), float(chosen[1]))

    @property
    def method(self) -> str:
        """Key of `energies` of the method that `e_corr` and `e_tot` belong to."""
        if self.double_hybrid is not None:
            return self.double_hybrid
        return "MP2" if self.scale is None else scaled_name(self.scale)

    @property
    def e_corr(self) -> float:
        """MP2 correlation energy, with singles; scaled if weights were chosen."""
        return self.energies[self.method]["correlation"]

    @property
    def e_tot(self) -> float:
        """Reference plus correlation energy, plus the dispersion energy of a double hybrid."""
        return self.e_hf + self.e_corr + self.e_dispersion

    @property
    def e_tot_scs(self) -> float:
        """Total SCS-MP2 energy."""
        return self._total("SCS-MP2")

    @property
    def e_tot_sos(self) -> float:
        """Total SOS-MP2 energy."""
        return self._total("SOS-MP2")

    def _total(self, method: str) -> float:
        if self.double_hybrid is not None:
            raise AttributeError(f"{method} is not defined for the double hybrid {self.method}")
        return self.energies[method]["total"]

    @property
    def energies(self) -> dict[str, dict[str, float]]:
        """Correlation and total energy of each method, from one pass over the pairs."""
        e_os, e_ss = self.e_corr_os, self.e_corr_ss
        if self.double_hybrid is not None and self.scale is not None:
            energy = self.scale[0] * e_os + self.scale[1] * e_ss
            total = self.e_hf + energy + self.e_dispersion
            return {self.double_hybrid: {"correlation": energy, "total": total}}
        found = {one.name: one.energy(e_os, e_ss) for one in VARIANTS}
        if self.scale is not None:
            found[scaled_name(self.scale)] = self.scale[0] * e_os + self.scale[1] * e_ss
        for one in self.regularised:
            found[kappa_name(one.kappa)] = one.e_os + one.e_ss
        return {
            name: {
                "correlation": energy + self.e_singles,
                "total": self.e_hf + (energy + self.e_singles),
            }
            for name, energy in found.items()
        }

    @property
    def parts(self) -> dict[str, float]:
        """What the energy of a double hybrid is the sum of, hartree: weighted, all of it."""
        opposite, same = self.scale or (1.0, 1.0)
        return {
            "ks": self.e_hf,
            "pt2_opposite_spin": opposite * self.e_corr_os,
            "pt2_same_spin": same * self.e_corr_ss,
            "dispersion": self.e_dispersion,
        }

    @property
    def open_shell(self) -> bool:
        """Whether alpha and beta have orbitals of their own."""
        return "nocc_a" in self.sizes

    @property
    def pair_energies(self) -> Any:
        """MP2 correlation energy by pair, without singles.

        Closed shell: shape (nocc, nocc), symmetric; the sum is the energy. Open shell: a dict with
        "aa" and "bb", both symmetric, and "ab"; the sum over all three is the energy.
        """
        pairs = self.e_os_pairs + self.e_ss_pairs
        if not self.open_shell:
            return pairs
        n = self.sizes["nocc_a"]
        return {"aa": pairs[:n, :n], "bb": pairs[n:, n:], "ab": 2 * pairs[:n, n:]}

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
            "driver": "energy" if self.gradient is None else "gradient",
            "model": {"method": self._model, "basis": names["basis"]},
            "keywords": {key: value for key, value in self.settings.items() if value is not None},
            "properties": {
                "return_energy": self._return_energy,
                "scf_total_energy": self.e_hf,
                "mp2_correlation_energy": self.e_corr,
                **(
                    {"mp2_total_energy": self.e_tot}
                    if self.double_hybrid is None
                    else {"scf_dispersion_correction_energy": self.e_dispersion}
                ),
                "mp2_same_spin_correlation_energy": self.e_corr_ss,
                "mp2_opposite_spin_correlation_energy": self.e_corr_os,
                **({"mp2_singles_energy": self.e_singles} if self.reference == "ROHF" else {}),
                "calcinfo_natom": len(mol.symbols),
                "calcinfo_nbasis": self.sizes["nao"],
                **self._derivatives(),
            },
            "return_result": self._return_energy if self.gradient is None else self._flat,
            "success": True,
            "provenance": {
                "creator": "dfmp2",
                "version": self.versions.get("dfmp2", ""),
                "routine": "dfmp2.DFMP2",
            },
            "extras": {"dfmp2": self._extras()},
        }

    @property
    def _model(self) -> str:
        """The method of a QCSchema model; that of the gradient if there is one."""
        method = "MP2" if self.gradient is None else self.gradient.method
        return (self.double_hybrid or ("df-mp2" if method == "MP2" else f"df-{method}")).lower()

    @property
    def _return_energy(self) -> float:
        """The total energy; of the method of the gradient if there is one."""
        if self.gradient is None:
            return self.e_tot
        return self.energies[self.gradient.method]["total"]

    @property
    def _flat(self) -> list[float]:
        """The gradient as QCSchema has it."""
        return [] if self.gradient is None else [x for row in self.gradient.de for x in row]

    def _derivatives(self) -> dict[str, Any]:
        """Properties of QCSchema beside energies."""
        found: dict[str, Any] = {}
        if self.gradient is not None:
            found["return_gradient"] = self._flat
        if self.properties is not None:
            dipole = list(self.properties.dipole)
            if self.properties.method == "MP2":
                found["mp2_dipole_moment"] = dipole
        return found

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
            "e_ks" if self.reference.endswith("KS") else "e_hf": self.e_hf,
            "e_os_pairs": self.e_os_pairs.tolist(),
            "e_ss_pairs": self.e_ss_pairs.tolist(),
            "occupied": _lists(self.occupied),
            "frozen": _lists(self.frozen),
            "sizes": self.sizes,
            "labels": self.labels,
            "settings": self.settings,
            "memory_mb": self.memory,
            "provenance": self.provenance.to_dict(),
            "notes": list(self.notes),
            "versions": self.versions,
            "hamiltonian": list(self.hamiltonian),
            "energies": self.energies,
            **({"scf": self.scf} if self.scf else {}),
        }
        if self.open_shell:
            extras |= {"e_singles": self.e_singles, "spin_square": self.spin_square}
        if self.double_hybrid is None:
            extras |= {"e_tot_scs": self.e_tot_scs, "e_tot_sos": self.e_tot_sos}
        else:
            extras |= {"e_dispersion": self.e_dispersion, "parts": self.parts}
        if self.regularised:
            extras["regularised"] = [asdict(one) for one in self.regularised]
        if self.gradient is not None:
            extras["gradient"] = _plain(asdict(self.gradient))
        if self.properties is not None:
            extras["properties"] = _plain(asdict(self.properties))
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
            If dfmp2 did not write the data, or if they were changed: they do not match their
            digest, an energy is not the sum of the pair energies, or a value outside ``extras`` is
            not the one in it.
        """
        extras = data.get("extras") if isinstance(data, dict) else None
        own = extras.get("dfmp2") if isinstance(extras, dict) else None
        if isinstance(data, dict) and data.get("schema_name") == OPTIMIZATION:
            raise CheckpointError(
                f"{source}: is a geometry optimisation, not one result; take one point of its "
                "trajectory, or the files that dfmp2 optimize wrote beside it"
            )
        if not isinstance(own, dict):
            raise CheckpointError(
                f"{source}: is not a result of dfmp2 (it has no extras.dfmp2); write one with "
                "dfmp2 run --json FILE"
            )
        try:
            check_form(own)
            result = cls(
                molecule=PlainMolecule.from_plain(own["molecule"]),
                reference=own["reference"],
                e_hf=float(own["e_ks"] if "e_ks" in own else own["e_hf"]),
                e_os_pairs=_square(own["e_os_pairs"]),
                e_ss_pairs=_square(own["e_ss_pairs"]),
                occupied=_tuples(own["occupied"]),
                frozen=_tuples(own["frozen"]),
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
                e_singles=float(own.get("e_singles", 0.0)),
                regularised=tuple(Regularised(**one) for one in own.get("regularised", ())),
                spin_square=own.get("spin_square"),
                e_dispersion=float(own.get("e_dispersion", 0.0)),
                gradient=GradientRecord.from_plain(own["gradient"]) if "gradient" in own else None,
                properties=Properties.from_plain(own["properties"])
                if "properties" in own
                else None,
            )
            _require_unchanged(data, result, source)
        except ValidationError as error:
            raise CheckpointError(f"{source}: {error}") from error
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"{source}: is not a result of dfmp2 ({type(error).__name__}: {error}); "
                "write one with dfmp2 run --json FILE"
            ) from error
        rest = {name: value for name, value in own.items() if name != "digest"}
        if result.has_digest and own["digest"] != digest(rest):
            raise CheckpointError(f"{source}: does not match its digest; {CHANGED}")
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
    """
    return [Result.from_qcschema(item, path) for item in read_json(path)]


def _plain(value: Any) -> Any:
    """The value with lists for tuples, as JSON gives it back."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _lists(indices: tuple[Any, ...]) -> list[Any]:
    return [list(one) if isinstance(one, tuple) else one for one in indices]


def _tuples(indices: list[Any]) -> tuple[Any, ...]:
    return tuple(tuple(one) if isinstance(one, list) else one for one in indices)


def _require_unchanged(data: dict[str, Any], result: Result, source: str) -> None:
    """Compare what stands outside ``extras`` with the result that ``extras`` holds."""
    schema = result.to_qcschema()
    for name in ("molecule", "driver", "model", "keywords", "success"):
        if data[name] != schema[name]:
            raise CheckpointError(f"{source}: its {name} is not the one of extras.dfmp2; {CHANGED}")
    written = {**data.get("provenance", {}), **data}  # other programs may add or leave out some
    for name in ("schema_name", "schema_version", "creator", "routine"):
        value = {**schema, **schema["provenance"]}[name]
        if written.get(name, value) != value:
            raise CheckpointError(f"{source}: its {name} is not the one of dfmp2; {CHANGED}")
    own = {"return_result": schema["return_result"], **schema["properties"]}
    for name, value in own.items():
        stored = {**data, **data["properties"]}.get(name, value)
        if isinstance(value, list):
            if stored != value:
                raise CheckpointError(
                    f"{source}: its {name} is not the one of extras.dfmp2; {CHANGED}"
                )
        elif not abs(stored - value) <= ROUNDING:
            raise CheckpointError(
                f"{source}: {name} is {stored}, but extras.dfmp2 gives {value:.10f}; {CHANGED}"
            )


def _square(rows: list[list[float]]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(rows))
