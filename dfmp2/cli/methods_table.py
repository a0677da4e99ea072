"""All methods with their factors and sources as text."""

from __future__ import annotations

from dfmp2.cli.columns import columns
from dfmp2.references.double_hybrids import DOUBLE_HYBRIDS
from dfmp2.results.variants import KAPPA, VARIANTS

__all__ = ["methods_text"]


def methods_text() -> str:
    """Tables of the MP2 variants and of the double hybrids."""
    variants = [
        (one.name, f"{one.opposite:.4g}", f"{one.same:.4g}", _with(one.source, one.remark))
        for one in VARIANTS
    ]
    variants.append(("kappa-MP2", "1", "1", KAPPA))
    weights = ("opposite spin", "same spin")
    hybrids = [
        (one.name, f"{one.opposite:.4f}", f"{one.same:.4f}", one.xc, _with(one.source, one.remark))
        for one in DOUBLE_HYBRIDS.values()
    ]
    dispersion = [
        (one.name, str(one.dispersion), one.dispersion.source)
        for one in DOUBLE_HYBRIDS.values()
        if one.dispersion is not None
    ]
    lines = [
        "MP2 and variants: weights of the correlation energies, for Hartree-Fock references",
        *columns(("method", *weights, "source"), variants, right=weights),
        "",
        "Double hybrids (--xc): Kohn-Sham part, and weights of the second-order energies",
        *columns(("method", *weights, "Kohn-Sham part", "source"), hybrids, right=weights),
        "",
        "Dispersion of double hybrids (a2 in bohr)",
        *columns(("method", "dispersion", "source"), dispersion),
    ]
    return "\n".join(lines) + "\n"


def _with(source: str, remark: str) -> str:
    return f"{source}; {remark}" if remark else source
