"""Open shells beside psi4, beside explicit sums, and their invariants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import pytest

from dfmp2 import DFMP2
from dfmp2.backends import reduction
from dfmp2.backends.torch import TorchBackend
from tests.spins import OPEN_SHELLS, fitted_energies
from tests.systems import DATA, molecule, pyscf_mp2

SAME = 1e-11
"""Hartree. Sums of the same terms in another order."""


@cache
def stored() -> dict[str, Any]:
    """Energies of psi4, see tests/data/generators/psi4_open_shells.py."""
    rows: dict[str, Any] = json.loads((DATA / "open_shells.json").read_text())["rows"]
    return rows


@cache
def converged(kind: str, name: str, basis: str = "cc-pvdz", ecp: str | None = None) -> Any:
    """The SCF of one of the open shells."""
    from pyscf import scf

    atoms, charge, spin = OPEN_SHELLS[name]
    mol = molecule(atoms, basis, charge=charge, spin=spin, ecp=ecp)
    mf = getattr(scf, kind.upper())(mol).set(chkfile=None, max_cycle=200)
    if name == "Fe2+":  # it converges only with a level shift, and to no smaller gradient
        return mf.set(level_shift=0.3).run(conv_tol=1e-10)
    return mf.run(conv_tol=1e-12, conv_tol_grad=1e-8)


def marked(names: Sequence[str], fast: Sequence[str]) -> list[Any]:
    """All parameters, those that are not fast marked slow."""
    return [pytest.param(n, marks=[pytest.mark.slow] * (n not in fast)) for n in names]


PSI4 = sorted({key.rsplit("/", 1)[0] for key in stored()})


@pytest.mark.parametrize(
    "key", marked(PSI4, [key for key in PSI4 if "cc-pvdz" in key and "NO2" not in key])
)
def test_energies_agree_with_psi4(key: str) -> None:
    """Without it, singles, frozen cores or spin parts of an open shell could be wrong.

    Both SCF are converged to gradients below 1e-8, and the energies differ by less than 2e-10.
    """
    name, basis, kind = key.split("/")
    mf = converged(kind, name, basis)
    for core in ("all", "core"):
        row = stored()[f"{key}/{core}"]
        mp = DFMP2(mf, frozen="auto" if core == "core" else None, auxbasis=f"{basis}-ri").run()
        found = (mp.e_hf, mp.e_corr_singles, mp.e_corr_os, mp.e_corr_ss, mp.e_corr)
        names = ("e_hf", "e_singles", "e_corr_os", "e_corr_ss", "e_corr")
        assert found == pytest.approx([row[name] for name in names], abs=1e-8, rel=0)


SETS = [f"{name}/{basis}" for name in OPEN_SHELLS for basis in ("cc-pvdz", "cc-pvtz")]


@pytest.mark.filterwarnings("ignore:.*auxiliary:UserWarning")  # def2 sets with cc-pVXZ of Fe
@pytest.mark.parametrize(
    "key", marked([*SETS, "Fe2+/lanl2dz"], ["NH2/cc-pvdz", "O2/cc-pvdz", "F/cc-pvtz"])
)
def test_energies_agree_with_pyscf(key: str) -> None:
    """The sums of both programs, on the same orbitals, with all orbitals and with lists by spin."""
    name, basis = key.split("/")
    mf = converged("uhf", name, basis, "lanl2dz" if basis == "lanl2dz" else None)
    auxbasis = "def2-tzvp-ri" if name == "Fe2+" else f"{basis}-ri"
    for frozen in (None, [[0], [0, mf.mo_occ.shape[1] - 1]]):
        mine, other = (
            DFMP2(mf, frozen=frozen, auxbasis=auxbasis).run(), pyscf_mp2(mf, auxbasis, frozen)
        )  # fmt: skip
        assert mine.e_corr == pytest.approx(other.e_corr, abs=1e-9, rel=0)
        assert mine.e_corr_os == pytest.approx(other.e_corr_os, abs=1e-9, rel=0)
        assert mine.e_corr_ss == pytest.approx(other.e_corr_ss, abs=1e-9, rel=0)


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
