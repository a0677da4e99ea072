"""The datasets of a run file: names, shapes, units, and their allocation.

All datasets are contiguous, without compression. So B[i] is read in one piece at the speed of the
disk, and a block of auxiliary functions is written in one piece per orbital. Compression was
measured: it does not make B smaller, because the digits of B are almost random.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from dfmp2.results.sizes import Sizes

__all__ = [
    "FORMAT",
    "H5",
    "JOURNAL_BYTES",
    "SCHEMA",
    "Shape",
    "allocate",
    "bytes_on_disk",
    "shape_of",
    "spare_rows",
]

H5 = Any
"""An `h5py.File`. h5py has no types."""

FORMAT = "dfmp2 run file"

SCHEMA = 2
"""Version of the format that this dfmp2 reads. A file has the lowest number whose programs read it
rightly: 1 for closed shells without regularised energies, 2 otherwise."""

JOURNAL_BYTES = 128 * 1024
"""Bytes of one half of the journal. It holds about forty sessions with all details."""

STRUCTURE_BYTES = 16 * 1024
"""Bytes for the structures of HDF5: groups, headers and attributes."""

SOLVED_AT_ONCE = 2048
"""Number of columns (i,a) with which the metric solve runs at full speed."""

_HOLES = ("b/rows", "metric/factor")
"""Datasets whose disk space is allocated on first use. Most runs do not use them."""


@dataclass(frozen=True)
class Shape:
    """Dimensions of a run file.

    Attributes
    ----------
    sizes : Sizes
        Dimensions of the run.
    nmo : int
        Number of orbitals of one spin, frozen ones included.
    kappas : int
        Number of regularised energies of each pair.
    semicanonical : bool
        Whether a Fock matrix between occupied and virtual orbitals belongs to the orbitals (ROHF).
    """

    sizes: Sizes
    nmo: int
    kappas: int = 0
    semicanonical: bool = False

    @property
    def schema(self) -> int:
        """Version of the format that the file needs."""
        return 2 if self.sizes.spins or self.kappas else 1


@dataclass(frozen=True)
class _Dataset:
    shape: tuple[int, ...]
    dtype: str
    unit: str
    description: str


def spare_rows(sizes: Sizes) -> int:
    """Number of rows of B beyond nocc: those of one metric solve.

    (P|ia) of orbital i is stored in row i + spare, and B[i] in row i. The solve goes through i in
    ascending order, so it never overwrites a row that is still needed. There is no second array of
    the size of B on the disk.

    Parameters
    ----------
    sizes : Sizes

    Returns
    -------
    int
        Between 2 and nocc, if nocc is at least 2.
    """
    return min(max(sizes.nocc, 1), max(2, -(-SOLVED_AT_ONCE // max(sizes.nvir, 1))))


def _datasets(shape: Shape, text_bytes: int) -> dict[str, _Dataset]:
    s, nmo = shape.sizes, shape.nmo
    spare = spare_rows(s)
    spin = (2,) if s.spins else ()  # alpha and beta
    whose = "number of the session (in the journal) that made "
    pair = "energy of pair i <= j of the correlated occupied orbitals, i < j not yet doubled"
    if s.spins:
        pair += "; alpha orbitals, then beta ones"
    found = {
        "input": _Dataset(
            (text_bytes,), "u1", "", "JSON: molecule and settings; its crc32 is input_crc32"
        ),
        "journal": _Dataset(
            (2, max(JOURNAL_BYTES, 2 * text_bytes)),
            "u1",
            "",
            "two copies of the state as JSON, written in turn: uint64 number, uint64 length, "
            "uint64 crc32 of number and text, text (by zlib where it does not begin with a "
            "brace); the readable one with the higher number is valid",
        ),
        "scf/mo_coeff": _Dataset(
            (*spin, s.nao, nmo),
            "f8",
            "",
            "orbital coefficients [AO, MO], AOs in PySCF's order and normalisation",
        ),
        "scf/mo_energy": _Dataset((*spin, nmo), "f8", "hartree", "orbital energies"),
        "scf/mo_occ": _Dataset((*spin, nmo), "f8", "", "occupations, 0 or 2; 0 or 1 of each spin"),
        "scf/energy": _Dataset(
            (1,), "f8", "hartree", "total energy of the SCF, nuclear repulsion included"
        ),
        "scf/centroids": _Dataset(
            (s.nocc, 3), "f8", "bohr", "<i|r|i> of the correlated occupied orbitals, in their order"
        ),
        "metric/factor": _Dataset(
            (s.naux, s.naux),
            "f8",
            "hartree^(1/2), or hartree^(-1/2) for kind eigen",
            "lower Cholesky factor L of (P|Q), or (kind eigen) rows R = v w^(-1/2), zero for the "
            "vectors left out; the kind is in the journal, under b.metric",
        ),
        "pairs/e_os": _Dataset((s.nocc, s.nocc), "f8", "hartree", "opposite-spin " + pair),
        "pairs/e_ss": _Dataset((s.nocc, s.nocc), "f8", "hartree", "same-spin " + pair),
        "pairs/session": _Dataset((s.nocc, s.nocc), "u2", "", whose + "the pair; 0: not computed"),
        "pairs/crc32": _Dataset(
            (s.nocc, s.nocc),
            "u4",
            "",
            "zlib.crc32 of i, j, session (int64), e_os, e_ss (float64), 40 bytes in this order",
        ),
        "energies": _Dataset(
            (5,), "f8", "hartree", "e_hf, e_corr_os, e_corr_ss, e_corr, e_tot; zeros until finished"
        ),
        "b/row_session": _Dataset((s.nocc,), "u2", "", whose + "B[i]; 0: not fitted"),
        "b/row_crc32": _Dataset((s.nocc,), "u4", "", "zlib.crc32 of B[i]"),
        "b/raw_session": _Dataset((s.naux,), "u2", "", whose + "(P|ia) of P; 0: not there"),
        "b/raw_crc32": _Dataset((s.nocc, s.naux), "u4", "", "zlib.crc32 of (P|ia) over all a"),
        "b/rows": _Dataset(
            (s.nocc + spare, s.naux * s.nvir),
            "f8",
            "hartree^(1/2)",
            "row i, once row_session[i] is set: B[i] as [a, P]; before that, row i + "
            f"{spare} holds (P|ia) as [P, a], in hartree; a, P in PySCF's order (P recombined on "
            "each atom where the journal's b.aux is conditioned)",
        ),
    }
    if shape.kappas:
        found["pairs/regularised"] = _Dataset(
            (2 * shape.kappas, s.nocc, s.nocc),
            "f8",
            "hartree",
            "opposite- and same-spin energies with the first kappa, then with the next",
        )
    if shape.semicanonical:
        found["scf/fock"] = _Dataset(
            (2, nmo, nmo), "f8", "hartree", "Fock matrices of alpha and beta in these orbitals"
        )
    return found


def allocate(file: H5, shape: Shape, text_bytes: int) -> None:
    """Make all datasets of a new run file and give each its place in the file.

    Parameters
    ----------
    file : h5py.File
        New and empty.
    shape : Shape
    text_bytes : int
        Length of the input as text.
    """
    import h5py

    s = shape.sizes
    # Up to eight attributes or links are protected by the checksum of their object. HDF5 stores
    # more of them in a heap without a checksum.
    for name in ("nao", "nocc", "nvir", "naux", "aux_shell"):
        file.attrs[name] = getattr(s, name)
    for name, spec in _datasets(shape, text_bytes).items():
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        hole = name in _HOLES
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER if hole else h5py.h5d.FILL_TIME_ALLOC)
        made = h5py.h5d.create(
            _group(file, name),
            name.rsplit("/", maxsplit=1)[-1].encode(),
            h5py.h5t.py_create(np.dtype("<" + spec.dtype)),
            h5py.h5s.create_simple(spec.shape),
            properties,
        )
        dataset = h5py.Dataset(made)
        dataset.attrs["description"], dataset.attrs["unit"] = spec.description, spec.unit
    if s.spins:
        file["pairs"].attrs["spins"] = np.array(s.spins)


def shape_of(file: H5) -> Shape:
    """The dimensions of a run file, from its attributes.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    Shape
    """
    names = ("nao", "nocc", "nvir", "naux", "aux_shell")
    number = {name: int(file.attrs[name]) for name in names}
    spins = tuple((int(nocc), int(nvir)) for nocc, nvir in file["pairs"].attrs.get("spins", ()))
    regularised = file["pairs"].get("regularised")
    return Shape(
        sizes=Sizes(**number, spins=spins, checked=()),
        nmo=int(file["scf/mo_coeff"].shape[-1]),
        kappas=0 if regularised is None else len(regularised) // 2,
        semicanonical="fock" in file["scf"],
    )


def bytes_on_disk(shape: Shape, text_bytes: int = 0) -> tuple[int, int]:
    """Size of a run file.

    Parameters
    ----------
    shape : Shape
    text_bytes : int
        Length of the input as text. Without it the result is a forecast.

    Returns
    -------
    small : int
        Bytes without B and the factor of the metric.
    large : int
        Bytes of B and the factor of the metric.
    """
    found = _datasets(shape, text_bytes)
    size = {name: prod(d.shape) * np.dtype(d.dtype).itemsize for name, d in found.items()}
    large = sum(size[name] for name in _HOLES)
    return sum(size.values()) - large + STRUCTURE_BYTES, large


def _group(file: H5, name: str) -> Any:
    return file.require_group(name.rsplit("/", maxsplit=1)[0]).id if "/" in name else file.id
