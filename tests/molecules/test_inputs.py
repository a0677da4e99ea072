"""The geometries in inputs/: their sources and checksums."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dfmp2.molecules.files import read_geometry
from tests.systems import CLUSTERS, DATA, INPUTS, LARGE, ROOT, SMALL


def test_inputs_are_all_tested() -> None:
    assert {p.stem for p in INPUTS.glob("*.xyz")} == {*SMALL, *LARGE, *CLUSTERS}


@pytest.mark.parametrize("name", [*SMALL, *LARGE, *CLUSTERS])
def test_inputs_state_their_source(name: str) -> None:
    geometry = read_geometry(str(INPUTS / f"{name}.xyz"))
    assert (geometry.charge, geometry.spin) == (0, 0)
    assert len(geometry.comment) > 40


def test_checksums_of_reference_data() -> None:
    lines = (DATA / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest, name
    listed = {line.split()[1] for line in lines}
    assert {f"inputs/{name}.xyz" for name in (*SMALL, *LARGE, *CLUSTERS)} <= listed


@pytest.mark.parametrize("name", ["water10", *CLUSTERS])
def test_clusters_are_hydrogen_bonded_water_molecules(name: str) -> None:
    """Each O is followed by its two H, and one H lies between each pair of neighbouring O."""
    geometry = read_geometry(str(INPUTS / f"{name}.xyz"))
    nwater = int(name.removeprefix("water"))
    assert [symbol for symbol, _ in geometry.atoms] == ["O", "H", "H"] * nwater
    xyz = np.array([position for _, position in geometry.atoms]).reshape(nwater, 3, 3)
    distance = np.linalg.norm(xyz[:, 1:, None] - xyz[:, 0], axis=3)  # [water, H, O of any water]
    own = np.eye(nwater, dtype=bool)[:, None].repeat(2, axis=1)
    assert distance[own].min() > 0.94
    assert distance[own].max() < 1.03
    edges = 15 if nwater == 10 else 2 * nwater - 4  # edges of the prism that the O atoms form
    assert int((distance[~own] < 2.2).sum()) == edges
