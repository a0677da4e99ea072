"""Auxiliary sets that are made from the orbital basis, for elements without an RI-MP2 set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dfmp2.errors import InputError
from dfmp2.molecules.basis import BASIS_FAULTS, basis_entry, pure_symbol
from dfmp2.molecules.plain import Mole

__all__ = ["DEFAULT", "GENERATED", "generated_set"]

DEFAULT = "even-tempered"
"""The set for elements without an RI-MP2 set."""

RATIO = 1.8
"""Of successive exponents. See `_even_tempered` for what was measured."""

NEGLIGIBLE = 1e-3
"""Exponents with smaller contraction coefficients do not widen the range, as in PySCF's sets."""

Shells = list[Any]
"""Shells in PySCF's form: [l, [exponent, coefficient, ...], ...]."""


def generated_set(kind: str, mol: Mole, symbol: str) -> Shells:
    """Make an auxiliary set for one element. A ghost atom gets that of the real element.

    Parameters
    ----------
    kind : str
        One of `GENERATED`: "even-tempered", or PySCF's "autoaux" or "etb".
    mol : pyscf.gto.Mole
        Molecule with its orbital basis.
    symbol : str
        Atom label.

    Returns
    -------
    list
        Shells in PySCF's form.

    Raises
    ------
    InputError
        If PySCF's recipe fails for the orbital basis.
    """
    shells, element = basis_entry(mol._basis, symbol), pure_symbol(symbol)
    try:
        return GENERATED[kind](element, shells)
    except BASIS_FAULTS as error:
        raise InputError(
            f"auxiliary basis {kind!r} cannot be made for {symbol} ({type(error).__name__}: "
            f"{error}); use {DEFAULT!r}"
        ) from error


def _even_tempered(element: str, shells: Shells) -> Shells:
    """Uncontracted functions whose exponents cover all products of two orbital functions.

    A product of functions with angular momenta a and b on one atom has the momenta |a-b| to a+b and
    the sum of the exponents. Products with functions on other atoms need higher ones: the set goes
    to two above the largest of the orbital basis, with the exponents of its products.

    Measured against MP2 without fitting for 45 pairs of a molecule (H2O, HF, LiH, NaH, KH, H2S,
    HBr, HI, CH4, CO, N2, Cl2, Ne, Zn) and a basis (pc-n, ANO, DZP, TZP, LANL2DZ, ccECP, BFD, Dyall,
    def2 and others): the largest error is 1.6e-5 Eh, that of all but one pair is below 1e-5. A
    ratio of 2.0 about doubles it. PySCF's sets err by up to 1e-3 Eh (etb) and 3e-4 Eh (autoaux,
    which fails for two pairs). ``python -m tests.benchmarks.auxiliary_sets`` repeats a part.
    """
    from pyscf import gto

    momenta = sorted({shell[0] for shell in shells})
    exponents = {momentum: _exponents(shells, momentum) for momentum in momenta}
    largest = momenta[-1]
    top = max(largest + 2, 6) if largest == 3 and gto.charge(element) > 56 else largest + 2
    functions = []
    for momentum in range(top + 1):
        total = min(momentum, 2 * largest)
        pairs = [(a, b) for a in momenta for b in momenta if abs(a - b) <= total <= a + b]
        if not pairs:
            continue
        low = min(min(exponents[a]) + min(exponents[b]) for a, b in pairs)
        high = max(2 * math.sqrt(max(exponents[a]) * max(exponents[b])) for a, b in pairs)
        count = math.ceil(math.log(high / low, RATIO)) + 1 if high > low else 1
        functions.append((momentum, count, low, RATIO))
    return list(gto.expand_etbs(functions))


def _exponents(shells: Shells, momentum: int) -> list[float]:
    rows = [row for shell in shells if shell[0] == momentum for row in shell[1:]]
    rows = [row for row in rows if not isinstance(row, int)]  # the kappa of a spinor shell
    large = [row[0] for row in rows if max(map(abs, row[1:])) > NEGLIGIBLE]
    return large or [row[0] for row in rows]


def _etb(element: str, shells: Shells) -> Shells:
    from pyscf.df import aug_etb

    return list(aug_etb(_atom(element, shells))[element])


def _autoaux(element: str, shells: Shells) -> Shells:
    from pyscf.df import make_auxmol

    return list(make_auxmol(_atom(element, shells), "autoaux")._basis[element])


def _atom(element: str, shells: Shells) -> Mole:
    from pyscf import gto

    return gto.M(
        atom=[(element, (0.0, 0.0, 0.0))], basis={element: shells}, spin=None, verbose=0,
        parse_arg=False, dump_input=False,
    )  # fmt: skip


GENERATED: dict[str, Callable[[str, Shells], Shells]] = {
    DEFAULT: _even_tempered,
    "etb": _etb,
    "autoaux": _autoaux,
}
"""Recipe by its name as an auxiliary basis."""
