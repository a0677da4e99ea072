"""Nuclear gradients for PySCF: `DFMP2.nuc_grad_method` and its scanner.

They have the attributes that PySCF's own gradient objects have, so that its geometry optimisers
take them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pyscf import lib
from pyscf.grad.rhf import GradientsBase

from dfmp2.errors import InputError

__all__ = ["DFMP2GradScanner", "Gradients"]


class Gradients(GradientsBase):  # type: ignore[misc]
    """The nuclear gradient of a `DFMP2`, as PySCF's gradient objects are used.

    Parameters
    ----------
    mp : DFMP2
        Its energies are those of the same pass afterwards.

    Attributes
    ----------
    base : DFMP2
    mol : pyscf.gto.Mole
    atmlst : sequence of int or None
        Atoms whose gradient is returned; None for all.
    method : str or None
        Key of `DFMP2.energies` of the method: "MP2", "SCS-MP2", "kappa-MP2(1.45)". None takes that
        of `e_corr`.
    de : ndarray, shape (number of atoms, 3), float64, hartree/bohr
        Of the total energy. None before the first run.
    de_mm : ndarray, shape (number of point charges, 3), float64, hartree/bohr, or None
        On the point charges of `qmmm.mm_charge`. None without them.

    Examples
    --------
    >>> from pyscf import gto, scf
    >>> from dfmp2 import DFMP2
    >>> mol = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="cc-pvdz", verbose=0)
    >>> gradient = DFMP2(scf.RHF(mol).run(conv_tol=1e-11)).nuc_grad_method()
    >>> bool(abs(gradient.kernel().sum(axis=0)).max() < 1e-8)
    True
    """

    _keys: ClassVar[set[str]] = {"method", "de_mm"}

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.max_memory = mp.max_memory
        self.method: str | None = None
        self.de_mm: NDArray[np.float64] | None = None

    def kernel(self, atmlst: Any = None) -> NDArray[np.float64]:
        """Compute the gradient, and the energies with it.

        Parameters
        ----------
        atmlst : sequence of int, optional
            As the attribute.

        Returns
        -------
        ndarray, shape (number of atoms, 3), float64, hartree/bohr

        Raises
        ------
        InputError
            For an unknown method, or a reference whose gradient is not provided.
        """
        if atmlst is not None:
            self.atmlst = atmlst
        self.de = None  # none is left of an earlier geometry if this run fails
        self.mol = self.base.mol
        atoms = _atoms(self.atmlst, self.mol.natm)
        found = self.base.gradient(self.method)
        de: NDArray[np.float64] = found.de[atoms]
        self.de, self.de_mm = de, found.de_mm
        self._finalize()
        return de

    grad = lib.alias(kernel, alias_name="grad")

    @property
    def e_tot(self) -> float:
        """Total energy of the method of the gradient, hartree."""
        energies = self.base.energies
        name = self.method or self.base.result.method
        if name not in energies:
            raise InputError(f"method {name!r} is unknown; choose one of {', '.join(energies)}")
        return float(energies[name]["total"])

    @property
    def converged(self) -> bool:
        """Whether there is a gradient. An SCF that did not converge is an error."""
        return self.de is not None

    def as_scanner(self) -> Any:
        """An object that is called with geometries and returns total energy and gradient.

        Returns
        -------
        DFMP2GradScanner
        """
        if isinstance(self, lib.GradScanner):
            return self
        name = type(self).__name__ + DFMP2GradScanner.__name_mixin__
        return lib.set_class(DFMP2GradScanner(self), (DFMP2GradScanner, type(self)), name)

    def to_gpu(self) -> Gradients:
        """The gradient of `DFMP2.to_gpu`."""
        moved = type(self)(self.base.to_gpu())
        moved.method, moved.atmlst = self.method, self.atmlst
        return moved


class DFMP2GradScanner(lib.GradScanner):  # type: ignore[misc]
    """Energy and gradient along a series of geometries, with the options of a `DFMP2`."""

    e_tot = Gradients.e_tot
    converged = Gradients.converged

    def __call__(self, mol_or_geom: Any, **kwargs: Any) -> tuple[float, NDArray[np.float64]]:
        """Total energy and gradient at a geometry.

        Parameters
        ----------
        mol_or_geom : pyscf.gto.Mole, str, list, or ndarray of shape (natm, 3)
            As of `dfmp2.interfaces.scanner.DFMP2Scanner`.
        **kwargs
            As of `Gradients.kernel`.

        Returns
        -------
        float
            Hartree.
        ndarray, shape (number of atoms, 3), float64, hartree/bohr

        Raises
        ------
        DFMP2Error
            As of `DFMP2Scanner`.
        """
        gradients: Any = self  # the other base class is `Gradients`
        gradients.de = None
        self.base.move(mol_or_geom)
        de = gradients.kernel(**kwargs)
        return gradients.e_tot, de


def _atoms(atmlst: Any, natm: int) -> Any:
    """The atoms as an index of rows."""
    if atmlst is None:
        return slice(None)
    atoms = np.asarray(atmlst)
    whole = atoms.ndim == 1 and (atoms.size == 0 or atoms.dtype.kind in "iu")
    if not (whole and np.isin(atoms, np.arange(natm)).all()):
        raise InputError(f"atmlst {atmlst!r} are no indices of {natm} atoms, from 0")
    return atoms.astype(int)
