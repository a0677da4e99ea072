"""Helpers of the reference generators: geometries, basis sets as text, and the JSON file.

PySCF supplies the coordinates in bohr and every exponent and coefficient, so that the other
program computes exactly the same problem as PySCF and dfmp2.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyscf import df, gto

DATA = Path(__file__).resolve().parent.parent
ROOT = DATA.parent.parent
REFERENCES = DATA / "references.json"
ANGULAR = "SPDFGHIKLM"


@dataclass(frozen=True)
class System:
    """One row of the reference file."""

    molecule: str
    basis: str
    auxbasis: str
    frozen: int = 0
    ecp: dict[str, str] = field(default_factory=dict)
    # Elements whose auxiliary functions come from a file in tests/data, in NWChem format.
    auxbasis_files: dict[str, str] = field(default_factory=dict)
    label: str = ""

    @property
    def key(self) -> str:
        parts = [self.molecule, self.basis, self.label or self.auxbasis, f"frozen{self.frozen}"]
        return "/".join(parts)

    @property
    def xyz(self) -> Path:
        return ROOT / "inputs" / f"{self.molecule}.xyz"

    def build(self) -> gto.Mole:
        return gto.M(atom=str(self.xyz), basis=self.basis, ecp=self.ecp, verbose=0)

    def build_aux(self, mol: gto.Mole) -> gto.Mole:
        basis: dict[str, Any] = dict.fromkeys(mol.elements, self.auxbasis)
        for symbol, name in self.auxbasis_files.items():
            basis[symbol] = gto.basis.parse((DATA / name).read_text(), symbol)
        return df.make_auxmol(mol, basis)


def shells(mol: gto.Mole, symbol: str) -> list[tuple[int, list[tuple[float, float]]]]:
    """Segmented contractions (l, [(exponent, coefficient), ...]) of one element."""
    result = []
    for entry in mol._basis[symbol]:
        ang, rows = entry[0], entry[1:]
        if not hasattr(rows[0], "__len__"):
            raise ValueError(f"{symbol}: j-adapted shells are not supported")
        for column in range(1, len(rows[0])):
            pairs = [(float(row[0]), float(row[column])) for row in rows]
            result.append((ang, [pair for pair in pairs if pair[1] != 0.0]))
    return result


def gbs(mol: gto.Mole) -> str:
    """The basis (and any ECP) of `mol` in the Gaussian94 format that psi4 reads."""
    lines = ["spherical", "", "****"]
    for symbol in sorted(set(mol.elements)):
        lines.append(f"{symbol} 0")
        for ang, pairs in shells(mol, symbol):
            lines.append(f"{ANGULAR[ang]} {len(pairs)} 1.0")
            lines += [f"  {exponent:.16e} {coefficient:.16e}" for exponent, coefficient in pairs]
        lines.append("****")
    for symbol, (ncore, terms) in mol._ecp.items():
        highest = max(ang for ang, _ in terms) + 1
        lines += ["", f"{symbol} 0", f"{symbol.upper()}-ECP {highest} {ncore}"]
        for ang, powers in sorted(terms, key=lambda term: term[0]):
            local = ANGULAR[highest].lower()
            lines.append(
                f"{local}-ul potential" if ang < 0 else f"{ANGULAR[ang].lower()}-{local} potential"
            )
            flat = [(n, exp, coef) for n, group in enumerate(powers) for exp, coef in group]
            lines.append(f"  {len(flat)}")
            lines += [f"{n} {exp:.16e} {coef:.16e}" for n, exp, coef in flat]
    return "\n".join(lines) + "\n"


def nwchem_basis(mol: gto.Mole) -> str:
    """The basis of `mol` as an NWChem input block."""
    lines = ["basis spherical"]
    for symbol in sorted(set(mol.elements)):
        for ang, pairs in shells(mol, symbol):
            lines.append(f"  {symbol} {ANGULAR[ang]}")
            lines += [f"    {exponent:.16e} {coefficient:.16e}" for exponent, coefficient in pairs]
    return "\n".join([*lines, "end"]) + "\n"


def bohr_lines(mol: gto.Mole) -> str:
    """One `Sym x y z` line per atom, in bohr, with every digit of PySCF's own conversion."""
    return "\n".join(
        f"{symbol} " + " ".join(f"{value:.16f}" for value in xyz)
        for symbol, xyz in zip(mol.elements, mol.atom_coords(), strict=True)
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def store(section: str, key: str, row: dict[str, Any]) -> None:
    """Put one row into references.json and keep the rows that are there already."""
    document: dict[str, Any] = {"format": 1, "energy_unit": "hartree"}
    if REFERENCES.exists():
        document = json.loads(REFERENCES.read_text())
    rows = document.setdefault(section, {})
    rows[key] = row
    document[section] = dict(sorted(rows.items()))
    REFERENCES.write_text(json.dumps(document, indent=2) + "\n")
