"""The double hybrids: Kohn-Sham energy, plus weighted second-order terms, plus dispersion.

    E = E(KS part) + c_os E_os + c_ss E_ss + E(dispersion)

E(KS part) has exact exchange and the scaled density functional. E_os and E_ss are the sums of MP2
with Kohn-Sham orbitals and their energies. Coefficients belong together as they were fitted: those
of a functional with dispersion are not those of the functional without.

P86 is the form with the rounded constant 1.745 of its paper (libxc's GGA_C_P86, also in Psi4).
Gaussian and Q-Chem have more digits, which changes DSD-PBEP86 of water by 4e-5 hartree.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from dfmp2.errors import InputError, UnsupportedReferenceError
from dfmp2.settings import Settings

__all__ = ["DOUBLE_HYBRIDS", "Dispersion", "DoubleHybrid", "double_hybrid", "double_hybrid_of"]


@dataclass(frozen=True)
class Dispersion:
    """Parameters of an atom-pair dispersion energy with Becke-Johnson damping.

    Attributes
    ----------
    kind : {"D3BJ", "D4"}
        D3BJ has two-body terms only. D4 has the three-body term of Axilrod, Teller and Muto, too.
    s6, s8, a1, a2 : float
        a2 in bohr.
    source : str
    """

    kind: str
    s6: float
    s8: float
    a1: float
    a2: float
    source: str

    @property
    def s9(self) -> float:
        """Weight of the three-body term."""
        return 1.0 if self.kind == "D4" else 0.0

    def __str__(self) -> str:
        return f"{self.kind}, s6 {self.s6:g}, s8 {self.s8:g}, a1 {self.a1:g}, a2 {self.a2:g}"


@dataclass(frozen=True)
class DoubleHybrid:
    """A double-hybrid density functional.

    Attributes
    ----------
    name : str
        It ends in the kind of the dispersion, if there is one.
    xc : str
        Exchange and correlation of the KS part, in PySCF's notation.
    opposite, same : float
        Weights of the opposite- and same-spin second-order energy.
    source : str
    dispersion : Dispersion or None
    orbitals : str
        Functional of the orbitals, in PySCF's notation, if it is another one than `xc`.
    remark : str
    """

    name: str
    xc: str
    opposite: float
    same: float
    source: str
    dispersion: Dispersion | None = None
    orbitals: str = ""
    remark: str = ""

    @property
    def scf_xc(self) -> str:
        """The functional of the SCF that makes the orbitals."""
        return self.orbitals or self.xc


_B2PLYP = ("0.53*HF + 0.47*B88, 0.73*LYP", 0.27, 0.27, "S. Grimme, doi:10.1063/1.2148954")
_B2GP_PLYP = (
    "0.65*HF + 0.35*B88, 0.64*LYP",
    0.36,
    0.36,
    "A. Karton et al., doi:10.1021/jp801805p",
)
_GOERIGK = "L. Goerigk, S. Grimme, doi:10.1039/c0cp02984j"
_KOZUCH = "S. Kozuch, J. M. L. Martin, doi:10.1002/jcc.23391"
_SANTRA = "G. Santra et al., doi:10.1021/acs.jpca.9b03157"

_ROWS = (
    DoubleHybrid("B2PLYP", *_B2PLYP),
    DoubleHybrid(
        "B2PLYP-D3BJ", *_B2PLYP, Dispersion("D3BJ", 0.64, 0.9147, 0.3065, 5.0570, _GOERIGK)
    ),
    DoubleHybrid("B2GP-PLYP", *_B2GP_PLYP),
    DoubleHybrid(
        "B2GP-PLYP-D3BJ", *_B2GP_PLYP, Dispersion("D3BJ", 0.56, 0.2597, 0.0, 6.3332, _GOERIGK)
    ),
    DoubleHybrid("DSD-BLYP", "0.75*HF + 0.25*B88, 0.53*LYP", 0.46, 0.60, _KOZUCH),
    DoubleHybrid(
        "DSD-BLYP-D3BJ",
        "0.71*HF + 0.29*B88, 0.54*LYP",
        0.47,
        0.40,
        _KOZUCH,
        Dispersion("D3BJ", 0.57, 0.0, 0.0, 5.4, _KOZUCH),
    ),
    DoubleHybrid("DSD-PBEP86", "0.72*HF + 0.28*PBE, 0.44*P86", 0.51, 0.36, _KOZUCH),
    DoubleHybrid(
        "DSD-PBEP86-D3BJ",
        "0.69*HF + 0.31*PBE, 0.44*P86",
        0.52,
        0.22,
        _KOZUCH,
        Dispersion("D3BJ", 0.48, 0.0, 0.0, 5.6, _KOZUCH),
    ),
    DoubleHybrid(
        "revDSD-PBEP86-D4",
        "0.69*HF + 0.31*PBE, 0.4210*P86",
        0.5922,
        0.0636,
        _SANTRA,
        Dispersion("D4", 0.5132, 0.0, 0.44, 3.60, _SANTRA),
    ),
    DoubleHybrid(
        "PBE0-DH",
        "0.5*HF + 0.5*PBE, 0.875*PBE",
        0.125,
        0.125,
        "E. Brémond, C. Adamo, doi:10.1063/1.3604569",
    ),
    DoubleHybrid(
        "PBE0-2",
        "0.793701*HF + 0.206299*PBE, 0.5*PBE",
        0.5,
        0.5,
        "J.-D. Chai, S.-P. Mao, doi:10.1016/j.cplett.2012.04.045",
    ),
    DoubleHybrid(
        "XYG3",
        "0.8033*HF - 0.0140*LDA + 0.2107*B88, 0.6789*LYP",
        0.3211,
        0.3211,
        "Y. Zhang, X. Xu, W. A. Goddard, doi:10.1073/pnas.0901093106",
        orbitals="0.2*HF + 0.08*LDA + 0.72*B88, 0.81*LYP + 0.19*VWN_RPA",
        remark="B3LYP orbitals (VWN_RPA, as in Gaussian and in PySCF from 2.3)",
    ),
)

DOUBLE_HYBRIDS = {row.name: row for row in _ROWS}
"""By name, in the order of the tables."""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_NAMES = {_plain(name): name for name in DOUBLE_HYBRIDS}


def double_hybrid(name: str) -> DoubleHybrid:
    """The double hybrid of a name, in any case, with or without hyphens.

    Raises
    ------
    InputError
        For another name.
    """
    found = _NAMES.get(_plain(name))
    if found is None:
        close = [_NAMES[one] for one in get_close_matches(_plain(name), _NAMES, n=3)]
        advice = f"did you mean {' or '.join(close)}?" if close else "it is none of the known ones:"
        raise InputError(
            f"xc {name!r} is no double hybrid of dfmp2; {advice} It has {', '.join(DOUBLE_HYBRIDS)}"
        )
    return DOUBLE_HYBRIDS[found]


def double_hybrid_of(settings: Settings) -> DoubleHybrid | None:
    """The double hybrid that settings ask for, checked against the other settings.

    Raises
    ------
    InputError
        If `kappa` or `scale` are set, too.
    UnsupportedReferenceError
        For a restricted open-shell reference.
    """
    if settings.xc is None:
        return None
    found = double_hybrid(settings.xc)
    for name, given in (("kappa", settings.kappa), ("scale", settings.scale)):
        if given:
            raise InputError(
                f"{name} and xc {found.name} exclude each other: the weights of a double hybrid "
                "were fitted with plain second-order terms; leave one out"
            )
    if settings.reference == "rohf":
        raise UnsupportedReferenceError(
            f"xc {found.name}: restricted open-shell Kohn-Sham orbitals are not treated; use "
            "reference auto or uhf, which take UKS"
        )
    return found
