"""Fitting errors of auxiliary sets that are made from the orbital basis. Run as a script.

    python -m tests.benchmarks.auxiliary_sets

For each molecule and basis it prints the correlation energy with each set minus that of MP2 without
fitting, and the number of auxiliary functions. The default of dfmp2 was chosen by this table.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from dfmp2 import DFMP2
from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.fitting.generated import GENERATED
from dfmp2.molecules.potentials import choose_ecp
from tests.systems import converge, molecule

WATER = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"
HYDROGEN_SULFIDE = "S 0 0 0.103; H 0 0.974 -0.824; H 0 -0.974 -0.824"

CASES = (
    (WATER, "6-31g*"), (WATER, "pc-1"), (WATER, "pc-2"), (WATER, "roos-dz"),
    (WATER, "ccecp-cc-pvdz"), (WATER, "dyall-v2z"), (WATER, "sto-6g"), (WATER, "lanl2dz"),
    ("H 0 0 0; F 0 0 0.917", "ano@4s3p2d"), ("Li 0 0 0; H 0 0 1.595", "cc-pvdz"),
    (HYDROGEN_SULFIDE, "pc-1"), ("H 0 0 0; Br 0 0 1.414", "lanl2dz"),
    ("H 0 0 0; I 0 0 1.609", "def2-svp"), ("Zn 0 0 0", "pc-1"), ("Ne 0 0 0", "unc-cc-pvdz"),
)  # fmt: skip


def error(mf: Any, exact: float, kind: str) -> str:
    """Fitting error of one kind of set, as text."""
    try:
        mp = DFMP2(mf, auxbasis=kind).run()
    except InputError:
        return "no such set"
    return f"{mp.e_corr - exact:+.1e} ({mp.result.sizes['naux']})"


def main() -> None:
    """Print the table."""
    from pyscf.mp import mp2

    warnings.simplefilter("ignore", DFMP2Warning)
    sys.stdout.write(f"{'':26s}" + "".join(f"{kind:>18s}" for kind in GENERATED) + "\n")
    for atoms, basis in CASES:
        symbols = sorted({atom.split()[0] for atom in atoms.split(";")})
        mf = converge(molecule(atoms, basis, ecp=choose_ecp(basis, symbols, "auto")))
        exact = mp2.RMP2(mf).set(verbose=0)
        exact.kernel(with_t2=False)
        errors = "".join(f"{error(mf, exact.e_corr, kind):>18s}" for kind in GENERATED)
        sys.stdout.write(f"{' '.join(symbols):8s}{basis:18s}{errors}\n")


if __name__ == "__main__":
    main()
