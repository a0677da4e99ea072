"""Every option of a calculation, once.

The command line and the class `DFMP2` both fill in a `Settings`. A new option is a field here, a
click option of the same name, and a line in the module that uses it. How a field is kept in the run
file stands beside it:

- `SCF` and `METHOD` fields are stored, so that `dfmp2 resume` continues with them;
- `ENERGY` fields are stored, too, and belong to the identity of the input: a run file with another
  value is the file of another calculation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from dfmp2 import defaults

__all__ = [
    "BACKENDS",
    "BLAS",
    "CHECKS",
    "INTEGRALS",
    "REFERENCES",
    "SCF_ALGORITHMS",
    "UNITS",
    "BasisSpec",
    "Frozen",
    "Settings",
]

BACKENDS = ("auto", "pytorch", "nki", "simulator")
"""Values of the setting `backend`."""

BLAS = ("auto", "torch", "numpy")
"""Values of the setting `blas`."""

CHECKS = ("auto", "full", "off")
"""Values of the setting `check_reference`."""

INTEGRALS = ("auto", "libcint", "gpu4pyscf", "scf")
"""Values of the setting `integrals`."""

REFERENCES = ("auto", "rhf", "uhf", "rohf")
"""Values of the setting `reference`."""

SCF_ALGORITHMS = ("corrected", "direct", "fitted")
"""Values of the setting `scf_algorithm`."""

UNITS = ("angstrom", "bohr")
"""Values of the setting `unit`."""

BasisSpec = Any
"""A basis as PySCF takes it: a name, or a dict of element -> name or shells, with "default"."""

Frozen = int | Sequence[int] | Sequence[Sequence[int]] | str | None
"""None, a number of lowest orbitals, a list of orbital indices from 0, a pair of such lists for
alpha and beta, or "auto"."""

SCF = {"stored": "options"}
METHOD = {"stored": "calculation"}
ENERGY = {"stored": "calculation", "identity": True}


@dataclass(frozen=True)
class Settings:
    """The options of one calculation.

    Attributes
    ----------
    basis : str or dict
        Orbital basis.
    charge, spin : int or None
        Charge, and number of unpaired electrons (2S). None takes those of the geometry file, or 0.
    unit : str or None
        Unit of the coordinates in a geometry file. None takes that of the file, or Å.
    ecp : str or dict
        "auto", "none", or the name of a set of effective core potentials; or these by element.
    reference : str
        Kind of SCF: "auto" takes "rhf" without unpaired electrons, "uhf" otherwise.
    density_fit : bool
        Fit the integrals of the SCF.
    scf_auxbasis : str or dict, optional
        Auxiliary basis of a density-fitted SCF. None takes PySCF's Coulomb/exchange (JK) set.
    scf_algorithm : str
        "corrected": exact integrals by the corrected fitted SCF. "direct": by the ordinary SCF.
        "fitted": the same as `density_fit`, which wins over the other two.
    conv_tol : float
        Energy threshold of the SCF, hartree.
    max_cycle : int
        SCF iterations allowed.
    grid : int
        Level of PySCF's grid for the density functional of a double hybrid, 0 to 9.
    auxbasis : str or dict, optional
        Auxiliary basis of MP2. None takes the RI-MP2 set of the orbital basis.
    frozen : None, int, sequence of int, or "auto"
        Orbitals that are not correlated.
    max_memory : float or None
        MB (10^6 bytes) above the resident memory at the start of DF-MP2. None takes PySCF's value.
    backend, device : str or None
        As for `dfmp2.backends.selection.select`.
    blas : str
        Library of the matrix products on the CPU: torch's, NumPy's, or "auto", the faster one.
    precision : str or None
        Precision of the pair GEMMs: "fp64", "fp32" or "auto". None takes "fp64", and "auto" with
        NKI.
    accuracy : float
        Largest acceptable energy error from reduced precision, hartree.
    integrals : str
        Source of the three-centre integrals, as for `dfmp2.integrals.source.choose_source`.
    fused : bool
        Reduce each block of T where it is made, or form it first.
    kappa : tuple of float
        Parameters of regularised MP2 energies, 1/hartree.
    scale : tuple of float or None
        Weights of the opposite- and same-spin correlation energy in the method that is reported.
    xc : str or None
        A double hybrid, a name in `dfmp2.references.double_hybrids`.
    dispersion : bool
        Add the dispersion energy of a double hybrid whose name ends in -D3BJ or -D4.
    allow_ks : bool
        Accept Kohn-Sham orbitals.
    check_reference : str
        "auto": check orbitals and energies of the SCF cheaply; of a larger Kohn-Sham reference only
        the orthonormality. "full": with the whole Fock matrix. "off": only for NaN and infinity.
    check_stability : bool
        Look for a lower SCF solution (internal stability).
    checkpoint : str or None
        Path of the run file.
    keep : bool
        Keep a run file.
    restart : bool
        Replace an existing run file.
    checkpoint_interval : float
        Seconds between two commits to the run file.
    """

    basis: BasisSpec = field(default=None, metadata=SCF)
    charge: int | None = field(default=None, metadata=SCF)
    spin: int | None = field(default=None, metadata=SCF)
    unit: str | None = field(default=None, metadata=SCF)
    ecp: BasisSpec = field(default=defaults.ECP, metadata=SCF)
    reference: str = field(default=defaults.REFERENCE, metadata=SCF)
    density_fit: bool = field(default=False, metadata=SCF)
    scf_auxbasis: BasisSpec = field(default=None, metadata=SCF)
    scf_algorithm: str = field(default=defaults.SCF_ALGORITHM, metadata=SCF)
    conv_tol: float = field(default=defaults.CONV_TOL, metadata=SCF)
    max_cycle: int = field(default=defaults.MAX_CYCLE, metadata=SCF)
    grid: int = field(default=defaults.GRID, metadata=SCF)

    auxbasis: BasisSpec = field(default=None, metadata=METHOD)
    frozen: Frozen = field(default=None, metadata=METHOD)
    max_memory: float | None = field(default=None, metadata=METHOD)
    backend: str | None = field(default=None, metadata=METHOD)
    device: str | None = field(default=None, metadata=METHOD)
    blas: str = field(default=defaults.BLAS, metadata=METHOD)
    precision: str | None = field(default=None, metadata=METHOD)
    accuracy: float = field(default=defaults.ACCURACY, metadata=METHOD)
    integrals: str = field(default=defaults.INTEGRALS, metadata=METHOD)
    fused: bool = field(default=defaults.FUSED, metadata=ENERGY)
    kappa: tuple[float, ...] = field(default=(), metadata=ENERGY)
    scale: tuple[float, float] | None = field(default=None, metadata=ENERGY)
    xc: str | None = field(default=None, metadata=ENERGY)
    dispersion: bool = field(default=True, metadata=ENERGY)

    allow_ks: bool = False
    check_reference: str = defaults.CHECK_REFERENCE
    check_stability: bool = False
    checkpoint: str | None = None
    keep: bool = True
    restart: bool = False
    checkpoint_interval: float = defaults.CHECKPOINT_INTERVAL

    def __post_init__(self) -> None:
        """`density_fit` and the algorithm "fitted" are the same. JSON gives lists for tuples."""
        fitted = self.density_fit or self.scf_algorithm == "fitted"
        object.__setattr__(self, "density_fit", fitted)
        if fitted:
            object.__setattr__(self, "scf_algorithm", "fitted")
        object.__setattr__(self, "kappa", tuple(self.kappa))
        if self.scale is not None:
            object.__setattr__(self, "scale", tuple(self.scale))

    @classmethod
    def chosen(cls, options: Mapping[str, Any]) -> Settings:
        """The settings named in `options`; other names in it are left alone."""
        return cls(**{f.name: options[f.name] for f in fields(cls) if f.name in options})

    def stored(self, part: str) -> dict[str, Any]:
        """What the run file keeps under "options" (the SCF) or "calculation" (DF-MP2)."""
        names = (f.name for f in fields(self) if f.metadata.get("stored") == part)
        return {name: _plain(getattr(self, name)) for name in names}

    @classmethod
    def energy_defaults(cls) -> dict[str, Any]:
        """Defaults of the settings that identify an input."""
        return {f.name: f.default for f in fields(cls) if f.metadata.get("identity")}

    def identity(self) -> dict[str, Any]:
        """Settings that identify an input: `fused`, and all others that are not at their default.

        The default of a later option is left out, so that run files from before it are the same.
        """
        defaults_of = self.energy_defaults()
        chosen = {name: getattr(self, name) for name in defaults_of}
        return {n: _plain(v) for n, v in chosen.items() if n == "fused" or v != defaults_of[n]}


def _plain(value: Any) -> Any:
    """The value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
