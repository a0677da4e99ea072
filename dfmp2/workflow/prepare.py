"""Everything that is decided before the work starts, each thing once.

`choose` makes the backend, `forecast` the auxiliary basis, the frozen orbitals and the block sizes
of a molecule, both before its SCF. `prepare` adds the orbitals and the source of the integrals.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dfmp2.backends.selection import Selection, computes_on, select
from dfmp2.errors import BackendUnavailable, DFMP2Warning, InputError
from dfmp2.fitting.auxbasis import AuxBasis, choose_auxbasis, scf_misfits
from dfmp2.foreign_errors import translated
from dfmp2.integrals.fock_probe import vectors
from dfmp2.integrals.scf_cderi import require_same_set
from dfmp2.integrals.source import choose_source
from dfmp2.methods.dispersion import dispersion_energy, require_program
from dfmp2.molecules.electrons import warn_charge
from dfmp2.molecules.potentials import warn_missing_ecp
from dfmp2.planning.plan import Plan, make_plan
from dfmp2.references.check import OFF
from dfmp2.references.double_hybrids import Dispersion, double_hybrid_of
from dfmp2.references.frozen import frozen_orbitals
from dfmp2.references.reference import Indices, make_reference
from dfmp2.references.scf import new_scf, scf_kind
from dfmp2.references.solution import ScfSolution
from dfmp2.results.sizes import Sizes
from dfmp2.results.stages import Precision
from dfmp2.settings import Settings
from dfmp2.tensors.problem import Problem
from dfmp2.workflow.scf_time import scf_algorithm

if TYPE_CHECKING:
    from dfmp2.backends.torch import TorchBackend

__all__ = [
    "Choice",
    "Forecast",
    "Prepared",
    "choose",
    "choose_libraries",
    "forecast",
    "prepare",
    "require_reusable",
    "resized",
]


DEPENDENT = 1e-3
"""Smallest eigenvalue of the overlap above which no program drops a function. PySCF drops below
1e-8 by default; users choose up to 1e-4."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The backend and the precision of a calculation.

    Attributes
    ----------
    selection : Selection
    precision : Precision
    """

    selection: Selection
    precision: Precision

    @property
    def torch_device(self) -> Any:
        """The torch.device that computes; None where NKI does."""
        return getattr(self.selection.backend, "device", None)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that B can have in the pair energies by torch."""
        return ("float64",) if self.precision is Precision.FP64 else ("float64", "float32")


@translated("choosing the backend")
def choose(settings: Settings) -> Choice:
    """Choose the backend and the precision, and check that they fit together.

    Raises
    ------
    InputError
        For an unknown backend or precision, or another precision than auto with an NKI backend.
    BackendUnavailable
        If the backend cannot be used.
    """
    try:
        asked = None if settings.precision is None else Precision(settings.precision)
    except ValueError:
        raise InputError(
            f"precision {settings.precision!r} is unknown; choose one of "
            f"{', '.join(name.value for name in Precision)}"
        ) from None
    selection = select(settings.backend, settings.device)
    if selection.is_nki and settings.kappa:
        selection = _without_nki(selection)
    if settings.blas == "numpy" and selection.on_cpu is None:
        raise InputError(
            f"blas numpy: this run is on {selection.backend.where}, which NumPy cannot use; leave "
            "blas at auto, or use device cpu (--device cpu)"
        )
    if not selection.is_nki:
        return Choice(selection, asked or Precision.FP64)
    if asked not in (None, Precision.AUTO):
        reason = (
            "Trainium and its simulators have no float64"
            if asked is Precision.FP64
            else "with NKI kernels, not only the pair GEMMs may use float32"
        )
        raise InputError(
            f"precision {asked.value}: {reason}; use precision auto (--precision auto), which "
            "keeps on the host what float32 would spoil, or backend pytorch (--backend pytorch)"
        )
    return Choice(selection, Precision.AUTO)


def _without_nki(selection: Selection) -> Selection:
    """Torch on the host for what the NKI kernels do not compute, if nobody asked for NKI."""
    from dfmp2.backends.nki import NO_KAPPA

    if not selection.may_fall_back or selection.host is None:
        raise BackendUnavailable(
            f"{NO_KAPPA}; use backend pytorch (--backend pytorch, without DFMP2_REQUIRE_NKI), or "
            "leave kappa out (--kappa)"
        )
    return Selection(selection.host, f"backend auto: pytorch on cpu; NKI not used: {NO_KAPPA}")


def choose_libraries(choice: Choice, settings: Settings, plan: Plan) -> None:
    """Choose what multiplies matrices on the CPU, if it computes."""
    on_cpu = choice.selection.on_cpu
    if on_cpu is not None:
        flops = sum(plan.flops.values())
        on_cpu.choose_libraries(settings.blas, plan.sizes, flops, choice.dtypes)


@dataclass(frozen=True, eq=False)
class Forecast:
    """What the DF-MP2 part of a molecule needs, known before its SCF.

    Attributes
    ----------
    aux : AuxBasis
    frozen : tuple of tuple of int
        Orbitals that are not correlated, for each spin block.
    plan : Plan
    notes : tuple of str
        Warnings that belong to the result.
    """

    aux: AuxBasis
    frozen: tuple[Indices, ...]
    plan: Plan
    notes: tuple[str, ...]


@translated("setting up the fit")
def forecast(
    mol: Any,
    settings: Settings,
    solution: ScfSolution | None = None,
    choice: Choice | None = None,
) -> Forecast:
    """Choose the auxiliary basis, the frozen orbitals and the block sizes.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    settings : Settings
    solution : ScfSolution, optional
        The SCF, if it is done. If not given, as many orbitals as atomic orbitals are expected.
    choice : Choice, optional
        The backend, whose free memory is checked; a plan may be made on another machine.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        If `frozen` or `auxbasis` do not fit the molecule, or `xc` the other settings.
    ResourceError
        If the memory of the host or of the GPU is too small.
    BackendUnavailable
        If the program for the dispersion energy is missing.
    """
    dispersion = _dispersion(settings)
    if dispersion is not None and choice is not None:  # a plan may be made on another machine
        require_program(dispersion)
    notes = warn_missing_ecp(mol) + warn_charge(mol)
    aux = choose_auxbasis(mol, settings.auxbasis)
    for remark in aux.remarks:
        warnings.warn(remark, DFMP2Warning, stacklevel=3)
    if solution is not None:
        notes += _warn_dropped(mol, solution.nmo) + _warn_misfits(solution)
    found = _sized(mol, settings, aux, solution)
    if choice is not None and found.plan.device_memory:
        from dfmp2.backends.cuda import require_memory

        backend = cast("TorchBackend", choice.selection.backend)
        require_memory(found.plan, backend.device, backend.where.device)
    return replace(found, notes=(*notes, *aux.remarks))


def _dispersion(settings: Settings) -> Dispersion | None:
    hybrid = double_hybrid_of(settings)
    return None if hybrid is None or not settings.dispersion else hybrid.dispersion


def resized(solution: ScfSolution, settings: Settings, known: Forecast) -> Forecast:
    """The forecast for an SCF that dropped linearly dependent functions."""
    notes = (*known.notes, *_warn_dropped(solution.mol, solution.nmo))
    return replace(_sized(solution.mol, settings, known.aux, solution), notes=notes)


def _warn_dropped(mol: Any, nmo: int) -> tuple[str, ...]:
    nao = int(mol.nao_nr())
    if nmo >= nao:
        return ()
    smallest = np.linalg.eigvalsh(mol.intor_symmetric("int1e_ovlp"))[0]
    if smallest < DEPENDENT:
        text = f"the SCF dropped {nao - nmo} of {nao} basis functions, which are linearly dependent"
    else:
        text = (
            f"the SCF has {nmo} orbitals for {nao} basis functions, which are not linearly "
            "dependent: orbitals are missing, and the energy is not that of the basis"
        )
    warnings.warn(text, DFMP2Warning, stacklevel=3)
    return (text,)


def _warn_misfits(solution: ScfSolution) -> tuple[str, ...]:
    auxmol = getattr(solution.with_df, "auxmol", None)
    misfits = {} if auxmol is None else scf_misfits(solution.mol, auxmol)
    texts = tuple(
        f"the auxiliary set of the SCF errs by {1e3 * abs(error):.1f} mEh in the atom {symbol}: "
        "E(HF) can be wrong by as much; give density_fit() another auxbasis"
        for symbol, error in misfits.items()
    )
    for text in texts:
        warnings.warn(text, DFMP2Warning, stacklevel=4)
    return texts


def _sized(mol: Any, settings: Settings, aux: AuxBasis, solution: ScfSolution | None) -> Forecast:
    from pyscf import lib

    if solution is None:
        nmo, energies = int(mol.nao_nr()), None
        open_shell = scf_kind(mol, settings.reference) != "rhf"
        electrons = mol.nelec if open_shell else mol.nelec[:1]
        occupied = [np.arange(nmo) < count for count in electrons]
    else:
        nmo = solution.nmo
        electrons = tuple(int(np.count_nonzero(spin.occupied)) for spin in solution.spins)
        occupied = [spin.occupied for spin in solution.spins]
        energies = [spin.mo_energy for spin in solution.spins]
    if max(electrons) > nmo:
        what = "electron pairs" if len(electrons) == 1 else "electrons of one spin"
        raise InputError(
            f"{max(electrons)} {what} do not fit into {nmo} orbitals; check the charge "
            f"({mol.charge:+d}) and the basis"
        )
    frozen = frozen_orbitals(mol, settings.frozen, occupied, energies)
    spins = []
    for spin, left_out in zip(occupied, frozen, strict=True):
        active = np.ones(nmo, dtype=bool)
        active[list(left_out)] = False
        spins.append((int((active & spin).sum()), int((active & ~spin).sum())))
    sizes = Sizes.of(int(mol.nao_nr()), spins, aux.naux, aux.largest_shell)
    if _probed(settings, sizes.nao, solution):
        sizes = replace(sizes, checked=tuple((vectors(nmo), count) for count in electrons))
    budget = lib.param.MAX_MEMORY if settings.max_memory is None else settings.max_memory
    arithmetic = computes_on(settings.backend, settings.device)
    plan = make_plan(
        sizes,
        float(budget),
        1 if arithmetic == "nki" else lib.num_threads(),
        metric_done=settings.integrals == "scf",
        on_gpu=arithmetic == "cuda",
    )
    return Forecast(aux, frozen, plan, ())


def _probed(settings: Settings, nao: int, solution: ScfSolution | None) -> bool:
    """Whether the Fock matrix is checked with the integrals of B."""
    if settings.check_reference != "auto":
        return False
    if solution is None:
        corrected = scf_algorithm(settings, nao) == "corrected"
        return settings.xc is None and settings.reference != "rohf" and not corrected
    if solution.check.made == OFF:  # `DFMP2.plan` does not begin the check
        return solution.kind in ("RHF", "UHF")
    return solution.check.one_electron is not None


def require_reusable(
    mol: Any, settings: Settings, aux: AuxBasis, solution: ScfSolution | None
) -> None:
    """Check before an SCF that MP2 can reuse its three-centre integrals, if that is asked for.

    Raises
    ------
    InputError
    """
    if settings.integrals != "scf":
        return
    if solution is not None:
        require_same_set(mol, solution.with_df, aux, solution.read_from)
    else:
        require_same_set(mol, getattr(new_scf(mol, settings), "with_df", None), aux)


@dataclass(frozen=True, eq=False)
class Prepared(Problem):
    """A calculation that is ready to start.

    Attributes
    ----------
    settings, reference, aux, source, plan
        As of `dfmp2.tensors.problem.Problem`.
    name : str
        Name of the molecule.
    solution : ScfSolution
    choice : Choice
    notes : tuple of str
        Warnings that belong to the result.
    stated : str
        Charge and spin, and where they came from, if a geometry file or an option states them.
    e_dispersion : float
        Dispersion energy of a double hybrid, hartree.
    """

    name: str
    solution: ScfSolution
    choice: Choice
    notes: tuple[str, ...]
    stated: str = ""
    e_dispersion: float = 0.0


@translated("setting up DF-MP2")
def prepare(
    name: str, solution: ScfSolution, settings: Settings, choice: Choice, known: Forecast
) -> Prepared:
    """Put a calculation together.

    Parameters
    ----------
    name : str
    solution : ScfSolution
    settings : Settings
    choice : Choice
    known : Forecast

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        If the gap of the reference is not positive, or the integrals asked for do not exist.
    BackendUnavailable
        If the source of the integrals cannot be used.
    """
    sizes = known.plan.sizes
    nocc, nvir = sizes.blocks[0]
    if solution.nmo - len(known.frozen[0]) != nocc + nvir:
        known = resized(solution, settings, known)
    dispersion = _dispersion(settings)
    return Prepared(
        settings=settings,
        reference=make_reference(solution, known.frozen),
        aux=known.aux,
        source=choose_source(settings.integrals, solution, known.aux, choice.selection),
        plan=known.plan,
        name=name,
        solution=solution,
        choice=choice,
        notes=(*known.notes, *solution.notes),
        e_dispersion=0.0 if dispersion is None else dispersion_energy(solution.mol, dispersion),
    )
