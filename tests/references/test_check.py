"""Orbitals, orbital energies and total energy that belong together are accepted, others refused.

Without these checks, every fault here gives another MP2 energy without a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfmp2.workflow.prepare
from dfmp2 import DFMP2
from dfmp2.cli.table import summary
from dfmp2.errors import CheckpointError, DFMP2Warning, InputError, UnsupportedReferenceError
from dfmp2.planning.plan import make_plan
from dfmp2.references import check
from dfmp2.references.check import CHEAP, FULL, UNCHECKED
from dfmp2.runfile.file import RunFile
from dfmp2.workflow.reference_check import KEY
from tests.cli.common import dfmp2 as command
from tests.cli.common import fact
from tests.systems import fitted, mean_field, molecule, pyscf_mp2, rng

HF = "F 0 0 0; H 0 0 0.92"


def fresh(name: str = "water") -> Any:
    """A copy of a shared mean field, which a test may change."""
    return mean_field(name).copy()


def hydrogen_fluoride(**options: Any) -> Any:
    """A mean field that is not run."""
    from pyscf import scf

    mf = scf.RHF(molecule(HF, **options))
    mf.chkfile = None
    return mf


# Mean fields that are right


def _x2c() -> Any:
    return hydrogen_fluoride().x2c()


def _charges() -> Any:
    from pyscf import qmmm

    return qmmm.mm_charge(hydrogen_fluoride(), np.array([[0.0, 0.0, 3.0]]), np.array([0.5]))


def _field() -> Any:
    mf = hydrogen_fluoride()
    hcore = mf.get_hcore() + 0.02 * mf.mol.intor("int1e_r")[2]
    mf.get_hcore = lambda *_: hcore
    return mf


def _dispersion() -> Any:
    mf = hydrogen_fluoride()
    mf.disp = "d3bj"
    mf.do_disp = lambda *_: True
    mf.get_dispersion = lambda *_, **__: -0.0123
    return mf


def _scanner() -> Any:
    scanner = hydrogen_fluoride().as_scanner()
    scanner(molecule("F 0 0 0; H 0 0 1.0"))
    return scanner


RIGHT: dict[str, Callable[[], Any]] = {
    "x2c": _x2c,
    "point charges": _charges,
    "seminumerical exchange": lambda: hydrogen_fluoride().COSX(),
    "fitted Coulomb only": lambda: hydrogen_fluoride().density_fit(only_dfj=True),
    "ddCOSMO": lambda: hydrogen_fluoride().DDCOSMO(),
    "PCM, fitted": lambda: hydrogen_fluoride().density_fit().PCM(),
    "SMD": lambda: hydrogen_fluoride().SMD(),
    "electric field": _field,
    "dispersion": _dispersion,
    "level shift that PySCF removed": lambda: hydrogen_fluoride().set(level_shift=0.3),
    "point group": lambda: hydrogen_fluoride(symmetry=True),
    "loose SCF": lambda: hydrogen_fluoride().set(conv_tol=1e-5),
    "scanner": _scanner,
}


@pytest.mark.parametrize(
    "case", [pytest.param(n, marks=[pytest.mark.slow] if n == "SMD" else []) for n in RIGHT]
)
def test_right_mean_fields_are_accepted(case: str) -> None:
    """Without the whole Fock matrix, except where the energy has parts that are not known."""
    mf = RIGHT[case]()
    mf.verbose = 0
    if not mf.converged:
        mf.run()
    mp = DFMP2(mf).run()
    assert abs(mp.e_corr - pyscf_mp2(mf, mp.result.molecule.auxbasis).e_corr) < 1e-10
    assert mp.e_hf == mf.e_tot
    assert mp.result.labels["reference_check"] in ({CHEAP, FULL} if case == "SMD" else {CHEAP})


# Faults


def _own(change: Callable[[Any], None]) -> Callable[[], Any]:
    """A copy of the water mean field with arrays of its own, changed."""

    def make() -> Any:
        mf = fresh()
        mf.mo_coeff, mf.mo_energy = mf.mo_coeff.copy(), mf.mo_energy.copy()
        change(mf)
        return mf

    return make


def _exchanged(p: int, q: int) -> Callable[[], Any]:
    def change(mf: Any) -> None:
        mf.mo_coeff[:, [p, q]] = mf.mo_coeff[:, [q, p]]

    return _own(change)


def _natural(mf: Any) -> None:
    from pyscf import mp

    occupations, rotation = np.linalg.eigh(mp.MP2(mf).run().make_rdm1())
    assert 0 < occupations[0] < occupations[-1] < 2
    mf.mo_coeff = mf.mo_coeff @ rotation[:, ::-1]


def _localised(space: slice) -> Callable[[], Any]:
    """Localised orbitals differ from canonical ones by some rotation."""

    def change(mf: Any) -> None:
        orbitals = mf.mo_coeff[:, space]
        rotation, _ = np.linalg.qr(rng().standard_normal((orbitals.shape[1],) * 2))
        mf.mo_coeff[:, space] = orbitals @ rotation

    return _own(change)


def _in_electronvolt(mf: Any) -> None:
    mf.mo_energy *= 27.2114


def _shifted() -> Any:
    """With conv_check off, PySCF leaves the shifted energies of the virtual orbitals."""
    return hydrogen_fluoride().set(level_shift=0.3, conv_check=False, verbose=0).run()


def _kohn_sham(own_energy: bool) -> Callable[[], Any]:
    def make() -> Any:
        from pyscf import dft

        ks = dft.RKS(molecule(HF), xc="pbe")
        ks.verbose, ks.chkfile, ks.grids.level = 0, None, 0
        ks.run()
        mf = hydrogen_fluoride()
        mf.mo_coeff, mf.mo_energy, mf.mo_occ = ks.mo_coeff, ks.mo_energy, ks.mo_occ
        mf.e_tot, mf.converged = mf.energy_tot() if own_energy else ks.e_tot, True
        return mf

    return make


def _moved(mf: Any) -> None:
    mf.mol = mf.mol.copy()
    mf.mol.set_geom_(mf.mol.atom_coords() * 1.0001, unit="Bohr")


def _total(e_tot: float) -> Callable[[], Any]:
    def change(mf: Any) -> None:
        mf.e_tot = e_tot

    return _own(change)


def _scaled_repulsion() -> Any:
    """The SCF of a model Hamiltonian, whose integrals MP2 would not use."""
    mf = hydrogen_fluoride()
    mf._eri = 0.7 * mf.mol.intor("int2e", aosym="s8")
    return mf.set(verbose=0).run()


def _scaled_fit() -> Any:
    mf = fitted()
    mf.with_df._cderi = 0.9 * mf.with_df._cderi
    return mf.run()


def _nan(name: str) -> Callable[[], Any]:
    def change(mf: Any) -> None:
        if name == "e_tot":
            mf.e_tot = float("nan")
        else:
            getattr(mf, name).flat[7] = np.inf

    return _own(change)


TOGETHER = "do not belong to one Hartree-Fock solution of this molecule: "
FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "natural orbitals": (_own(_natural), TOGETHER),
    "localised occupied": (_localised(slice(0, 5)), TOGETHER + "the Fock matrix couples|orbital"),
    "localised valence": (_localised(slice(1, 5)), TOGETHER),
    "localised virtual": (_localised(slice(5, None)), TOGETHER),
    "electronvolt": (_own(_in_electronvolt), TOGETHER + r"orbital 0 has the energy -55\d\.\d+ Eh"),
    "level shift": (_shifted, TOGETHER + r"orbital \d+ has the energy"),
    "Kohn-Sham": (_kohn_sham(own_energy=False), TOGETHER),
    "Kohn-Sham orbitals, HF energy": (_kohn_sham(own_energy=True), TOGETHER),
    "no total energy": (_total(0.0), TOGETHER + r"e_tot is 0\.000000 Eh, but these .* -76\.02677"),
    "energy of MP2": (_total(-76.2308), TOGETHER + "e_tot is -76"),
    "moved atoms": (_own(_moved), r"not orthonormal \(C\^T S C differs from 1 by .*was it changed"),
    "model Hamiltonian": (_scaled_repulsion, r"as in a model .* use pyscf\.mp\.MP2\(mf\)"),
    "other fitted integrals": (_scaled_fit, TOGETHER),
    "NaN energy": (_nan("mo_energy"), "mo_energy of the SCF holds NaN or infinity"),
    "NaN orbital": (_nan("mo_coeff"), "mo_coeff of the SCF holds NaN or infinity"),
    "NaN total": (_nan("e_tot"), "e_tot of the SCF holds NaN or infinity"),
    **{
        f"exchanged {p} and {q}": (_exchanged(p, q), TOGETHER + r"orbital \d+ has the energy")
        for p, q in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (9, 10), (12, 20), (22, 23))
    },
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_are_found(case: str, tmp_path: Path) -> None:
    """Also before a result is written."""
    make, says = FAULTS[case]
    path = tmp_path / "run.h5"
    mp = DFMP2(make()).set(checkpoint=path)
    for _ in range(2):  # and again from its run file
        with pytest.raises(InputError, match=says) as caught:
            mp.run()
        assert "\n" not in str(caught.value)
    assert mp.result is None


@pytest.mark.filterwarnings("ignore:the auxiliary set of the SCF errs")
@pytest.mark.parametrize("how", ["memory", "disk", "scf", "frozen", "nki"])
def test_virtual_orbitals_are_checked_on_every_path(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Fock matrix is checked with the integrals of B, which come in several ways."""
    mf = fitted("water", "cc-pvdz-ri") if how == "scf" else fresh()
    options: dict[str, Any] = {
        "memory": {},
        "disk": {},
        "scf": {"integrals": "scf", "auxbasis": "cc-pvdz-ri"},
        "frozen": {"frozen": [0, 22]},
        "nki": {"backend": "simulator"},
    }[how]
    if how == "disk":
        monkeypatch.setattr(
            dfmp2.workflow.prepare,
            "make_plan",
            lambda *a, **k: replace(make_plan(*a, **k), in_memory=False),
        )
    monkeypatch.setattr(check, "HELD", 0)  # as in a larger molecule
    built: list[int] = []
    whole = check.fock_faults
    monkeypatch.setattr(check, "fock_faults", lambda *a, **k: built.append(1) or whole(*a, **k))
    right = DFMP2(mf).set(**options).run()
    assert right.result.labels["reference_check"] == CHEAP
    assert not built
    mf.mo_energy = mf.mo_energy.copy()
    mf.mo_energy[[6, 7]] = mf.mo_energy[[7, 6]]
    with pytest.raises(InputError, match=r"orbital [67] has the energy"):
        DFMP2(mf).set(**options).run()
    assert built
    wrong = DFMP2(mf).set(**options, check_reference="off").run()
    assert wrong.result.labels["reference_check"] == "off"
    assert abs(wrong.e_corr - right.e_corr) > 1e-5
    text, extras = summary(wrong.result), wrong.result.to_qcschema()["extras"]["dfmp2"]
    assert text.count("NOT CHECKED (check_reference off)") == 1
    assert text.index("NOT CHECKED") < text.index("  formula")  # beside the energies
    assert UNCHECKED in extras["notes"]
    assert "NOT CHECKED" not in summary(right.result)


def test_full_check_builds_the_fock_matrix() -> None:
    result = DFMP2(mean_field("water")).set(check_reference="full").run().result
    extras = result.to_qcschema()["extras"]["dfmp2"]
    assert extras["labels"]["reference_check"] == FULL
    with pytest.raises(InputError, match="check_reference 'some' is unknown; choose one of auto"):
        DFMP2(mean_field("water")).set(check_reference="some").run()


def test_periodic_cell_in_a_molecular_mean_field() -> None:
    from pyscf import scf
    from pyscf.pbc import gto

    cell = gto.M(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", verbose=0)
    mf = scf.hf.RHF(cell)
    mf.mo_coeff, mf.mo_energy, mf.mo_occ = np.eye(1), np.zeros(1), np.array([2.0])
    mf.e_tot, mf.converged = -2.8, True
    with pytest.raises(UnsupportedReferenceError, match="periodic; dfmp2 treats molecules only"):
        DFMP2(mf).run()


# Run files


def test_run_file_of_another_total_energy(tmp_path: Path) -> None:
    """The orbitals are the same: without this, the total energy of the first run is printed."""
    mf, path = fresh(), tmp_path / "run.h5"
    DFMP2(mf).set(checkpoint=path).run()
    mf.e_tot -= 0.01
    with pytest.raises(CheckpointError, match=r"orbitals is -76\.0267.*, not -76\.0367"):
        DFMP2(mf).set(checkpoint=path, check_reference="off").run()


def test_a_molecule_that_lost_electrons_after_its_scf() -> None:
    """Two pairs of electrons were left out without a word."""
    mf = fresh()
    mf.mol = mf.mol.copy()
    mf.mol.charge = 2
    mf.mol.build()
    with pytest.raises(InputError, match=r"mo_occ holds 10 electrons, but the molecule has 8"):
        DFMP2(mf).run()


@pytest.mark.parametrize("fit", [False, True])
def test_one_orbital_of_a_small_molecule(fit: bool) -> None:
    """Random elements of the Fock matrix miss some of these; its integrals are in memory."""
    for orbital, shift in ((2, 0.1), (11, 0.1), (20, 0.5)):
        mf = fitted() if fit else fresh()
        mf.mo_energy = mf.mo_energy.copy()
        mf.mo_energy[orbital] += shift
        with pytest.raises(InputError, match=f"orbital {orbital} has the energy"):
            DFMP2(mf).run()


def _turned(p: int, q: int) -> Callable[[Any], None]:
    """Two virtual orbitals mixed by five degrees."""
    angle = np.deg2rad(5)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def change(mf: Any) -> None:
        mf.mo_coeff[:, [p, q]] = mf.mo_coeff[:, [p, q]] @ turn

    return change


def _raised(orbital: int, by: float) -> Callable[[Any], None]:
    def change(mf: Any) -> None:
        mf.mo_energy[orbital] += by

    return change


@pytest.mark.parametrize(
    "fault",
    [_raised(7, 0.02), _raised(16, 0.02), _raised(20, 0.05), _turned(5, 6), _turned(13, 14)],
    ids=["7 by 0.02", "16 by 0.02", "20 by 0.05", "5 and 6", "13 and 14"],
)
def test_random_vectors_see_each_orbital(
    fault: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The integrals of a larger SCF are not held, so only the random vectors can see the fault.

    Without it they were missed, and gave another MP2 energy without a message.
    """
    monkeypatch.setattr(check, "HELD", 0)
    with pytest.raises(InputError, match="do not belong to one Hartree-Fock solution"):
        DFMP2(_own(fault)()).run()


def test_sign_of_an_orbital_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(mf: Any) -> None:
        mf.mo_coeff[:, [2, 9]] *= -1

    monkeypatch.setattr(check, "HELD", 0)
    assert DFMP2(_own(change)()).run().result.labels["reference_check"] == CHEAP


def test_kohn_sham_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Energies of another method passed as Kohn-Sham ones, and the result did not say so."""
    from pyscf import dft

    ks = dft.RKS(molecule(HF, basis="sto-3g"), xc="pbe")
    ks.verbose, ks.chkfile, ks.grids.level = 0, None, 0
    ks.run()
    mp = DFMP2(ks).set(allow_ks=True, auxbasis="def2-svp-ri")
    assert mp.run().result.labels["reference_check"] == FULL
    ks.mo_energy = ks.mo_energy.copy()
    ks.mo_energy[-1] += 0.05
    with pytest.raises(InputError, match=r"to one Kohn-Sham solution .*: orbital 5 has the energy"):
        mp.run()
    monkeypatch.setattr(check, "HELD", 0)  # as in a larger molecule
    assert "orthonormality only" in mp.run().result.labels["reference_check"]


def test_a_total_energy_that_is_a_millihartree_off() -> None:
    mf = fresh()
    mf.e_tot += 1.2e-3
    with pytest.raises(InputError, match="e_tot is -76"):
        DFMP2(mf).run()


ONE_ELECTRON = {"H": ("H 0 0 0", 0), "H2+": ("H 0 0 0; H 0 0 1", 1), "He+": ("He 0 0 0", 1)}


@pytest.mark.parametrize("change", ["plain", "fitted", "x2c"])
@pytest.mark.parametrize("name", ONE_ELECTRON)
def test_one_electron(name: str, change: str) -> None:
    """PySCF takes all its orbitals from the one-electron Hamiltonian, and they were refused."""
    from pyscf import scf

    atoms, charge = ONE_ELECTRON[name]
    mf = scf.UHF(molecule(atoms, charge=charge, spin=1))
    mf = (
        {"plain": mf, "fitted": mf.density_fit(auxbasis="def2-svp-jkfit"), "x2c": mf.x2c()}[change]
        .set(chkfile=None)
        .run()
    )
    for how in ("auto", "full"):
        mp = DFMP2(mf).set(check_reference=how).run()
        assert (mp.e_corr, mp.e_tot) == (0.0, mf.e_tot)
    mf.mo_energy[0][0] += 0.02
    with pytest.raises(InputError, match="orbital 0 has the energy"):
        DFMP2(mf).run()


# Chkfiles


def test_chkfile_of_one_electron(own_folder: None) -> None:
    from pyscf import scf

    mf = scf.UHF(molecule("H 0 0 0", spin=1)).set(chkfile="h.chk").run()
    done = command("run", "h.chk", "--no-checkpoint")
    assert done.exit_code == 0, done.stderr
    assert f"{mf.e_tot:.8f}" in done.stdout


def _chkfile(path: Path, mf: Any, **changes: Any) -> Path:
    from pyscf.scf import chkfile

    parts = {name: getattr(mf, name) for name in ("e_tot", "mo_energy", "mo_coeff", "mo_occ")}
    chkfile.dump_scf(mf.mol, str(path), **{**parts, **changes})
    return path


def test_chkfile_of_a_fitted_scf(own_folder: None) -> None:
    """Its orbitals solve the exact equations within the fitting error."""
    done = command("run", _chkfile(Path("water.chk"), fitted()), "--no-checkpoint")
    assert done.exit_code == 0, done.stderr
    assert fact(done.stdout, "reference check") == FULL
    assert "orbitals of a density-fitted SCF read as" in done.stderr


@pytest.mark.parametrize("fault", ["exchanged", "energies", "e_tot", "moved", "x2c"])
def test_chkfiles_with_faults(fault: str, own_folder: None) -> None:
    mf = fresh()
    coeff = mf.mo_coeff.copy()
    coeff[:, [6, 7]] = coeff[:, [7, 6]]
    if fault == "moved":
        _moved(mf)
    if fault == "x2c":
        mf = _x2c().set(verbose=0).run()
    changes: dict[str, Any] = {
        "exchanged": {"mo_coeff": coeff},
        "energies": {"mo_energy": np.where(mf.mo_occ > 0, mf.mo_energy, mf.mo_energy + 0.2)},
        "e_tot": {"e_tot": -76.2},
    }.get(fault, {})
    done = command("run", _chkfile(Path("scf.chk"), mf, **changes), "--no-checkpoint")
    assert done.exit_code == (4 if fault == "x2c" else 2)
    assert len(done.stderr.splitlines()) == 1
    if fault == "moved":
        assert "not orthonormal" in done.stderr
    else:
        assert "of the plain Hamiltonian in the file" in done.stderr
        assert "X2C, point charges, a solvent" in done.stderr


def test_periodic_chkfile(own_folder: None) -> None:
    import h5py
    from pyscf.pbc import gto

    cell = gto.M(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", verbose=0)
    one = np.ones(1)
    with h5py.File("cell.chk", "w") as file:
        file["mol"] = cell.dumps()
        for name, value in {"mo_coeff": np.eye(1), "mo_energy": one, "mo_occ": 2 * one}.items():
            file[f"scf/{name}"] = value
        file["scf/e_tot"] = -2.8
    done = command("run", "cell.chk")
    assert done.exit_code == 2
    assert "cell.chk: is the chkfile of a periodic Cell; dfmp2 treats molecules only" in done.stderr


# Doubtful results


def test_stretched_hydrogen_is_remarked_on() -> None:
    from pyscf import scf

    mf = scf.RHF(molecule("H 0 0 0; H 0 0 8", basis="cc-pvdz")).set(verbose=0).run()
    with pytest.warns(DFMP2Warning) as caught:
        mp = DFMP2(mf).run()
    assert mp.e_corr < -0.3
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == 2
    assert "the gap between occupied and virtual orbitals is only" in texts[0]
    assert "more than is chemically possible" in texts[1]
    assert set(texts) <= set(mp.result.notes)


def test_unstable_scf_on_request(own_folder: None) -> None:
    """C2 has two restricted solutions. PySCF's first guess leads to the higher one."""
    from pyscf import scf

    mf = scf.RHF(molecule("C 0 0 0; C 0 0 1.24", basis="sto-3g")).set(verbose=0).run()
    plain = DFMP2(mf).run()  # without a warning
    with pytest.warns(DFMP2Warning, match="SCF solution is unstable: another one .* lower energy"):
        mp = DFMP2(mf).run(check_stability=True)
    assert mp.e_corr == pytest.approx(plain.e_corr, abs=1e-12, rel=0)
    assert any("unstable" in note for note in mp.result.notes)
    Path("c2.xyz").write_text("2\n\nC 0 0 0\nC 0 0 1.24\n")
    for source in ((_chkfile(Path("c2.chk"), mf),), ("c2.xyz", "--basis", "sto-3g")):
        done = command("run", *source, "--no-checkpoint", "--check-stability")
        assert done.exit_code == 0, done.stderr
        assert "unstable" in done.stderr
        assert "unstable" in done.stdout


def test_stability_of_a_molecule_without_virtual_orbitals() -> None:
    from pyscf import scf

    mf = scf.RHF(molecule("He 0 0 0", basis="sto-3g")).set(verbose=0).run()
    assert DFMP2(mf).run(check_stability=True, auxbasis="def2-svp-ri").e_corr == 0


def test_a_run_without_the_check_does_not_vouch_for_later_ones(tmp_path: Path) -> None:
    """Only a check that was made is noted in the run file."""
    mf = _exchanged(6, 7)()
    mp = DFMP2(mf).set(checkpoint=tmp_path / "run.h5", check_reference="off").run()
    assert mp.result.labels["reference_check"] == "off"
    with RunFile(str(tmp_path / "run.h5")) as file:
        assert KEY not in file.state
        del file.state["result"]  # as if it was killed before the end
        file.save()
    with pytest.raises(InputError, match=r"orbital [67] has the energy"):
        DFMP2(mf).set(checkpoint=tmp_path / "run.h5").run()
    mf = fresh()
    DFMP2(mf).set(checkpoint=tmp_path / "right.h5").run()
    with RunFile(str(tmp_path / "right.h5"), writable=False) as file:
        assert file.state[KEY] == CHEAP


# Deviations that are too small to be refused


def _shifted(first: int, by: float) -> Callable[[Any], None]:
    def change(mf: Any) -> None:
        mf.mo_energy[first:] += by

    return change


def _other_total(mf: Any) -> None:
    mf.e_tot += 3e-5


def _unfinished() -> Any:
    mf = hydrogen_fluoride().set(verbose=0, max_cycle=5, conv_check=False).run()
    mf.converged = True
    return mf


def _loose_rohf() -> Any:
    """The orbitals of a doubly and a singly occupied level, mixed a little."""
    from pyscf import scf

    mf = scf.ROHF(molecule("O 0 0 0; H 0 0.1 0.97", spin=1)).set(verbose=0, chkfile=None).run()
    turn = np.array([[np.cos(4e-4), np.sin(4e-4)], [-np.sin(4e-4), np.cos(4e-4)]])
    mf.mo_coeff = np.array(mf.mo_coeff)
    mf.mo_coeff[:, [2, 4]] = mf.mo_coeff[:, [2, 4]] @ turn
    return mf


@pytest.mark.parametrize("how", ["auto", "full"])
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (_own(_shifted(5, 3e-4)), r"largest element of C\^T F C - diag\(e\) 3\.0e-04 Eh"),
        (_own(_other_total), r"e_tot -76\.\d{8} Eh, but -76\.\d{8} Eh from the orbitals"),
        (_unfinished, "largest element of"),
        (_loose_rohf, "largest element of"),
    ],
    ids=["virtual energies", "total energy", "unfinished", "ROHF"],
)
def test_small_deviations_are_reported(make: Callable[[], Any], named: str, how: str) -> None:
    """They changed the energy by 1e-6 to 1e-4 Eh without a word."""
    with pytest.warns(DFMP2Warning, match=named) as caught:
        mp = DFMP2(make()).run(check_reference=how)
    assert len(caught) == 1
    assert str(caught[0].message) in mp.result.notes


def test_orbitals_of_a_file_in_a_plain_mean_field(tmp_path: Path) -> None:
    """PySCF's file does not say that the SCF was fitted, so the result said exact integrals."""
    from pyscf import scf
    from pyscf.scf import chkfile

    path = _chkfile(tmp_path / "water.chk", fitted())
    mf = scf.RHF(fitted().mol).set(verbose=0, chkfile=None)
    mf.__dict__.update(chkfile.load(str(path), "scf"))
    mf.converged = True
    with pytest.warns(DFMP2Warning, match="orbitals of a density-fitted SCF read as"):
        assert DFMP2(mf).run().result.labels["reference_check"] == FULL


@pytest.mark.parametrize("by", [0.002, -0.002])
def test_common_shift_of_virtual_energies_in_larger_molecules(
    by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random vectors did not see 4e-3 Eh, which changes the energy by 2.6e-3 Eh."""
    monkeypatch.setattr(check, "HELD", 0)
    with pytest.raises(InputError, match="do not belong to one Hartree-Fock solution"):
        DFMP2(_own(_shifted(5, by))()).run()


def test_checks_of_a_finished_run_file(own_folder: None) -> None:
    """They were asked for, not made, and nothing said so."""
    Path("c2.xyz").write_text("2\n\nC 0 0 0\nC 0 0 1.24\n")
    run = ("run", "c2.xyz", "--basis", "sto-3g", "--checkpoint", "c2.h5")
    assert "reference check" not in command(*run).stdout
    done = command(*run, "--check-stability", "--check-reference", "full")
    assert done.exit_code == 0, done.stderr
    assert "unstable" in done.stderr
    assert "unstable" in done.stdout
    assert fact(done.stdout, "reference check") == FULL


def test_own_scf_without_a_solution_is_not_converged(own_folder: None) -> None:
    """It was called a fault of the input, with the advice to switch the check off."""
    Path("h2.xyz").write_text("2\n\nH 0 0 0\nH 0 0 50\n")
    done = command("run", "h2.xyz", "--basis", "sto-3g", "--no-checkpoint")
    assert done.exit_code == 4
    assert "did not reach a solution: " in done.stderr
    assert "check_reference" not in done.stderr
