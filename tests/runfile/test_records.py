"""What is stored rebuilds the same Hamiltonian: basis sets by content, and names of its changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import CheckpointError
from dfmp2.molecules.build import rebuild_mole
from dfmp2.molecules.plain import describe_molecule
from dfmp2.references.hamiltonian import decorations, of_molecule
from dfmp2.runfile.identity import difference, energy_fields, fields_of, fingerprint
from dfmp2.workflow import jobs
from tests.cli.common import H2, dfmp2, energy, fact, file_with
from tests.systems import converge, molecule

WATER = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"

pytestmark = pytest.mark.usefixtures("own_folder")


def nwchem(name: str, *elements: str) -> str:
    """A basis of PySCF as text of a basis file."""
    from pyscf import gto

    lines = []
    for element in elements:
        for shell in gto.basis.load(name, element):
            for column in range(1, len(shell[1])):
                lines.append(f"{element} {'SPDFG'[shell[0]]}")
                lines += [f"  {row[0]!r}  {row[column]!r}" for row in shell[1:]]
    return "\n".join(["BASIS", *lines, "END", ""])


def stop(*_: object, **__: object) -> None:
    """Takes the place of a step of a run, which is stopped there."""
    raise CheckpointError("stopped here")


FITTED_SCF = ("--basis", "6-31g", "--auxbasis", "cc-pvdz-ri", "--density-fit",
              "--scf-auxbasis", "own.nw")  # fmt: skip

FILES = {
    "orbital": (("--basis", "own.nw", "--auxbasis", "cc-pvdz-ri"), "6-31g", "sto-3g"),
    "auxiliary": (("--basis", "6-31g", "--auxbasis", "own.nw"), "cc-pvdz-ri", "def2-svp-ri"),
    "of the SCF": (FITTED_SCF, "cc-pvdz-jkfit", "cc-pvdz-ri"),
}
"""Options with a basis file, the set in it, and the set that it is replaced by."""


@pytest.mark.parametrize("where", ["run_scf", "compute"])
@pytest.mark.parametrize("kind", FILES)
def test_a_basis_file_edited_after_a_kill(
    kind: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before or after the SCF. Otherwise `resume` would give the energy of neither basis."""
    options, first, second = FILES[kind]
    file_with(Path(), "h2.xyz", H2)
    named = [first if option == "own.nw" else option for option in options]
    right = energy(dfmp2("run", "h2.xyz", *named, "--no-checkpoint").stdout, "E(MP2) total")
    file_with(Path(), "own.nw", nwchem(first, "H"))
    with monkeypatch.context() as patch:
        patch.setattr(jobs, where, stop)
        run = ("run", "h2.xyz", *options, "--checkpoint", "own.dfmp2.h5")
        assert dfmp2(*run).exit_code == 6
    file_with(Path(), "own.nw", nwchem(second, "H"))
    again = dfmp2(*run)
    assert (again.exit_code, "another input: its " in again.stderr) == (6, True)
    for number in range(2):  # without the file, too
        done = dfmp2("resume", "own.dfmp2.h5", "--json", "own.json", "--validate")
        assert done.exit_code == 0, done.stderr
        # The coefficients of a file are normalised from its decimals.
        assert abs(energy(done.stdout, "E(MP2) total") - right) < 1e-9
        if number == 0:
            Path("own.nw").unlink()
    assert dfmp2("validate", "own.json").exit_code == 0


def test_a_run_file_whose_basis_was_not_stored_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 0.1.0 stored the path. If the file was edited since, that must be said."""
    file_with(Path(), "h2.xyz", H2)
    file_with(Path(), "own.nw", nwchem("6-31g", "H"))
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "run_scf", stop)
        patch.setattr(jobs, "input_of", lambda *args: {
            **(content := old_input_of(*args)),
            "molecule": {**content["molecule"], "basis": {"H": "own.nw"}},
        })  # fmt: skip
        dfmp2("run", "h2.xyz", "--basis", "own.nw", "--auxbasis", "cc-pvdz-ri",
              "--checkpoint", "old.dfmp2.h5")  # fmt: skip
    file_with(Path(), "own.nw", nwchem("cc-pvdz", "H"))
    done = dfmp2("resume", "old.dfmp2.h5")
    assert done.exit_code == 6
    assert "cannot be continued: its basis is " in done.stderr
    file_with(Path(), "own.nw", nwchem("6-31g", "H"))
    assert dfmp2("resume", "old.dfmp2.h5").exit_code == 0


old_input_of = jobs.input_of


def _bases() -> dict[str, dict[str, Any]]:
    from pyscf import gto

    shells = gto.basis.load("6-31g", "O")
    return {
        "name": {"basis": "6-31g"},
        "element numbers": {"basis": {8: "6-31g", 1: "sto-3g"}},
        "labels": {"basis": {"O": "6-31g", "H1": "cc-pvdz", "default": "sto-3g"}},
        "parsed": {"basis": {"O": shells, "H": gto.basis.parse(nwchem("6-31g", "H"))}},
        "text": {"basis": {"O": nwchem("6-31g", "O"), "H": "sto-3g"}},
        "uncontracted": {"basis": "unc-6-31g"},
        "truncated": {"basis": "ano@3s2p"},
        "several": {"basis": {"O": ["sto-3g", [[0, [0.1, 1.0]]]], "H": "sto-3g"}},
        "file": {"basis": {"O": "o.nw", "default": "sto-3g"}},
        "ECP": {"basis": {"O": "ccecp-cc-pvdz", "H": "6-31g"}, "ecp": {"O": "ccecp"}},
        "ECP of a file": {"basis": {"O": "ccecp-cc-pvdz", "H": "6-31g"}, "ecp": {"O": "o.ecp"}},
        "Cartesian": {"basis": "cc-pvdz", "cart": True},
    }


@pytest.mark.filterwarnings("ignore:The basis set string")
@pytest.mark.parametrize("kind", _bases())
def test_a_record_rebuilds_the_molecule(kind: str) -> None:
    """From JSON, where the files are gone. Equal fields are equal functions."""
    file_with(Path(), "o.nw", nwchem("6-31g", "O"))
    file_with(Path(), "o.ecp", "O nelec 2\nO ul\n1 12.3 6.0\n3 14.8 73.9\n2 13.7 -47.9\n"
              "O S\n2 13.6 85.9\nEND\n")  # fmt: skip
    options = _bases()[kind]
    atoms = WATER.replace("H", "H1", 1) if kind == "labels" else WATER
    mol = molecule(atoms, **options)
    plain = describe_molecule("water", mol, mol, options["basis"])
    again = type(plain).from_plain(json.loads(json.dumps(vars(plain))))
    for name in ("o.nw", "o.ecp"):
        Path(name).unlink()
    rebuilt = rebuild_mole(again, "test")
    one, other = fields_of(mol, mol, ()), fields_of(rebuilt, rebuilt, ())
    assert difference(one, other) is None
    assert np.array_equal(mol.intor("int1e_ovlp"), rebuilt.intor("int1e_ovlp"))
    if kind == "name":
        assert plain.basis == {"O": "6-31g", "H": "6-31g"}


def test_a_script_with_another_total_energy_is_refused() -> None:
    """The orbitals are the same. The stored E(HF) must not be printed for the other one."""
    mf = converge(molecule("H 0 0 0; H 0 0 0.74", "6-31g"))
    DFMP2(mf).set(checkpoint="h2.dfmp2.h5").run()
    other = mf.copy()
    other.e_tot = mf.e_tot + 1e-3
    again = DFMP2(other).set(checkpoint=Path("h2.dfmp2.h5"))
    if "check_reference" in DFMP2._keys:  # it would find that energy before
        again.set(check_reference="off")
    with pytest.raises(CheckpointError, match=r"its energy of the orbitals is -1\.12"):
        again.run()


# What changes the Hamiltonian


def _field(mf: Any) -> Any:
    core = mf.get_hcore() + 0.01 * mf.mol.intor("int1e_r")[2]
    mf.get_hcore = lambda *_: core
    return mf


def _charges(mf: Any) -> Any:
    from pyscf import qmmm

    return qmmm.mm_charge(mf, np.array([[5.0, 0.0, 0.0]]), np.array([0.5]))


def _own_integrals(mf: Any) -> Any:
    mf._eri = mf.mol.intor("int2e", aosym="s8") * 0.99
    return mf


def _sgx(mf: Any) -> Any:
    from pyscf import sgx

    return sgx.sgx_fit(mf)


DECORATED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "plain": ("", lambda mf: mf),
    "fitted": ("", lambda mf: mf.density_fit()),
    "second-order": ("", lambda mf: mf.newton()),
    "X2C": ("sfX2C1e", lambda mf: mf.sfx2c1e()),
    "fitted X2C": ("sfX2C1e", lambda mf: mf.x2c().density_fit()),
    "charges": ("QM/MM, 1 point charges", _charges),
    "field": ("own get_hcore", _field),
    "ddCOSMO": ("solvent ddCOSMO (eps=78.3553)", lambda mf: mf.ddCOSMO()),
    "PCM": ("solvent PCM (method=C-PCM, eps=78.3553)", lambda mf: mf.PCM()),
    "SGX": ("SGX (COSX)", _sgx),
    "integrals": ("own integrals (mf._eri)", _own_integrals),
}


@pytest.mark.parametrize("kind", DECORATED)
def test_what_changes_the_hamiltonian_is_named(kind: str) -> None:
    """In the label of the SCF and in JSON. The names do not depend on the SCF having run."""
    from pyscf import scf

    name, decorate = DECORATED[kind]
    mf = decorate(scf.RHF(molecule("H 0 0 0; H 0 0 0.74", "6-31g")))
    assert decorations(mf) == ((name,) if name else ())


def test_a_molecule_of_its_own_is_named() -> None:
    ghost = molecule("He 0 0 0; ghost-He 0 0 2", "6-31g")
    heavy = molecule("I 0 0 0; H 0 0 1.6", "def2-svp", ecp={"I": "def2-svp"})
    assert of_molecule(ghost) == of_molecule(heavy) == ()
    assert of_molecule(molecule("He 0 0 0", "6-31g", nucmod="G")) == ("nuclei of finite size",)
    ghost.omega = 0.3
    assert of_molecule(ghost) == ("range-separated Coulomb operator, omega=0.3",)


def _stored(mf: Any) -> Any:
    mf.verbose, mf.chkfile, mf.conv_tol = 0, None, 1e-11
    mp = DFMP2(mf.run()).set(checkpoint="h2.dfmp2.h5").run()
    Path("h2.json").write_text(json.dumps(mp.result.to_qcschema()))
    return mp


def test_relativity_is_repeated_by_validate() -> None:
    from pyscf import scf

    mp = _stored(scf.RHF(molecule("H 0 0 0; H 0 0 0.74", "6-31g")).sfx2c1e())
    plain = scf.RHF(mp.mol).run().e_tot
    assert abs(mp.e_hf - plain) > 1e-6, "the two Hamiltonians must differ"
    assert json.loads(Path("h2.json").read_text())["extras"]["dfmp2"]["hamiltonian"] == ["sfX2C1e"]
    for file in ("h2.json", "h2.dfmp2.h5"):
        assert fact(dfmp2("show", file).stdout, "SCF").endswith("; with sfX2C1e")
    done = dfmp2("validate", "h2.json")
    assert done.exit_code == 0, done.stderr
    assert "agrees" in done.stdout


def test_point_charges_cannot_be_repeated_by_validate() -> None:
    """The charges are not in the JSON. Without them E(HF) would look wrong."""
    from pyscf import scf

    _stored(_charges(scf.RHF(molecule("H 0 0 0; H 0 0 0.74", "6-31g"))))
    done = dfmp2("validate", "h2.json")
    assert done.exit_code == 2
    assert "h2.json: was computed with QM/MM, 1 point charges" in done.stderr
    assert dfmp2("show", "h2.json").exit_code == 0


def test_another_hamiltonian_is_another_input() -> None:
    """The field is named where the orbitals happen to be the same."""
    plain, field = energy_fields(-1.0, ()), energy_fields(-1.0, ("own get_hcore",))
    assert str(difference(plain, field)).startswith("its hamiltonian is none, not ")
    assert fingerprint(plain) != fingerprint(field)
    assert difference(plain, energy_fields(-1.0 + 1e-12, ())) is None
