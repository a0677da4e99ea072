"""What a run file holds: names, shapes and units of its datasets, and their allocation.

Contiguous layout is a measured choice: B[i] is read in one piece at the disk's speed, a panel of
auxiliary functions is written in one piece per orbital, and compression gains nothing on the
mantissas of B.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from dfmp2.results.sizes import Sizes

__all__ = [
    "FORMAT",
    "JOURNAL_BYTES",
    "SCHEMA",
    "Shape",
    "allocate",
    "bytes_on_disk",
    "shape_of",
    "spare_rows",
]

FORMAT = "dfmp2 run file"

SCHEMA = 1
"""Raised whenever an older dfmp2 would misread a newer file."""

JOURNAL_BYTES = 128 * 1024
"""Bytes of one half of the journal: some forty sessions with all details."""

STRUCTURE_BYTES = 16 * 1024
"""HDF5's own structures: groups, headers and attributes."""

SOLVED_AT_ONCE = 2048
"""Columns (orbital times virtual) at which the metric solve runs at full speed."""

_HOLES = ("b/rows", "metric/factor")
"""Datasets whose disk space is taken when they are first needed; most runs never need it."""


@dataclass(frozen=True)
class Shape:
    """Dimensions of a run file: those of the run, and of the full set of orbitals."""

    sizes: Sizes
    nmo: int


@dataclass(frozen=True)
class _Dataset:
    shape: tuple[int, ...]
    dtype: str
    unit: str
    description: str


def spare_rows(sizes: Sizes) -> int:
    """Rows of B beyond nocc: as many as one metric solve takes at once.

    Orbital i's (P|ia) lies in row i + spare, its fitted B in row i. Solving in the order of i then
    never overwrites a row that is still needed, so that there is no second B on disk.
    """
    return min(max(sizes.nocc, 1), max(2, -(-SOLVED_AT_ONCE // max(sizes.nvir, 1))))


def _datasets(shape: Shape, text_bytes: int) -> dict[str, _Dataset]:
    s, nmo = shape.sizes, shape.nmo
    spare = spare_rows(s)
    whose = "number of the session (in the journal) that made "
    pair = "energy of pair i <= j of the correlated occupied orbitals, i < j not yet doubled"
    return {
        "input": _Dataset(
            (text_bytes,), "u1", "", "JSON: what was asked for; its crc32 is input_crc32"
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
            (s.nao, nmo),
            "f8",
            "",
            "orbital coefficients [AO, MO], AOs in PySCF's order and normalisation",
        ),
        "scf/mo_energy": _Dataset((nmo,), "f8", "hartree", "orbital energies"),
        "scf/mo_occ": _Dataset((nmo,), "f8", "", "occupations, 0 or 2"),
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


def allocate(file: Any, shape: Shape, text_bytes: int) -> None:
    """Make all datasets of a new run file, each with its place in the file.

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
    # HDF5 keeps up to eight attributes or links under the checksum of their object; more of them
    # go to a heap that has none.
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


def shape_of(file: Any) -> Shape:
    """The dimensions that a run file was made for."""
    names = ("nao", "nocc", "nvir", "naux", "aux_shell")
    number = {name: int(file.attrs[name]) for name in names}
    return Shape(Sizes(**number), int(file["scf/mo_coeff"].shape[1]))


def bytes_on_disk(sizes: Sizes, nmo: int, text_bytes: int = 0) -> tuple[int, int]:
    """Bytes of a run file without B and its metric, and of these two.

    Without `text_bytes`, the length of the input as text, this is a forecast.
    """
    found = _datasets(Shape(sizes, nmo), text_bytes)
    size = {name: prod(d.shape) * np.dtype(d.dtype).itemsize for name, d in found.items()}
    large = sum(size[name] for name in _HOLES)
    return sum(size.values()) - large + STRUCTURE_BYTES, large


def _group(file: Any, name: str) -> Any:
    return file.require_group(name.rsplit("/", maxsplit=1)[0]).id if "/" in name else file.id
