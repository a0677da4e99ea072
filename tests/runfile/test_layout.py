"""The structure of a run file: size forecast, documentation, and no change after creation."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmp2.results.sizes import Sizes
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.layout import Shape, _datasets, bytes_on_disk, spare_rows
from tests.runfile.common import FILE, JOB, OPTIONS, extents, out_of_core, resumed, small_blocks
from tests.runfile.killed import Killer


@settings(max_examples=20, deadline=None)
@given(
    nocc=st.integers(0, 40), nvir=st.integers(0, 60), naux=st.integers(1, 200),
    text=st.integers(2, 300_000),
)  # fmt: skip
def test_forecast_of_the_file_size(
    tmp_path_factory: pytest.TempPathFactory, nocc: int, nvir: int, naux: int, text: int
) -> None:
    """The forecast is at most 16 kB larger than the file, and never smaller."""
    sizes = Sizes(nao=nocc + nvir + 1, nocc=nocc, nvir=nvir, naux=naux, aux_shell=1)
    shape = Shape(sizes, nocc + nvir)
    path = tmp_path_factory.mktemp("made") / "x.dfmp2.h5"
    content = {"fields": {}, "text": "x" * text}
    RunFile.create(str(path), shape, content).close()
    with h5py.File(path, "r") as file:
        length = len(file["input"])
    small, large = bytes_on_disk(shape, length)
    real = path.stat().st_size
    assert 0 <= small + large - real <= 16 * 1024
    assert (path.stat().st_blocks * 512) <= small + 8192, "B and the metric are holes"


def test_every_dataset_has_a_description(finished: Path) -> None:
    with h5py.File(finished, "r") as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda _, x: found.append(x) if isinstance(x, h5py.Dataset) else None)
        shape = Shape(Sizes(nao=11, nocc=3, nvir=5, naux=17), 10)
        assert {dataset.name[1:] for dataset in found} == set(_datasets(shape, 7))
        for dataset in found:
            assert dataset.attrs["description"]
            assert "unit" in dataset.attrs
            assert dataset.chunks is None
            assert dataset.dtype.byteorder in "<|="


def test_attributes_and_links_have_a_checksum(finished: Path) -> None:
    """HDF5 stores up to eight attributes and links in the object's header, which has a checksum.

    With nine it moves all of them to a heap without a checksum, where a flipped byte could change
    nocc unnoticed.
    """
    with h5py.File(finished, "r") as file:
        objects: list[h5py.HLObject] = [file]
        file.visititems(lambda _, item: objects.append(item))
        for item in objects:
            assert len(item.attrs) <= 8
            assert not isinstance(item, h5py.Group) or len(item) <= 8


def structure(path: Path) -> bytes:
    """All bytes outside the values of datasets, except the flag "open for writing"."""
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    outside = np.ones(len(content), dtype=bool)
    assert content[8] == 2, "a superblock in which the flag is without effect"
    outside[11] = outside[44:48] = False  # the flag, and the checksum of the superblock
    for offset, length in extents(path).values():
        outside[offset : offset + length] = False
    return content[outside].tobytes()


@pytest.mark.parametrize("memory", ["in memory", "out of core"])
def test_the_structure_never_changes(
    memory: str, killer: Killer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From creation through a kill and a resume, no byte outside the values may change.

    Then a kill can damage only values, which have checksums.
    """
    small_blocks(monkeypatch)
    more = ("--max-memory", out_of_core()) if memory == "out of core" else ()
    path = tmp_path / FILE
    # created, without any values
    killer.run(tmp_path, *JOB, *OPTIONS, *more, write=1, of="scf/mo_coeff", cut=0.0)
    empty, places = structure(path), extents(path)
    assert len(empty) > 2000
    killer.run(tmp_path, *JOB, *OPTIONS, *more, write=7, of="pairs/e_os", cut=0.5)
    assert structure(path) == empty
    resumed(path)
    assert structure(path) == empty
    assert extents(path) == places
    with RunFile(str(path)) as file:
        assert "result" in file.state
    assert structure(path) == empty


def test_number_of_spare_rows() -> None:
    """They must hold one metric solve: at least two, and at most the number of orbitals."""
    for nocc, nvir, expected in (
        (30, 19, 30),
        (30, 500, 5),
        (30, 5000, 2),
        (1, 5000, 1),
        (0, 3, 1),
    ):
        assert spare_rows(Sizes(100, nocc, nvir, 10, 1)) == expected
