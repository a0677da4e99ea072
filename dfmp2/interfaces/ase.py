"""An ASE calculator: energy, forces and dipole moment of DF-MP2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyscf.lib import param

try:
    from ase.calculators.calculator import Calculator, all_changes
    from ase.units import Hartree
except ImportError as error:
    raise ImportError(
        "dfmp2.interfaces.ase needs ASE; install it with pip install 'dfmp2[ase]'"
    ) from error

from dfmp2.errors import InputError
from dfmp2.foreign_errors import translated
from dfmp2.interfaces.pyscf import DFMP2
from dfmp2.interfaces.values import accepted
from dfmp2.methods.properties import dipole_moment
from dfmp2.molecules.build import build_mole
from dfmp2.molecules.geometry import Geometry
from dfmp2.references.scf import new_scf
from dfmp2.settings import Settings

__all__ = ["DFMP2Calculator"]

_SCF_PARAMETERS = {
    "basis": None,
    "charge": 0,
    "spin": 0,
    "ecp": "auto",
    "reference": "auto",
    "density_fit": False,
    "scf_auxbasis": None,
    "conv_tol": 1e-11,
    "conv_tol_grad": 1e-7,
    "max_cycle": 100,
}

_MP2_PARAMETERS = {
    "auxbasis": None,
    "frozen": None,
    "method": None,
    "kappa": (),
    "scale": None,
    "max_memory": None,
}


class DFMP2Calculator(Calculator):  # type: ignore[misc]
    """Density-fitted MP2 for ASE.

    Parameters
    ----------
    atoms : ase.Atoms, optional
        Molecule to attach to.
    basis : str or dict
        Orbital basis. Required.
    charge, spin : int
        Charge, and number of unpaired electrons (2S). Initial charges and magnetic moments of the
        atoms are not read; if their sum differs from these, it is an error.
    ecp, reference, density_fit, scf_auxbasis, conv_tol, max_cycle
        Of the SCF, as the options of the command line.
    conv_tol_grad : float
        Threshold of the orbital gradient of the SCF, hartree.
    auxbasis, frozen, kappa, scale, max_memory
        As the attributes of `DFMP2`.
    method : str, optional
        Key of `DFMP2.energies`: "MP2", "SCS-MP2", "kappa-MP2(1.45)". The default is MP2, or the
        method of `scale`.

    Notes
    -----
    Energies in eV, forces in eV/Å, dipole moments in e Å (of the relaxed density, about the origin
    of the coordinates). The SCF of a new geometry starts from the density of the geometry before.

    Examples
    --------
    >>> from ase import Atoms
    >>> from dfmp2.interfaces.ase import DFMP2Calculator
    >>> h2 = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    >>> h2.calc = DFMP2Calculator(basis="cc-pvdz")
    >>> round(float(h2.get_potential_energy()), 3)
    -31.397
    """

    name = "dfmp2"
    implemented_properties = ["energy", "free_energy", "forces", "dipole"]  # noqa: RUF012
    default_parameters = {**_SCF_PARAMETERS, **_MP2_PARAMETERS}  # noqa: RUF012
    ignored_changes = {"cell"}  # noqa: RUF012
    discard_results_on_any_change = True

    def __init__(self, atoms: Any = None, **parameters: Any) -> None:
        self._scanner: Any = None
        self._made_for: Any = None
        super().__init__(atoms=atoms, **parameters)

    def set(self, **parameters: Any) -> Any:
        """Change parameters. Energies and orbitals are forgotten.

        Raises
        ------
        InputError
            For an unknown parameter or a value that it does not take.
        """
        for name, value in parameters.items():
            if name not in self.default_parameters:
                known = ", ".join(sorted(self.default_parameters))
                raise InputError(f"DFMP2Calculator has no parameter {name!r}; it has {known}")
            if name in ("kappa", "scale", "max_memory"):
                accepted(name, value)
        changed = super().set(**parameters)
        if changed:
            self._scanner = None
            self.reset()
        return changed

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute properties, as ASE calls it. The energy alone needs no gradient.

        Raises
        ------
        InputError
            For periodic atoms, or charges and moments that contradict `charge` and `spin`.
        DFMP2Error
            As `DFMP2.kernel`.
        """
        super().calculate(atoms, properties, system_changes)
        scanner = self._scanner_of(self.atoms)
        mol = scanner.mol.set_geom_(self.atoms.get_positions(), unit="Angstrom", inplace=False)
        method = self.parameters.method
        if "forces" in properties:
            energy, de = scanner(mol)
            # PySCF's factor made bohr of the positions. ASE's differs in the tenth digit.
            self.results["forces"] = -de * Hartree / param.BOHR
        else:
            scanner.base.move(mol)
            scanner.base.kernel()
            energy = scanner.e_tot
        self.results["energy"] = self.results["free_energy"] = float(energy) * Hartree
        if "dipole" in properties:
            density = scanner.base.make_rdm1(relaxed=True, ao_repr=True, method=method)
            total = sum(density) if isinstance(density, tuple) else density
            self.results["dipole"] = dipole_moment(mol, np.asarray(total)) * param.BOHR

    def _scanner_of(self, atoms: Any) -> Any:
        """The scanner of these elements; a new one for others."""
        if atoms.pbc.any():
            raise InputError(
                "the atoms are periodic (atoms.pbc), but dfmp2 treats molecules only; set "
                "atoms.pbc = False"
            )
        chosen = self.parameters
        self._check_electrons(atoms)
        symbols = tuple(atoms.get_chemical_symbols())
        if self._scanner is None or self._made_for != symbols:
            self._scanner, self._made_for = _new_scanner(symbols, atoms, chosen), symbols
        return self._scanner

    def _check_electrons(self, atoms: Any) -> None:
        for name, given, total in (
            ("charge", self.parameters.charge, atoms.get_initial_charges().sum()),
            ("spin", self.parameters.spin, atoms.get_initial_magnetic_moments().sum()),
        ):
            if abs(total) > 1e-6 and abs(abs(total) - abs(given or 0)) > 1e-6:
                raise InputError(
                    f"the atoms have initial {'charges' if name == 'charge' else 'moments'} with "
                    f"the sum {total:g}, but {name} is {given}; give {name}= to DFMP2Calculator, "
                    "or remove them from the atoms"
                )


def _new_scanner(symbols: tuple[str, ...], atoms: Any, chosen: Any) -> Any:
    if chosen.basis is None:
        raise InputError("DFMP2Calculator needs a basis, as in DFMP2Calculator(basis='cc-pvdz')")
    settings = Settings.chosen({**chosen, "scf_algorithm": "direct"})
    positions = [(float(x), float(y), float(z)) for x, y, z in atoms.get_positions()]
    geometry = Geometry(tuple(zip(symbols, positions, strict=True)))
    with translated("setting up the molecule", "check the atoms, the charge and the basis"):
        mol = build_mole(
            geometry, settings.basis, settings.charge, settings.spin, settings.ecp, "atoms"
        )
    mf = new_scf(mol, settings)
    mf.conv_tol, mf.conv_tol_grad = settings.conv_tol, chosen.conv_tol_grad
    mf.max_cycle = settings.max_cycle
    mp = DFMP2(mf, frozen=chosen.frozen, auxbasis=chosen.auxbasis)
    mp.set(kappa=chosen.kappa, scale=chosen.scale)
    if chosen.max_memory is not None:
        mp.max_memory = chosen.max_memory
    gradients = mp.nuc_grad_method()
    gradients.method = chosen.method
    return gradients.as_scanner()
