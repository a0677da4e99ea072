"""Errors of PySCF, h5py, torch and the system at every stage: one line and a documented exit code.

Without these tests such an error would be a traceback with exit code 1, and would end the other
molecules of a command.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.errors import DFMP2Error, InternalError, ResourceError
from tests.cli.common import any_end, dfmp2, energy, file_with
from tests.systems import mean_field

STAGES = {
    "molecule": "pyscf.gto.Mole.build",
    "auxiliary basis": "dfmp2.workflow.prepare.choose_auxbasis",
    "run file": "dfmp2.workflow.jobs.open_run",
    "SCF": "pyscf.scf.hf.SCF.kernel",
    "integrals": "dfmp2.integrals.libcint.ThreeCentreIntegrals._make",
    "metric": "dfmp2.tensors.build.factor_metric",
    "arithmetic": "dfmp2.backends.torch.TorchBackend.pair_energy",
    "commit": "dfmp2.runfile.checkpoint.store_pairs",
    "result": "dfmp2.workflow.compute.result_of",
    "table": "dfmp2.cli.table.summary",
    "JSON": "dfmp2.cli.output.JsonOutput.add",
}

ERRORS: dict[str, tuple[Exception, int, str]] = {
    "RuntimeError": (RuntimeError("what"), 70, "please report it"),
    "KeyError": (KeyError("He"), 70, "please report it"),
    "AttributeError": (AttributeError("x"), 70, "please report it"),
    "LinAlgError": (np.linalg.LinAlgError("Singular matrix"), 2, "linearly dependent"),
    "full disk": (OSError(errno.ENOSPC, "No space left on device", "/t/x"), 5, "/t/x: No space"),
    "no such folder": (FileNotFoundError(errno.ENOENT, os.strerror(2), "/t"), 6, "/t: No such"),
    "MemoryError": (MemoryError(), 5, "max_memory (--max-memory)"),
    "NumPy's memory": (MemoryError("Unable to allocate 9 TiB"), 5, "Unable to allocate 9 TiB"),
    "CUDA's memory": (torch.OutOfMemoryError("CUDA out of memory"), 5, "CUDA out of memory"),
    "torch's memory": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 5, "allocate"),
    "ImportError": (ImportError("no libxc"), 7, "no libxc"),
}


def raiser(error: BaseException) -> Any:
    def raising(*_: object, **__: object) -> None:
        raise error

    return raising


@pytest.fixture
def helium(tmp_path: Path) -> Path:
    return file_with(tmp_path, "he.xyz", "1\n\nHe 0 0 0\n")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("stage", STAGES)
def test_error_at_each_stage(
    stage: str, error: str, helium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised, code, says = ERRORS[error]
    if stage == "molecule" and code == 70:
        code, says = 2, "check the geometry, the charge and the basis"  # PySCF refuses it
    if stage == "molecule" and code == 6:
        code = 2  # an input file that cannot be read
    monkeypatch.setattr(STAGES[stage], raiser(raised))
    kept = [] if stage in ("run file", "commit") else ["--no-checkpoint"]  # faster
    done = any_end("run", helium, "--basis", "cc-pvdz", "--quiet", *kept, "--json", "he.json")
    assert done.exit_code == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert says in line
    if stage == "JSON":
        assert energy(done.stdout, "E(MP2) total")


@pytest.mark.parametrize("error", ERRORS)
def test_error_in_a_class_has_the_same_kind(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script can catch one class. The exception itself is the cause."""
    from dfmp2 import DFMP2

    raised, code, _ = ERRORS[error]
    monkeypatch.setattr(STAGES["integrals"], raiser(raised))
    with pytest.raises(DFMP2Error) as caught:
        DFMP2(mean_field("water")).run()
    assert caught.value.exit_code == code
    assert caught.value.__cause__ is raised


def _with_df(mp: Any) -> None:
    from pyscf import df

    mp.with_df = df.DF(mp.mol)
    mp.run()


OF_PYSCF = {
    "one-electron integrals": ("pyscf.scf.hf.SCF.get_hcore", lambda mp: mp.run()),
    "overlap": ("pyscf.gto.mole.MoleBase.intor_symmetric", lambda mp: mp.run()),
    "number of functions": ("pyscf.gto.mole.MoleBase.nao_nr", lambda mp: mp.plan()),
    "Fock matrix": (
        "pyscf.scf.hf.SCF.energy_nuc", lambda mp: mp.run(check_reference="full")
    ),
    "stability": ("pyscf.scf.hf.RHF.stability", lambda mp: mp.run(check_stability=True)),
    "fitting object": ("pyscf.df.addons.make_auxbasis", _with_df),
    "scanner": ("pyscf.scf.hf.SCF.as_scanner", lambda mp: mp.as_scanner()),
    "SCF of the scanner": ("pyscf.scf.hf.SCF.get_ovlp", lambda mp: mp.as_scanner()(mp.mol)),
}  # fmt: skip


@pytest.mark.parametrize("stage", OF_PYSCF)
def test_no_error_of_pyscf_reaches_a_script_raw(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stages before the tensors were not translated: a script had to catch everything."""
    from dfmp2 import DFMP2

    target, call = OF_PYSCF[stage]
    mp, raised = DFMP2(mean_field("water").copy()), AssertionError("of PySCF")
    monkeypatch.setattr(target, raiser(raised))
    with pytest.raises(DFMP2Error, match=r"failed .*of PySCF") as caught:
        call(mp)
    assert caught.value.__cause__ is raised


def test_an_error_of_the_users_progress_function_is_left_alone() -> None:
    """A script may stop a run with an exception of its own."""
    from dfmp2 import DFMP2

    mine = KeyError("stop")
    mp2 = DFMP2(mean_field("water"))
    mp2.progress = raiser(mine)
    with pytest.raises(KeyError) as caught:
        mp2.kernel()
    assert caught.value is mine


@pytest.mark.parametrize("command", ["show", "validate", "plan", "doctor", "kernels", "bench"])
def test_a_fault_outside_a_molecule(
    command: str, helium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.import_module", raiser(KeyError("nothing")))
    done = any_end(command, helium)
    assert done.exit_code == 70
    assert done.stderr == (
        "Error: this command failed (KeyError: 'nothing'); this is probably a fault of dfmp2: "
        "please report it with the input and the traceback, which the command line prints with "
        "--verbose\n"
    )


def test_verbose_prints_the_traceback_of_a_fault_only(
    helium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", helium, "--basis", "cc-pvdz", "--verbose", "--no-checkpoint")
    monkeypatch.setattr(STAGES["metric"], raiser(ResourceError("known")))
    assert "Traceback" not in any_end(*arguments).stderr
    monkeypatch.setattr(STAGES["metric"], raiser(KeyError("unknown")))
    found = any_end(*arguments).stderr
    assert "Traceback" in found
    assert "KeyError: 'unknown'" in found
    assert "Traceback" in any_end(*arguments, helium).stderr  # one of several


def test_a_file_name_that_is_too_long() -> None:
    done = dfmp2("run", "n" * 300 + ".xyz", "--basis", "cc-pvdz")
    assert done.exit_code == 2
    assert "the name is too long for the file system; shorten it" in done.stderr


def test_errors_of_dfmp2_keep_their_class() -> None:
    from dfmp2.foreign_errors import translated

    with pytest.raises(UserWarning), translated("a stage"):
        raise UserWarning("a filter of the user makes warnings errors")
    with (
        pytest.raises(InternalError, match="ValueError: own"),
        translated("a stage", "check the input"),
    ):
        exec("raise ValueError('own')", {"__name__": "dfmp2.molecules.xyz"})


# Several molecules


@pytest.mark.parametrize("error", ["MemoryError", "KeyError"])
def test_an_error_in_one_molecule_leaves_the_others(
    error: str, helium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyscf.scf.hf import SCF

    plain = SCF.kernel

    def kernel(mf: Any, *args: object, **kwargs: object) -> object:
        if mf.mol.natm == 2:
            raise ERRORS[error][0]
        return plain(mf, *args, **kwargs)

    monkeypatch.setattr("pyscf.scf.hf.SCF.kernel", kernel)
    h2 = file_with(tmp_path, "h2.xyz", "2\n\nH 0 0 0\nH 0 0 0.74\n")
    done = any_end("run", h2, helium, "--basis", "cc-pvdz", "--quiet")
    assert done.exit_code == 8
    assert "Error: h2: the SCF failed" in done.stderr
    assert done.stderr.splitlines()[-1] == "Error: 1 of 2 molecules failed (h2); see above"
    assert energy(done.stdout, "E(MP2) total") < -2.8


@pytest.mark.parametrize("command", ["run", "plan", "validate"])
def test_too_many_electrons_for_one_of_several(command: str, helium: Path, tmp_path: Path) -> None:
    """He(2-) has two pairs, and one orbital in STO-3G."""
    ion = file_with(tmp_path, "ion.xyz", "1\ncharge=-2\nHe 0 0 0\n")
    done = dfmp2(command, ion, helium, "--basis", "sto-3g")
    assert done.exit_code == 8
    assert "Error: ion: 2 electron pairs do not fit into 1 orbitals" in done.stderr
    assert "1 of 2 molecules failed (ion)" in done.stderr
    assert "he: " in done.stdout
    alone = dfmp2(command, ion, "--basis", "sto-3g")
    assert alone.exit_code == 2
    assert alone.stderr.splitlines()[-1].startswith("Error: 2 electron pairs do not fit")
