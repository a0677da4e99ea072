"""Open shells beside psi4, beside explicit sums, and their invariants."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.backends import reduction
from dfmp2.backends.torch import TorchBackend
from tests.spins import fitted_energies
from tests.systems import DATA, molecule

SAME = 1e-11
"""Hartree. Sums of the same terms in another order."""


@cache
def stored() -> dict[str, Any]:
    """Energies of psi4, see tests/data/generators/psi4_open_shells.py."""
    rows: dict[str, Any] = json.loads((DATA / "open_shells.json").read_text())["rows"]
    return rows


@cache
def converged(kind: str, name: str) -> Any:
    """The SCF of one of the stored molecules."""
    from pyscf import gto, scf

    text = stored()[f"{name}/uhf/all"]["molecule"]
    state, *atoms = text.split("\n")
    charge, multiplicity = map(int, state.split())
    mol = gto.M(
        atom=atoms,
        basis="cc-pvdz",
        charge=charge,
        spin=multiplicity - 1,
        verbose=0,
        unit="angstrom",
    )
    mf = getattr(scf, kind.upper())(mol)
    return mf.run(conv_tol=1e-12, conv_tol_grad=1e-8, max_cycle=200)


@pytest.mark.parametrize("name", ["NH2", "O2", "CH3", "H2O+"])
@pytest.mark.parametrize("kind", ["uhf", "rohf"])
def test_energies_agree_with_psi4(kind: str, name: str) -> None:
    """Without it, singles, frozen cores or spin parts of an open shell could be wrong.

    psi4 converts Å with another constant (1e-9 relative), which moves an energy by less than 1e-7.
    """
    mf = converged(kind, name)
    for core in ("all", "core"):
        row = stored()[f"{name}/{kind}/{core}"]
        mp = DFMP2(mf, frozen="auto" if core == "core" else None, auxbasis="cc-pvdz-ri").run()
        found = (mp.e_hf, mp.e_corr_singles, mp.e_corr_os, mp.e_corr_ss, mp.e_corr)
        names = ("e_hf", "e_singles", "e_corr_os", "e_corr_ss", "e_corr")
        assert found == pytest.approx([row[name] for name in names], abs=1e-7, rel=0)


def test_nothing_is_compiled_in_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds of the pair stage held those of the compilation of loops for two spins."""
    from pyscf import scf

    calls: list[tuple[str, Any]] = []
    warm: set[tuple[str, Any]] = set()

    def noted(name: str) -> Any:
        loops = getattr(reduction, name)

        def call(*args: Any) -> None:
            calls.append((name, numba.typeof(args)))  # compiled once for each kind of arguments
            loops(*args)

        return call

    def warm_up(backend: TorchBackend, *what: Any, original: Any = TorchBackend.warm_up) -> None:
        original(backend, *what)
        warm.update(calls)

    for name in ("reduce_pairs", "reduce_opposite_spin"):
        monkeypatch.setattr(reduction, name, noted(name))
    monkeypatch.setattr(TorchBackend, "warm_up", warm_up)
    mf = scf.UHF(molecule("H 0 0 0; H 0 0 1; H 0 0 2", "6-31g", spin=1)).run()
    DFMP2(mf, auxbasis="cc-pvdz-ri").set(precision="fp32", device="cpu").run()
    assert {name for name, _ in warm} == {"reduce_pairs", "reduce_opposite_spin"}
    assert set(calls) == warm


@pytest.mark.parametrize("kappa", [1e-9, 0.4, 1.45, 1e9])
def test_regularised_energies(kappa: float) -> None:
    """Against four nested sums. They vanish for small kappa and are plain MP2 for a large one."""
    mf = converged("uhf", "NH2")
    frozen = ((0,), (0, 22))
    mp = DFMP2(mf, frozen=frozen).set(kappa=kappa).run()
    expected = sum(fitted_energies(mf, "cc-pvdz-ri", frozen, kappa))
    found = mp.energies[f"kappa-MP2({kappa:g})"]["correlation"]
    assert found == pytest.approx(expected, abs=1e-10, rel=0)
    if kappa == 1e9:
        assert found == pytest.approx(mp.e_corr, abs=SAME, rel=0)
    if kappa == 1e-9:
        assert abs(found) < 1e-15


def test_both_spins_are_treated_alike() -> None:
    """Exchange of alpha and beta, signs of orbitals, and blocks of pairs change nothing."""
    from pyscf import scf

    mf = converged("uhf", "NH2")
    plain = DFMP2(mf).run()
    other = scf.UHF(mf.mol)
    other.mo_coeff, other.mo_energy = -mf.mo_coeff[::-1], mf.mo_energy[::-1]
    other.mo_occ, other.e_tot, other.converged = mf.mo_occ[::-1], mf.e_tot, True
    other.scf_summary = mf.scf_summary
    swapped = DFMP2(other).set(fused=False, max_memory=60).run()
    assert swapped.e_corr_os == pytest.approx(plain.e_corr_os, abs=SAME, rel=0)
    assert swapped.e_corr_ss == pytest.approx(plain.e_corr_ss, abs=SAME, rel=0)
    assert np.allclose(swapped.pair_energies["ab"], plain.pair_energies["ab"].T, rtol=0, atol=SAME)


def test_a_closed_shell_as_an_open_one() -> None:
    """Without it, a factor of two between both forms could be wrong."""
    from pyscf import scf

    mol = molecule("O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692", basis="6-31g")
    closed = scf.RHF(mol).run(conv_tol=1e-13, conv_tol_grad=1e-9)
    both = scf.addons.convert_to_uhf(closed)
    first, second = (DFMP2(mf).set(kappa=[1.1], scale=(1.2, 0.3)).run() for mf in (closed, both))
    for name, energy in first.energies.items():
        assert second.energies[name]["total"] == pytest.approx(energy["total"], abs=1e-10, rel=0)
    assert second.e_corr == pytest.approx(1.2 * first.e_corr_os + 0.3 * first.e_corr_ss, abs=1e-10)


def test_a_radical_and_a_closed_shell_far_apart() -> None:
    """The energy is the sum of both."""
    from pyscf import scf

    def energy(atoms: str, spin: int) -> float:
        mol = molecule(atoms, basis="6-31g", spin=spin)
        return float(DFMP2(scf.UHF(mol).run(conv_tol=1e-12)).run().e_corr)

    lithium, hydrogen = "Li 0 0 0", "H 0 0 1000; H 0 0 1000.74"
    together = energy(f"{lithium}; {hydrogen}", 1)
    assert together == pytest.approx(energy(lithium, 1) + energy(hydrogen, 0), abs=1e-9, rel=0)
