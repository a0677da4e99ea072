"""The table of pair energies: only missing pairs are computed, each once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfmp2.results.sizes import Sizes
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.layout import Shape
from dfmp2.runfile.pairs import PairTable, load_pairs, store_pairs
from tests.systems import rng

NOCC = 7


def table_with(mask: np.ndarray) -> PairTable:
    """A table that contains the pairs of a mask."""
    table = PairTable(len(mask))
    table.session[np.triu(mask)] = 1
    return table


@given(
    nocc=st.integers(1, 9),
    size=st.integers(1, 5),
    other=st.integers(1, 5),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_parts_cover_the_missing_pairs(
    nocc: int, size: int, other: int, share: float, seed: int
) -> None:
    """Each missing pair once, no known pair, none below the diagonal, for any mask and blocks."""
    random = rng(seed)
    table = table_with(random.uniform(size=(nocc, nocc)) < share)
    for i0 in range(0, nocc, size):
        i = slice(i0, min(i0 + size, nocc))
        blocks = [slice(j0, min(j0 + other, nocc)) for j0 in range(i.stop, nocc, other)]
        for j in (i, *blocks):
            found = np.zeros((nocc, nocc), dtype=int)
            for rows, columns, diagonal in table.parts(i, j):
                inside = found[i, j][rows, columns]
                assert inside.size
                inside += np.triu(np.ones_like(inside)) if diagonal else 1
            wanted = np.zeros((nocc, nocc), dtype=int)
            wanted[i, j] = table.missing[i, j]
            assert np.array_equal(found, wanted)


def test_a_block_without_known_pairs_is_one_part() -> None:
    table = PairTable(NOCC)
    assert list(table.parts(slice(0, 3), slice(3, 7))) == [(slice(0, 3), slice(0, 4), False)]
    assert list(table.parts(slice(2, 5), slice(2, 5))) == [(slice(0, 3), slice(0, 3), True)]


def test_known_pairs_are_not_replaced() -> None:
    table = PairTable(3)
    everything, ones = slice(0, 3), np.ones((3, 3))
    table.add((slice(0, 1), slice(1, 3)), np.ones((2, 1, 2)), 1)
    table.add((everything, everything), np.array([2 * ones, 3 * ones]), 2)
    assert table.energies[0].tolist() == [[2, 1, 1], [0, 2, 2], [0, 0, 2]]
    assert table.energies[1].tolist() == [[3, 1, 1], [0, 3, 3], [0, 0, 3]]
    assert table.session.tolist() == [[2, 1, 1], [0, 2, 2], [0, 0, 2]]
    assert table.symmetric()[0].tolist() == [[2, 1, 1], [1, 2, 2], [1, 2, 2]]
    assert not table.missing.any()
    assert table.known == 6


def test_removed_pairs_are_missing_again() -> None:
    table = PairTable(2)
    table.add((slice(0, 2), slice(0, 2)), np.ones((2, 2, 2)), 4)
    table.forget(table.session == 4)
    assert table.missing.tolist() == [[True, True], [False, True]]
    assert not table.energies.any()


# In the file


@pytest.fixture
def file(tmp_path: Path) -> RunFile:
    """An empty run file."""
    shape = Shape(Sizes(nao=9, nocc=NOCC, nvir=2, naux=20, aux_shell=3), 9)
    return RunFile.create(str(tmp_path / "x.dfmp2.h5"), shape, {"fields": {}})


def filled(seed: int, session: int) -> PairTable:
    """A table with some pairs of one session."""
    random, table = rng(seed), PairTable(NOCC)
    table.session[np.triu(random.uniform(size=(NOCC, NOCC)) < 0.5)] = session
    table.energies[:, table.session > 0] = random.normal(size=(len(table.energies), table.known))
    return table


@pytest.mark.parametrize("seed", range(5))
def test_stored_pairs_are_read_unchanged(seed: int, file: RunFile) -> None:
    table = filled(seed, 3)
    store_pairs(file, table)
    assert np.array_equal(table.stored, table.session > 0)
    found, damaged = load_pairs(file, {3})
    assert not damaged
    for name in ("energies", "session", "stored"):
        assert np.array_equal(getattr(found, name), getattr(table, name)), name


def test_pairs_of_other_sessions_are_ignored(file: RunFile) -> None:
    """Pairs of rejected sessions, or of sessions that are not in the journal, must not be used."""
    store_pairs(file, filled(1, 3))
    found, damaged = load_pairs(file, {1, 2, 4})
    assert found.known == 0
    assert not damaged


def test_rejected_pairs_are_not_reported_as_damaged(file: RunFile) -> None:
    """A later commit overwrites their session number, and must overwrite their checksum, too."""
    store_pairs(file, filled(1, 1))
    table = PairTable(NOCC)
    table.add((slice(0, NOCC), slice(3, 4)), np.ones((2, NOCC, 1)), 2)
    store_pairs(file, table)
    found, damaged = load_pairs(file, {2})
    assert not damaged
    assert found.known == 4


@pytest.mark.parametrize("name", ["e_os", "e_ss", "session", "crc32"])
def test_every_changed_bit_is_found(name: str, file: RunFile) -> None:
    table = filled(2, 3)
    store_pairs(file, table)
    values = file.read(f"pairs/{name}")
    i, j = (int(x) for x in np.argwhere(table.stored)[2])
    raw = values[i : i + 1, j : j + 1].view(np.uint8)
    for byte in range(raw.size):
        for bit in (1, 128):
            raw[0, byte] ^= bit
            file.write(f"pairs/{name}", values)
            found, damaged = load_pairs(file, set(range(1 << 16)))
            assert damaged
            assert not found.stored[i, j]
            assert found.known == table.known - 1
            raw[0, byte] ^= bit
    file.write(f"pairs/{name}", values)
    assert load_pairs(file, {3})[0].known == table.known


def test_a_pair_at_the_place_of_another_is_damaged(file: RunFile) -> None:
    """Otherwise values that moved within the file would be read as those of other pairs."""
    store_pairs(file, filled(2, 3))
    for name in ("e_os", "e_ss", "session", "crc32"):
        values = file.read(f"pairs/{name}")
        file.write(f"pairs/{name}", np.roll(values, 1, axis=1))
    found, damaged = load_pairs(file, {3})
    assert damaged
    assert found.known == 0
