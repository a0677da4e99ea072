"""The user's configuration of PySCF has no influence on the energies of the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from dfmp2.cli.configuration import ignore_configuration
from dfmp2.errors import InputError
from tests.cli.common import WATER, dfmp2, energy, in_own_process

CONFIGURATION = """
UNIT = "B"
MAX_MEMORY = 1234
scf_hf_SCF_level_shift = 0.5
scf_hf_SCF_conv_check = False
scf_hf_SCF_conv_tol = 1e-3
scf_hf_SCF_direct_scf_tol = 1e-4
gto_mole_Mole_cart = True
"""
NAME = "pyscf.__config__"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file."""
    path = tmp_path / "own.py"
    path.write_text(CONFIGURATION)
    monkeypatch.setenv("PYSCF_CONFIG_FILE", str(path))
    return path


def test_energies_depend_on_the_options_only(file: Path) -> None:
    """With the user's UNIT, the energy was that of a molecule of half the size."""
    args = ("run", WATER, "--basis", "6-31g*", "--no-checkpoint", "--quiet")
    done, right = in_own_process(*args), dfmp2_as_it_is(*args)
    for name in ("E(HF)", "E(MP2) correlation"):
        assert energy(done.stdout, name) == pytest.approx(energy(right, name), abs=1e-9)
    (warning,) = done.stderr.splitlines()
    assert warning.startswith(f"Warning: {file}: not used for UNIT, gto_mole_Mole_cart, scf_hf")
    assert "MAX_MEMORY" not in warning


def dfmp2_as_it_is(*args: str) -> str:
    """A command in this process, where PySCF has no configuration."""
    done = dfmp2(*args)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture
def before_pyscf(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF counts as not imported."""
    for name in ("pyscf", NAME):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name))
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("before_pyscf")
def test_memory_is_kept(file: Path) -> None:
    ignore_configuration()
    assert sys.modules[NAME].MAX_MEMORY == 1234
    assert sys.modules[NAME].UNIT == "angstrom"


@pytest.mark.usefixtures("before_pyscf")
def test_configuration_that_cannot_be_run(file: Path) -> None:
    file.write_text("UNIT = bohr\n")
    with pytest.raises(InputError, match=r"cannot be run \(NameError: name 'bohr'"):
        ignore_configuration()


@pytest.mark.usefixtures("before_pyscf")
def test_variable_of_pyscf_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF raises a ValueError; the message spoke of a configuration file, which nobody had."""
    monkeypatch.setenv("PYSCF_MAX_MEMORY", "8 GB")
    with pytest.raises(InputError, match="variable PYSCF_MAX_MEMORY is '8 GB', which is no whole"):
        ignore_configuration()


def test_pyscf_that_was_imported_with_a_configuration(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In such a process, the command line cannot have other settings any more."""
    module = ModuleType(NAME)
    module.conf_file, module.UNIT = str(file), "B"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, NAME, module)
    with pytest.raises(InputError, match=r"imported with this configuration, .* UNIT"):
        ignore_configuration()
