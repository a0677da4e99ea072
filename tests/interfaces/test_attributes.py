"""Attributes that do not exist are errors with advice, and energies belong to the options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyscf import df

from dfmp2 import DFMP2
from dfmp2.errors import DFMP2Warning, InputError, NotProvidedError
from tests.systems import mean_field


def mp() -> DFMP2:
    return DFMP2(mean_field("water"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("frozne", r"no attribute 'frozne' to set; did you mean frozen\?"),
        ("auxbasis_", r"did you mean auxbasis\?"),
        ("qqq", "it has accuracy, .*, frozen, .*, with_df"),
        ("mol", r"the molecule is the mean field's; use reset\(mol\)"),
        ("mo_energy", "orbital energies are those of the Fock matrix"),
        ("nocc", "cannot be set: use frozen"),
        ("e_corr", "it is a result"),
        ("result", "it is a result"),
        ("kernel", "no attribute 'kernel' to set"),
        ("with_df", "with_df is a int"),
    ],
)
def test_assignments_without_effect_are_errors(name: str, says: str) -> None:
    """PySCF ignores them: `m.frozne = 1` gives the energy of all electrons."""
    with pytest.raises(InputError, match=says):
        setattr(mp(), name, 1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("make_rdm2", "amplitudes are never stored"),
        ("make_fno", r"natural_orbitals\(\)"),
        ("update_amps", "amplitudes are never stored"),
        ("with_df", "set auxbasis"),
    ],
)
def test_what_only_pyscf_has(name: str, says: str) -> None:
    assert not hasattr(mp(), name)
    with pytest.raises(NotProvidedError, match=says):
        getattr(mp(), name)


@pytest.mark.parametrize("name", ["conv_tol", "with_t2", "force_outcore", "ps"])
def test_options_that_only_pyscf_has(name: str) -> None:
    with pytest.raises(NotProvidedError, match=f"DFMP2 has no {name}: "):
        setattr(mp(), name, 1)


def test_misspelt_attribute_that_is_read() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'e_cor'; did you mean e_corr"):
        _ = mp().e_cor


def test_set_changes_all_or_nothing() -> None:
    mp2 = mp()
    with pytest.raises(InputError, match="did you mean auxbasis"):
        mp2.set(frozen=1, auxbassis="cc-pvdz-ri")
    assert mp2.frozen is None
    with pytest.raises(InputError, match="found 1 alone"):
        mp2.set(1)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("accuracy", (0, -1e-6, np.nan, np.inf, "1e-6", True), "finite number above 0"),
        ("checkpoint_interval", (-1, np.nan, np.inf, None), "finite number of seconds, 0 or more"),
        ("max_memory", ("4000", True), "a number of MB, or None"),
        ("fused", ("no", 0, None), "True or False"),
        ("allow_ks", ("no", 1), "True or False"),
        ("check_stability", ("no", 1), "True or False"),
        ("checkpoint", (True, 3, b"run.h5", ""), "a path of a run file, or None"),
        ("name", (None, 3), "a string"),
        ("progress", (True, "bar"), "a function"),
        ("device", (0,), "a name such as 'cpu'"),
        ("backend", ("torch", 1), "is unknown; choose one of auto, pytorch, nki, simulator"),
        ("precision", ("bf16", "FP64"), r"is unknown; choose one of fp64, fp32, auto \(or None"),
        ("integrals", (None, "df"), "is unknown; choose one of auto, libcint, gpu4pyscf, scf"),
        ("check_reference", (True, "on"), "is unknown; choose one of auto, full, off"),
        ("mo_coeff", ("x", [1, 2], [[1], [1, 2]], np.eye(2, dtype=object)), r"\(nao, nmo\)"),
        ("mo_occ", ("x", np.zeros((2, 2, 2))), r"shape \(nmo,\)"),
    ],
)
def test_values_that_an_attribute_does_not_take(
    name: str, values: tuple[Any, ...], says: str
) -> None:
    """A string counts as true, and with an accuracy of NaN no estimate is too large."""
    mp2 = mp()
    before = getattr(mp2, name)
    for value in values:
        with pytest.raises(InputError, match=f"^{name} .*{says}"):
            setattr(mp2, name, value)
        with pytest.raises(InputError, match=f"^{name} "):
            mp2.set(frozen=1, **{name: value})
    assert np.array_equal(getattr(mp2, name), before)
    assert mp2.frozen is None


def test_values_that_a_run_takes_and_its_file_can_hold(tmp_path: Path) -> None:
    """JSON in the run file has no scalars of NumPy."""
    mp2 = mp().set(progress=None, frozen="none", fused=np.True_, accuracy=np.float32(1e-5))
    mp2.set(max_memory=np.array(3000), precision=np.str_("fp64"), checkpoint=tmp_path / "run.h5")
    mp2.set(checkpoint_interval=0, mo_coeff=mp2.mo_coeff.tolist(), verbose=0)
    mp2.run()
    assert mp2.result.frozen == ()
    assert mp2.result.settings["fused"] is True


def test_no_limit_of_memory_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    mp().set(max_memory=None, verbose=4, stdout=sys.stdout).dump_flags()
    assert "max_memory None" in capsys.readouterr().out


def test_subclasses_declare_their_attributes() -> None:
    """As PySCF's classes do, in `_keys`."""

    class Named(DFMP2):
        _keys = frozenset({"remark"})

    mp2 = Named(mean_field("water"))
    mp2.remark = "mine"
    mp2.frozen = 1
    assert (mp2.remark, mp2.frozen) == ("mine", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("frozen", 1), ("auxbasis", "cc-pvdz-ri"), ("mo_coeff", None), ("device", "cpu")],
)
def test_energies_do_not_outlive_a_change_of_options(name: str, value: Any) -> None:
    """They would be those of other options."""
    mp2 = mp().run()
    mp2.verbose, mp2.max_memory = 0, 3000
    assert mp2.converged
    setattr(mp2, name, value)
    assert not mp2.converged
    with pytest.raises(AttributeError, match="an option has changed"):
        _ = mp2.e_tot


def test_energies_do_not_outlive_a_run_that_fails() -> None:
    mp2 = mp().run()
    with pytest.raises(InputError):
        mp2.kernel(mo_energy=mp2.mo_energy * 27.2114)
    assert not mp2.converged


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"with_t2": True}, "amplitudes are never stored"),
        ({"eris": object()}, "keeps no integrals"),
        ({"mo_coeff": "x"}, r"mo_coeff is 'x', but must be an array of shape \(nao, nmo\)"),
        ({"mo_coeff": [1, 2]}, r"mo_coeff is \[1, 2\], but must be"),
        ({"mo_coeff": (np.eye(24), np.eye(24))}, r"mo_coeff of the SCF must be numbers of shape"),
        ({"mo_energy": np.zeros(24)}, "mo_energy differs from the orbital energies"),
        ({"mo_energy": np.zeros(3)}, "mo_energy differs from the orbital energies"),
        ({"mo_energy": np.full(24, np.nan)}, "mo_energy differs from the orbital energies"),
    ],
)
def test_arguments_of_kernel_that_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        mp().kernel(**arguments)


def test_orbitals_in_the_place_of_the_auxiliary_basis() -> None:
    """PySCF's third argument is mo_coeff."""
    mf = mean_field("water")
    with pytest.raises(InputError, match="third argument is auxbasis"):
        DFMP2(mf, 0, mf.mo_coeff, mf.mo_occ)


def test_to_gpu_computes_on_a_gpu_or_not_at_all() -> None:
    gpu = mp().set(integrals="gpu4pyscf").to_gpu()
    assert (gpu.backend, gpu.device) == ("pytorch", "cuda")
    cpu = gpu.to_cpu()
    assert (cpu.backend, cpu.device, cpu.integrals) == ("pytorch", "cpu", "auto")


def test_a_generator_of_frozen_orbitals_is_kept() -> None:
    """Read a second time it would freeze nothing."""
    mp2 = DFMP2(mean_field("water"), frozen=(i for i in (0, 1)))
    assert (mp2.nocc, mp2.nocc) == (3, 3)
    assert mp2.run().result.frozen == (0, 1)


def test_occupations_of_the_mean_field_in_a_list() -> None:
    mf = mean_field("water").copy()
    mf.mo_occ = mf.mo_occ.tolist()
    assert (DFMP2(mf, frozen=1).nocc, DFMP2(mf).nmo) == (4, 24)


# with_df


def _moved() -> Any:
    mol = mean_field("water").mol
    return df.DF(mol.set_geom_(mol.atom_coords(unit="Ang") * 1.01, inplace=False), "cc-pvdz-ri")


def _other_integrals() -> Any:
    with_df = df.DF(mean_field("water").mol, "cc-pvdz-ri").build()
    with_df._cderi = 1.01 * with_df._cderi
    return with_df


def _missing_file() -> Any:
    with_df = df.DF(mean_field("water").mol, "cc-pvdz-ri")
    with_df._cderi = "missing.h5"
    return with_df


def _other_functions() -> Any:
    with_df = df.DF(mean_field("water").mol, "cc-pvdz-ri")
    with_df.auxmol = df.make_auxmol(with_df.mol, "cc-pvdz-jkfit")
    return with_df


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_moved, r"other atoms or positions.*reset\(mf\.mol\)"),
        (_other_integrals, "other functions or integrals"),
        (_missing_file, "other functions or integrals"),
        (_other_functions, "other functions or integrals"),
    ],
)
def test_with_df_that_says_two_things_is_refused(make: Any, says: str) -> None:
    """PySCF would take its integrals; dfmp2 computes those of its auxiliary basis."""
    mp2 = mp()
    mp2.with_df = make()
    with pytest.raises(InputError, match=says):
        mp2.run()


def test_with_df_beside_auxbasis_is_refused() -> None:
    mp2 = DFMP2(mean_field("water"), auxbasis="cc-pvdz-ri")
    mp2.with_df = df.DF(mp2.mol, "cc-pvdz-jkfit")
    with pytest.raises(InputError, match="both name the auxiliary basis"):
        mp2.plan()


def test_options_that_change_in_place() -> None:
    """The energy stayed that of [0], under the options [0, 1]."""
    mp2 = mp().run(frozen=[0])
    assert mp2.converged
    mp2.frozen.append(1)
    assert not mp2.converged
    with pytest.raises(AttributeError, match="an option has changed"):
        _ = mp2.e_corr


def test_all_virtual_orbitals_frozen() -> None:
    with pytest.warns(DFMP2Warning, match="no correlated virtual orbitals: .* is zero"):
        assert mp().run(frozen=range(5, 24)).e_corr == 0.0
