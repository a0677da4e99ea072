"""Energies of the molecules in inputs/, compared with PySCF on the same orbitals and with stored
energies of other programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dfmp2 import DFMP2
from dfmp2.methods.pair_energies import pair_energies
from tests.spins import fitted_energies
from tests.systems import (
    CLUSTERS,
    DATA,
    LARGE,
    SMALL,
    built,
    mean_field,
    molecule,
    prepared,
    pyscf_mp2,
    reference_of,
    references,
)

AGREEMENT = 1e-9
"""Hartree. On the same orbitals and integrals the programs differ by roundoff, seen up to 2e-15;
this is the agreement that users are promised."""

OTHER_PROGRAM = 1e-9
"""Hartree. The SCF gradients are below 1e-10 (psi4, RMS) and 1e-8 (here, norm). The correlation
energy is first-order in these gradients, with amplitudes below 0.1 as weights."""

OTHER_HF = 1e-10
"""Hartree. The SCF energy is second-order in those gradients, and psi4 stopped at 1e-11."""

CHUNK = 100_000
"""A block size larger than the number of functions in any test."""

LONG = ("methane/aug-cc-pvtz/aug-cc-pvtz-ri/frozen0", "ammonia/aug-cc-pvtz/aug-cc-pvtz-ri/frozen0",
        "water/cc-pvqz/cc-pvqz-ri/frozen0")  # fmt: skip
"""Rows that take several seconds, marked slow. Water in aug-cc-pVTZ is not among them."""

LARGE_BASES = (
    ("water", "aug-cc-pvtz"),
    pytest.param("ammonia", "aug-cc-pvtz", marks=pytest.mark.slow),
    pytest.param("water", "cc-pvqz", marks=pytest.mark.slow),
)


def both_paths(mf: Any) -> tuple[DFMP2, DFMP2]:
    """A fused and an unfused run."""
    return DFMP2(mf).run(), DFMP2(mf).set(fused=False).run()


def assert_same(mine: DFMP2, other: Any, tolerance: float) -> None:
    assert abs(mine.e_corr - other.e_corr) <= tolerance
    assert abs(mine.e_corr_os - other.e_corr_os) <= tolerance
    assert abs(mine.e_corr_ss - other.e_corr_ss) <= tolerance


@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known for I")  # expected
@pytest.mark.parametrize(
    "name",  # benzene is compared with psi4 in the default tests
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("benzene", *LARGE)))
        for name in (*SMALL, *LARGE)
    ],
)
def test_input_agrees_with_pyscf(name: str) -> None:
    mf = mean_field(name)
    fused, unfused = both_paths(mf)
    # Without an RI-MP2 set (iodine), PySCF generates another set than dfmp2.
    auxbasis = fused.result.molecule.auxbasis if fused.result.notes else None
    assert_same(fused, pyscf_mp2(mf, auxbasis), AGREEMENT)
    assert_same(fused, unfused, 1e-10)
    assert fused.e_hf == mf.e_tot


@pytest.mark.slow
@pytest.mark.parametrize("name", CLUSTERS)
def test_cluster_agrees_with_pyscf(name: str) -> None:
    mf = mean_field(name, density_fit=True)
    assert_same(DFMP2(mf).run(), pyscf_mp2(mf), AGREEMENT)


@pytest.mark.parametrize(("name", "basis"), LARGE_BASES)
def test_large_basis_agrees_with_pyscf(name: str, basis: str) -> None:
    mf = mean_field(name, basis)
    fused, unfused = both_paths(mf)
    assert_same(fused, pyscf_mp2(mf), AGREEMENT)
    assert_same(fused, unfused, 1e-10)


def _auxbasis(row: dict[str, Any]) -> dict[str, Any]:
    from pyscf import gto

    auxbasis: dict[str, Any] = {"default": row["auxbasis"]}
    for symbol, file in row["auxbasis_files"].items():
        auxbasis[symbol] = gto.basis.load(str(DATA / file), symbol)
    return auxbasis


def _stored(section: str) -> list[Any]:
    """Keys of a section. Those of long calculations are marked slow."""
    return [
        pytest.param(key, marks=[pytest.mark.slow] * (key.split("/")[0] in LARGE or key in LONG))
        for key in sorted(references()[section])
    ]


@pytest.mark.parametrize("key", _stored("df_mp2"))
def test_energies_agree_with_psi4(key: str) -> None:
    row = references()["df_mp2"][key]
    mf = mean_field(key.split("/")[0], row["basis"])
    mp = DFMP2(mf, frozen=row["frozen"], auxbasis=_auxbasis(row)).run()
    assert mp.result.sizes["nao"] == row["n_basis"]
    assert mp.result.sizes["naux"] == row["n_aux"]
    assert abs(mp.e_hf - row["e_hf"]) <= OTHER_HF
    assert abs(mp.e_corr_os - row["e_corr_os"]) <= OTHER_PROGRAM
    assert abs(mp.e_corr_ss - row["e_corr_ss"]) <= OTHER_PROGRAM
    assert abs(mp.e_corr - row["e_corr"]) <= OTHER_PROGRAM


def test_frozen_rows_are_the_chemical_core() -> None:
    frozen = {k: r for k, r in references()["df_mp2"].items() if r["frozen"]}
    assert len(frozen) >= 3
    for key, row in frozen.items():
        mf = mean_field(key.split("/")[0], row["basis"])
        assert reference_of(mf, "auto").frozen == (tuple(range(row["frozen"])),)


def test_pair_energies_agree_with_a_direct_evaluation() -> None:
    """Each pair energy from conventional formulas with PySCF's three-centre integrals."""
    import numpy as np
    from pyscf import df

    mf = mean_field("water")
    mp = DFMP2(mf).run()
    nocc = mf.mol.nelectron // 2
    nao = mf.mol.nao
    cderi = df.incore.cholesky_eri(mf.mol, auxbasis="cc-pvdz-ri", aosym="s1").reshape(-1, nao, nao)
    c, e = mf.mo_coeff, mf.mo_energy
    ov = np.einsum("Pmn,mi,na->Pia", cderi, c[:, :nocc], c[:, nocc:], optimize=True)
    t = np.einsum("Pia,Pjb->ijab", ov, ov)
    gap = e[nocc:, None] + e[nocc:] - (e[:nocc, None] + e[:nocc])[:, :, None, None]
    e_os = -(t * t / gap).sum((2, 3))
    e_ss = -(t * (t - t.swapaxes(2, 3)) / gap).sum((2, 3))
    np.testing.assert_allclose(mp.result.e_os_pairs, e_os, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mp.result.e_ss_pairs, e_ss, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mp.pair_energies, e_os + e_ss, rtol=0, atol=1e-12)
    assert abs(mp.pair_energies.sum() - mp.e_corr) < 1e-14


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize(
    ("aux_block", "occ_block"), [(1, 1), (1, CHUNK), (7, 2), (20, 3), (CHUNK, 4), (CHUNK, CHUNK)]
)
def test_blocks_do_not_change_the_energy(aux_block: int, occ_block: int, fused: bool) -> None:
    """With blocks down to one auxiliary shell and one orbital."""
    mf = mean_field("water")
    problem = prepared(mf, fused=fused)
    aux_block, occ_block = min(aux_block, problem.aux.naux), min(occ_block, 5)
    problem = replace(problem, plan=replace(problem.plan, aux_block=aux_block, occ_block=occ_block))
    b, work = built(problem)
    e_os, e_ss = pair_energies(b, problem, work)
    expected = pyscf_mp2(mf)
    assert abs(e_os.sum() - expected.e_corr_os) <= 1e-12
    assert abs(e_ss.sum() - expected.e_corr_ss) <= 1e-12


def test_progress_of_every_stage_reaches_its_end() -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    mp = DFMP2(mean_field("water"))
    mp.progress = lambda stage, done, total: seen.setdefault(stage, []).append((done, total))
    mp.run()
    assert set(seen) == {"integrals and AO->MO", "metric solve", "pair energies"}
    for steps in seen.values():
        done = [step for step, _ in steps]
        assert done == sorted(done)
        assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("fused", [True, False])
def test_a_spin_without_virtual_orbitals(fused: bool) -> None:
    """Without it, a spin whose orbitals are all occupied could be an error:
    its pairs have no energy, those of the other spin have one."""
    from pyscf import scf

    mf = scf.UHF(molecule("O 0 0 0; H 0 0 1; H 0 1 0", "sto-3g", spin=4)).run(conv_tol=1e-10)
    mine = DFMP2(mf, auxbasis="def2-svp-ri").set(backend="pytorch", device="cpu", fused=fused).run()
    e_os, e_ss = fitted_energies(mf, "def2-svp-ri")
    assert mine.e_corr_os == pytest.approx(e_os, abs=1e-10)
    assert e_ss < -1e-4  # far from zero, so the comparison means something
    assert mine.e_corr_ss == pytest.approx(e_ss, abs=1e-10)
