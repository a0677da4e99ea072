"""From what a user names on a command line to a mean field: one job per molecule.

Everything that can be wrong with an input is found in `prepare`, before any SCF starts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmp2.errors import InputError, UnsupportedReferenceError
from dfmp2.molecules.build import BasisSpec, build_mole, is_chkfile, read_geometry
from dfmp2.molecules.plain import MoleculeRecord
from dfmp2.references.mean_field import Frozen, frozen_orbitals
from dfmp2.references.scf import CONV_TOL, load_chkfile, new_scf, run_scf
from dfmp2.results.result import Result, read_results
from dfmp2.runfile.file import is_run_file

if TYPE_CHECKING:
    from dfmp2.backends.selection import Selection
    from dfmp2.interfaces.pyscf import DFMP2
    from dfmp2.planning.plan import Plan
    from dfmp2.tensors.build import Progress

__all__ = [
    "Calculation",
    "Job",
    "JobOptions",
    "mole_of",
    "parse_basis",
    "parse_frozen",
    "prepare",
]


@dataclass(frozen=True)
class Calculation:
    """How to do the DF-MP2 part; the fields are those of `dfmp2.DFMP2`."""

    auxbasis: Any = None
    frozen: Frozen = None
    max_memory: float | None = None
    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    accuracy: float = 1e-6
    fused: bool = True
    integrals: str = "auto"

    def require_backend(self) -> Selection:
        """Choose the backend; its errors are raised before the SCF."""
        from dfmp2.workflow.compute import Request, choose

        return choose(Request(self.backend, self.device, self.precision))[0]


@dataclass(frozen=True)
class JobOptions:
    """How to come to a mean field."""

    basis: BasisSpec = None
    charge: int | None = None
    spin: int | None = None
    ecp: str = "auto"
    reference: str = "rhf"
    density_fit: bool = False
    scf_auxbasis: Any = None
    conv_tol: float = CONV_TOL
    max_cycle: int = 100


@dataclass(frozen=True, eq=False)
class Job:
    """One molecule, ready for its SCF.

    Attributes
    ----------
    name : str
        File name without folder and suffix.
    mol : pyscf.gto.Mole
    mean_field : pyscf.scf.hf.RHF or None
        Already converged, where it came from a chkfile.
    stored : Result or None
        The stored result, where it came from JSON.
    """

    name: str
    mol: Any
    options: JobOptions
    mean_field: Any = None
    stored: Result | None = None

    def converge(self) -> Any:
        """The converged mean field; runs the SCF unless there is one.

        Raises
        ------
        NotConvergedError
        """
        if self.mean_field is not None:
            return self.mean_field
        options = self.options
        return run_scf(
            self.mol,
            options.density_fit,
            options.conv_tol,
            options.max_cycle,
            auxbasis=options.scf_auxbasis,
        )

    def forecast(self, calculation: Calculation) -> tuple[Plan, str]:
        """What the DF-MP2 part will need, before any SCF: the plan and the auxiliary basis.

        Raises
        ------
        InputError
            If `frozen` or `auxbasis` do not fit the molecule, or integrals are to be reused that
            the SCF will not leave.
        ResourceError
            If the memory budget is too small.
        """
        import torch
        from pyscf import lib

        from dfmp2.backends.cuda import require_memory
        from dfmp2.backends.selection import computes_on_cuda, select
        from dfmp2.fitting.auxbasis import choose_auxbasis
        from dfmp2.integrals.libcint import largest_shell
        from dfmp2.integrals.scf_cderi import require_same_set
        from dfmp2.planning.plan import Sizes, make_plan

        nao, nocc = int(self.mol.nao_nr()), int(self.mol.tot_electrons()) // 2
        nmo = nao if self.mean_field is None else self.mean_field.mo_coeff.shape[1]
        frozen = frozen_orbitals(self.mol, calculation.frozen, nmo, nocc)
        nfrozen_occ = sum(1 for i in frozen if i < nocc)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself will say it
            aux = choose_auxbasis(self.mol, calculation.auxbasis)
            reuse = calculation.integrals == "scf" and self.stored is None
            if reuse:
                options = self.options
                mf = self.mean_field or new_scf(self.mol, options.density_fit, options.scf_auxbasis)
                require_same_set(mf, aux)
        sizes = Sizes(
            nao=nao,
            nocc=nocc - nfrozen_occ,
            nvir=nmo - nocc - (len(frozen) - nfrozen_occ),
            naux=aux.naux,
            aux_shell=largest_shell(aux.mol),
        )
        budget = calculation.max_memory
        if budget is None:
            budget = float(lib.param.MAX_MEMORY)
        on_gpu = computes_on_cuda(calculation.backend, calculation.device)
        plan = make_plan(sizes, budget, lib.num_threads(), metric_done=reuse, on_gpu=on_gpu)
        if on_gpu and torch.cuda.is_available():  # a plan may be made on another machine
            require_memory(plan, select(calculation.backend, calculation.device).backend)
        return plan, f"{aux} ({aux.reason})"

    def driver(self, mf: Any, calculation: Calculation, progress: Progress) -> DFMP2:
        """The DF-MP2 part on a converged mean field, ready to run."""
        from dfmp2.interfaces.pyscf import DFMP2

        driver = DFMP2(mf, frozen=calculation.frozen, auxbasis=calculation.auxbasis)
        driver.set(name=self.name, verbose=0, progress=progress)
        for name in (
            "backend", "device", "precision", "accuracy", "fused", "integrals",
        ):  # fmt: skip
            setattr(driver, name, getattr(calculation, name))
        if calculation.max_memory is not None:
            driver.max_memory = calculation.max_memory
        return driver

    def compute(self, mf: Any, calculation: Calculation, progress: Progress) -> Result:
        """Do the DF-MP2 part, keeping nothing."""
        driver = self.driver(mf, calculation, progress)
        driver.kernel()
        assert driver.result is not None
        return driver.result


def prepare(source: str, options: JobOptions) -> list[Job]:
    """Read one argument of the command line.

    Parameters
    ----------
    source : str
        A geometry file, "-" for XYZ on standard input, a PySCF chkfile, or a JSON result of
        dfmp2.
    options : JobOptions

    Returns
    -------
    list of Job
        One, except for JSON with several results.

    Raises
    ------
    InputError
        For anything wrong with the input.
    """
    if options.reference != "rhf":
        raise UnsupportedReferenceError(
            f"reference {options.reference!r}: this version treats closed shells (rhf) only; "
            "open-shell MP2 is in pyscf.mp.dfump2_native"
        )
    if options.scf_auxbasis is not None and not options.density_fit:
        raise InputError(
            "--scf-auxbasis names the auxiliary set of a density-fitted SCF; add --density-fit"
        )
    if source != "-" and is_chkfile(source):
        if is_run_file(source):
            raise InputError(
                f"{source}: is a run file of dfmp2; continue it with dfmp2 resume, look at it with "
                "dfmp2 show"
            )
        if options.basis is not None:
            raise InputError(
                f"{source}: a chkfile brings its own basis; leave --basis out, or give the geometry"
            )
        mf = load_chkfile(source)
        return [Job(Path(source).stem, mf.mol, options, mean_field=mf)]
    if Path(source).suffix.lower() == ".json" and Path(source).is_file():
        if options.basis is not None:
            raise InputError(f"{source}: a stored result brings its own basis; leave --basis out")
        return [_from_stored(result, options, source) for result in read_results(source)]
    geometry = read_geometry(source)
    if options.basis is None:
        raise InputError(f"{source}: no basis given; add for example --basis cc-pvdz")
    mol = build_mole(geometry, options.basis, options.charge, options.spin, options.ecp, source)
    if mol.spin != 0:
        raise UnsupportedReferenceError(
            f"{source}: spin {mol.spin} (unpaired electrons): this version treats closed shells "
            "(RHF) only; open-shell MP2 is in pyscf.mp.dfump2_native"
        )
    if options.scf_auxbasis is not None:
        from dfmp2.fitting.auxbasis import choose_auxbasis

        choose_auxbasis(mol, options.scf_auxbasis)  # one that does not exist is found here
    return [Job("stdin" if source == "-" else Path(source).stem, mol, options)]


def _from_stored(result: Result, options: JobOptions, source: str) -> Job:
    if result.reference != "RHF":
        raise UnsupportedReferenceError(
            f"{source}: a {result.reference} reference cannot be computed again from its result"
        )
    again = JobOptions(
        density_fit=bool(result.settings["density_fit"]),
        scf_auxbasis=result.settings.get("scf_auxbasis"),
        conv_tol=min(float(result.settings["conv_tol"]), CONV_TOL),
        max_cycle=options.max_cycle,
    )
    return Job(result.molecule.name, mole_of(result.molecule), again, stored=result)


def mole_of(record: MoleculeRecord) -> Any:
    """The molecule that was written down."""
    from pyscf import gto

    mol = gto.Mole(verbose=0, unit="Bohr", charge=record.charge, spin=record.spin)
    mol.atom = list(zip(record.symbols, record.coordinates, strict=True))
    mol.basis, mol.ecp, mol.cart = record.basis, record.ecp, record.cart
    mol.build(parse_arg=False, dump_input=False)
    return mol


def parse_basis(text: str | None) -> BasisSpec:
    """A basis name, or ``default=NAME,O=NAME,...`` for a basis per element."""
    if text is None or "=" not in text:
        return text
    basis = {}
    for part in text.split(","):
        element, _, name = part.partition("=")
        if not element.strip() or not name.strip():
            raise InputError(
                f"basis {text!r} is not understood: write one name, or ELEMENT=NAME,default=NAME"
            )
        basis[element.strip()] = name.strip()
    return basis


def parse_frozen(text: str | None) -> int | list[int] | str | None:
    """``N`` lowest orbitals, a list ``0,1,5`` of indices from 0, or ``auto``."""
    if text is None or text in ("none", "auto"):
        return None if text in (None, "none") else text
    try:
        if "," in text:
            return [int(item) for item in text.split(",") if item.strip()]
        return int(text)
    except ValueError:
        raise InputError(
            f"frozen {text!r} is not understood; use a number, a list such as 0,1,5, or auto"
        ) from None
