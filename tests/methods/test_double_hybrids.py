"""Double hybrids: energies of psi4, an independent sum, and references that are refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import BackendUnavailable, CheckpointError, InputError, UnsupportedReferenceError
from dfmp2.methods.dispersion import dispersion_energy
from dfmp2.references.double_hybrids import DOUBLE_HYBRIDS, double_hybrid
from dfmp2.results.result import Result
from tests.systems import DATA, molecule

REFERENCES: dict[str, Any] = json.loads((DATA / "double_hybrids.json").read_text())
"""From psi4 with a grid of 150 x 974 points."""

SMALL = [f"{name}/BH" for name in dict.fromkeys(row["functional"] for row in REFERENCES.values())]
SMALL += [f"{name}/BH+" for name in ("B2PLYP", "DSD-PBEP86", "XYG3")]


@cache
def kohn_sham(atoms: str, charge: int, spin: int, basis: str, xc: str, grid: int) -> Any:
    """A converged RKS or UKS; BH with the smallest grid takes 0.1 s."""
    from pyscf import dft

    mol = molecule(atoms, basis, charge=charge, spin=spin)
    mf = (dft.UKS if spin else dft.RKS)(mol, xc=xc)
    mf.verbose, mf.chkfile, mf.conv_tol, mf.grids.level = 0, None, 1e-10, grid
    mf.kernel()
    assert mf.converged
    return mf


def of_row(row: dict[str, Any], grid: int) -> DFMP2:
    xc = DOUBLE_HYBRIDS[row["functional"]].scf_xc
    mf = kohn_sham(row["geometry"], row["charge"], row["spin"], row["basis"], xc, grid)
    mp = DFMP2(mf, auxbasis=row["auxbasis"], xc=row["functional"])
    return mp.set(dispersion=False).run()


def boron_hydride(xc: str, charge: int = 0) -> Any:
    """BH or BH+ in 6-31G, with the coarsest grid."""
    return kohn_sham("B 0 0 0; H 0 0 1.23", charge, charge, "6-31g", xc, 0)


@pytest.mark.parametrize("key", SMALL)
def test_energies_are_those_of_psi4(key: str) -> None:
    """A wrong coefficient, or another flavour of a functional, changes them by 1e-5 and more.

    The coarser grid of this test (level 1) changes E(KS part) by up to 6e-7 and, through the
    orbitals, the sums of second order by up to 3e-7.
    """
    row, mp = REFERENCES[key], of_row(REFERENCES[key], grid=1)
    assert abs(mp.e_hf - row["e_ks"]) < 2e-6
    assert abs(mp.e_corr_os - row["e_os"]) < 1e-6
    assert abs(mp.e_corr_ss - row["e_ss"]) < 1e-6
    assert abs(mp.e_corr - row["pt2"]) < 1e-6
    assert abs(mp.e_tot - (mp.e_hf + mp.e_corr)) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    "key", [key for key in REFERENCES if not key.split("/")[1].startswith("B")]
)
def test_larger_molecules_are_those_of_psi4(key: str) -> None:
    """PySCF's grid of level 5 changes E(KS part) of water and NH2 by up to 1e-6."""
    row, mp = REFERENCES[key], of_row(REFERENCES[key], grid=5)
    assert abs(mp.e_hf - row["e_ks"]) < 2e-6
    assert abs(mp.e_corr - row["pt2"]) < 1e-7


def _spin_orbital_sum(mf: Any, auxbasis: str, frozen: int) -> tuple[float, float]:
    """Opposite- and same-spin energies by a loop over pairs of spin orbitals."""
    from pyscf import df, lib

    fit = lib.unpack_tril(np.vstack(list(df.DF(mf.mol, auxbasis=auxbasis).loop())))
    spin = [0, 1]
    coeff, energy = (np.array([x[s] for s in spin]) for x in (mf.mo_coeff, mf.mo_energy))
    half = [np.einsum("pmn,mi,nj->pij", fit, c, c) for c in coeff]
    occupied = [(s, i) for s in spin for i in range(frozen, mf.mol.nelec[s])]
    virtual = [(s, a) for s in spin for a in range(mf.mol.nelec[s], coeff.shape[2])]
    sums = {True: 0.0, False: 0.0}
    for s, i in occupied:
        for t, j in occupied:
            for u, a in virtual:
                for v, b in virtual:
                    direct = half[s][:, i, a] @ half[t][:, j, b] if (s, t) == (u, v) else 0.0
                    exchange = half[s][:, i, b] @ half[t][:, j, a] if (s, t) == (v, u) else 0.0
                    gap = energy[s][i] + energy[t][j] - energy[u][a] - energy[v][b]
                    sums[s == t] += 0.25 * (direct - exchange) ** 2 / gap
    return float(sums[False]), float(sums[True])


def test_weighted_energy_is_a_sum_over_spin_orbitals() -> None:
    """Weights of opposite and same spin would be exchanged, or frozen orbitals be correlated."""
    hybrid = DOUBLE_HYBRIDS["DSD-PBEP86"]
    mf = boron_hydride(hybrid.scf_xc, charge=1)
    mp = DFMP2(mf, frozen=1, auxbasis="cc-pvdz-ri", xc="dsd_pbep86").run()
    e_os, e_ss = _spin_orbital_sum(mf, "cc-pvdz-ri", frozen=1)
    assert abs(e_ss) > 1e-5
    assert abs(mp.e_corr - (hybrid.opposite * e_os + hybrid.same * e_ss)) < 1e-10
    assert mp.energies == {"DSD-PBEP86": {"correlation": mp.e_corr, "total": mp.e_tot}}
    unweighted = DFMP2(mf, frozen=1, auxbasis="cc-pvdz-ri").set(allow_ks=True).run()
    assert abs(unweighted.e_corr - (e_os + e_ss)) < 1e-10


@pytest.mark.parametrize("name", ["b2plyp", "B2-PLYP", "B2PLYP"])
def test_names_in_other_spelling(name: str) -> None:
    assert double_hybrid(name).name == "B2PLYP"


def test_name_says_whether_there_is_dispersion() -> None:
    for name, row in DOUBLE_HYBRIDS.items():
        kind = None if row.dispersion is None else row.dispersion.kind
        assert (kind is not None) == name.endswith(("-D3BJ", "-D4"))
        assert kind is None or name.endswith(kind)


# References


def test_same_functional_by_another_name() -> None:
    """XYG3 with PySCF's own name of B3LYP is not refused; B3LYP with VWN5 is."""
    given = boron_hydride("b3lyp")
    named = boron_hydride(DOUBLE_HYBRIDS["XYG3"].scf_xc)
    assert abs(DFMP2(given, xc="xyg3").run().e_tot - DFMP2(named, xc="xyg3").run().e_tot) < 1e-9
    with pytest.raises(InputError, match=r"set mf\.xc = '0\.2\*HF .*VWN_RPA' and run"):
        DFMP2(boron_hydride("b3lyp5"), xc="xyg3").run()


def _other(change: Callable[[Any], None]) -> Any:
    mf = boron_hydride(DOUBLE_HYBRIDS["B2PLYP"].xc).copy()
    change(mf)
    return mf


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: boron_hydride("pbe"), "another functional than mf.xc = 'pbe'; set mf.xc = '0.53"),
        (lambda: boron_hydride("0.53*HF + 0.47*B88, 0.72*LYP"), "another functional"),
        (lambda: boron_hydride("0.54*HF + 0.47*B88, 0.73*LYP"), "another functional"),
        (lambda: boron_hydride("pbe").to_hf().run(), "use dft.RKS or dft.UKS with mf.xc = '0.53"),
        (lambda: _other(lambda mf: setattr(mf, "disp", "d3bj")), "mf.disp = None"),
    ],
)
def test_other_references_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises((InputError, UnsupportedReferenceError), match=says):
        DFMP2(make(), xc="b2plyp").run()


def test_changed_functional_is_found() -> None:
    """The right name, set after an SCF with another functional: orbitals and energy are wrong."""
    mf = boron_hydride("pbe").copy()
    mf.xc = DOUBLE_HYBRIDS["B2PLYP"].xc
    with pytest.raises(InputError, match="do not belong to one"):
        DFMP2(mf, xc="b2plyp").run()


def test_options_that_do_not_fit() -> None:
    mf = boron_hydride(DOUBLE_HYBRIDS["B2PLYP"].xc)
    for option in ({"kappa": 1.45}, {"scale": (1.2, 0.3)}):
        with pytest.raises(InputError, match="exclude each other"):
            DFMP2(mf, xc="b2plyp").set(**option).run()
    with pytest.raises(InputError, match="did you mean B2PLYP"):
        DFMP2(mf, xc="b2plypp")


# Result and run file


def test_result_separates_the_parts(tmp_path: Any) -> None:
    mf = boron_hydride(DOUBLE_HYBRIDS["B2PLYP"].xc)
    mp = DFMP2(mf, auxbasis="cc-pvdz-ri", xc="b2plyp")
    mp.checkpoint = tmp_path / "bh.h5"
    data = mp.run().result.to_qcschema()
    own = data["extras"]["dfmp2"]
    assert data["return_result"] == mp.e_tot
    assert data["properties"]["scf_total_energy"] == own["e_ks"] == mf.e_tot
    assert sum(own["parts"].values()) == pytest.approx(mp.e_tot, abs=1e-12)
    assert "mp2_total_energy" not in data["properties"]
    assert not {"e_hf", "e_tot_scs", "e_tot_sos"} & set(own)
    assert not hasattr(mp, "e_tot_scs")
    assert Result.from_qcschema(json.loads(json.dumps(data)), "x").to_qcschema() == data
    again = DFMP2(mf, auxbasis="cc-pvdz-ri", xc="b2plyp").set(checkpoint=mp.checkpoint).run()
    assert "run file" in str(again.read_from)
    assert again.e_tot == mp.e_tot
    with pytest.raises(CheckpointError, match="its xc is B2PLYP, not"):
        DFMP2(mf, auxbasis="cc-pvdz-ri").set(checkpoint=mp.checkpoint, allow_ks=True).run()


# Dispersion


class _Program(ModuleType):
    """In place of dftd3 and dftd4, which are not installed everywhere: keeps what it is given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.given: dict[str, Any] = {}

    def DispersionModel(self, numbers: Any, positions: Any, charge: Any = None) -> Any:
        self.given |= {"numbers": list(numbers), "positions": positions, "charge": charge}
        return SimpleNamespace(get_dispersion=lambda param, grad: {"energy": -0.125})

    def _param(self, **parameters: float) -> None:
        self.given |= parameters

    DampingParam = RationalDampingParam = _param


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, _Program]:
    made = {name: _Program(f"{name}.interface") for name in ("dftd3", "dftd4")}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, f"{name}.interface", module)
    return made


def test_dispersion_is_a_part_of_its_own(programs: dict[str, _Program]) -> None:
    """Other parameters than those of the functional, or those of its first version, are wrong."""
    mf = boron_hydride(DOUBLE_HYBRIDS["DSD-BLYP-D3BJ"].xc)
    mp = DFMP2(mf, auxbasis="cc-pvdz-ri", xc="dsd-blyp-d3bj").run()
    given = programs["dftd3"].given
    assert {name: given[name] for name in ("s6", "s8", "s9", "a1", "a2")} == {
        "s6": 0.57, "s8": 0.0, "s9": 0.0, "a1": 0.0, "a2": 5.4,
    }  # fmt: skip
    assert mp.e_dispersion == -0.125
    assert mp.e_tot == pytest.approx(mf.e_tot + mp.e_corr - 0.125, abs=1e-12)
    properties = mp.result.to_qcschema()["properties"]
    assert properties["scf_total_energy"] == mf.e_tot
    assert properties["scf_dispersion_correction_energy"] == -0.125
    without = mp.set(dispersion=False).run()
    assert without.e_tot == pytest.approx(mf.e_tot + mp.e_corr, abs=1e-12)
    assert without.result.method == "DSD-BLYP-D3BJ without dispersion"


def test_dispersion_of_real_atoms_only(programs: dict[str, _Program]) -> None:
    """A ghost atom would get the dispersion of an atom; D4 depends on the charge."""
    mol = molecule("B 0 0 0; H 0 0 1.2; X-He 0 0 4", {"default": "6-31g"}, charge=1, spin=1)
    row = DOUBLE_HYBRIDS["revDSD-PBEP86-D4"].dispersion
    assert row is not None
    assert dispersion_energy(mol, row) == -0.125
    given = programs["dftd4"].given
    assert (given["numbers"], given["charge"], given["s9"]) == ([5, 1], 1.0, 1.0)
    assert np.allclose(given["positions"], mol.atom_coords()[:2])


def test_missing_program_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program the energy would silently be another one."""
    monkeypatch.setitem(sys.modules, "dftd4", None)
    mf = boron_hydride(DOUBLE_HYBRIDS["revDSD-PBEP86-D4"].xc)
    with pytest.raises(BackendUnavailable, match=r"dftd4.*dfmp2\[dispersion\].*dispersion=False"):
        DFMP2(mf, xc="revdsd-pbep86-d4").run()


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("B2PLYP-D3BJ", "b2plyp"),
        ("B2GP-PLYP-D3BJ", "b2gpplyp"),
        ("DSD-BLYP-D3BJ", "dsdblyp_2013"),
        ("DSD-PBEP86-D3BJ", "dsdpbep86"),
        ("revDSD-PBEP86-D4", "revdsdpbep86"),
    ],
)
def test_parameters_are_those_of_the_programs(name: str, method: str) -> None:
    row = DOUBLE_HYBRIDS[name].dispersion
    assert row is not None
    d3 = row.kind == "D3BJ"
    program = pytest.importorskip(f"{'dftd3' if d3 else 'dftd4'}.interface")
    mol = molecule("O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692")
    model = program.DispersionModel(np.array([8, 1, 1]), mol.atom_coords())
    param = (program.RationalDampingParam if d3 else program.DampingParam)(method=method)
    expected = model.get_dispersion(param, grad=False)["energy"]
    assert -1e-3 < expected < -1e-4
    assert abs(dispersion_energy(mol, row) - expected) < 1e-12
