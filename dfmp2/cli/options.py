"""Options that several commands share, each defined once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dfmp2 import defaults
from dfmp2.results.stages import Precision
from dfmp2.settings import BACKENDS, INTEGRALS, REFERENCES

__all__ = [
    "calculation_options",
    "checkpoint_options",
    "geometry_options",
    "integrals_option",
    "interval_option",
    "machine_options",
    "molecule_options",
    "output_options",
    "set_threads",
    "settings_options",
    "validation_options",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Positive(click.FloatRange):
    """A number above zero; NaN, which passes every comparison, is none."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number above zero.", param, ctx)
        return number


POSITIVE = _Positive(min=0, min_open=True)


def _stack(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


machine_options = _stack(
    click.option("--threads", type=click.IntRange(1), help="CPU threads. Default: all cores."),
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        help="Who does the arithmetic. Default: auto.",
    ),
    click.option(
        "--device",
        metavar="cpu|cuda|cuda:N",
        help="Device for torch (default: a GPU), or bundled|aws for the simulator.",
    ),
)

geometry_options = _stack(
    click.argument("molecules", nargs=-1, required=True, metavar="MOLECULE..."),
    click.option(
        "--basis",
        help="Orbital basis: a name, or ELEMENT=NAME,default=NAME. Needed for geometries.",
    ),
    click.option("--charge", type=int, help="Charge; wins over the file's. Default 0."),
    click.option(
        "--spin", type=int, help="Unpaired electrons (2S); wins over the file's. Default 0."
    ),
    click.option(
        "--ecp",
        default=defaults.ECP,
        show_default=True,
        metavar="NAME|auto|none",
        help="Effective core potentials; auto takes those that belong to the basis.",
    ),
)

scf_options = _stack(
    click.option(
        "--reference",
        type=click.Choice(REFERENCES, case_sensitive=False),
        default=defaults.REFERENCE,
        show_default=True,
        help="Kind of SCF. This version treats rhf.",
    ),
    click.option("--density-fit", is_flag=True, help="Fit the SCF's integrals, too."),
    click.option(
        "--scf-auxbasis",
        help="Auxiliary basis of --density-fit. Default: PySCF's JK set of the basis.",
    ),
    click.option(
        "--conv-tol",
        type=POSITIVE,
        default=defaults.CONV_TOL,
        show_default=True,
        help="SCF energy threshold, Eh.",
    ),
    click.option(
        "--max-cycle",
        type=click.IntRange(1),
        default=defaults.MAX_CYCLE,
        show_default=True,
        help="SCF iterations allowed.",
    ),
)

molecule_options = _stack(geometry_options, scf_options)


def _settings(accuracy: float | None, fused: bool | None) -> Callable[[F], F]:
    """How the work is done, which may change while it goes on."""
    return _stack(
        click.option(
            "--max-memory",
            type=float,
            metavar="MB",
            help="Memory for the DF-MP2 part, in 10^6 bytes. Default: PySCF's (4000).",
        ),
        machine_options,
        click.option(
            "--precision",
            type=click.Choice([name.value for name in Precision]),
            help="Precision of the pair GEMMs; energies are summed in fp64. Default: fp64, and "
            "auto with NKI.",
        ),
        click.option(
            "--accuracy",
            type=POSITIVE,
            default=accuracy,
            show_default=True,
            help="Error in Eh that a reduced precision may make.",
        ),
        click.option(
            "--fused-energy/--no-fused-energy",
            "fused",
            default=fused,
            show_default=True,
            help="Reduce each block of amplitudes where it is made, or form it first.",
        ),
    )


settings_options = _settings(None, None)

calculation_options = _stack(
    click.option("--auxbasis", help="Auxiliary basis. Default: the RI-MP2 set of the basis."),
    click.option(
        "--frozen",
        metavar="N|LIST|auto",
        help="Orbitals not correlated: the lowest N, indices from 0 such as 0,1,5, or the chemical "
        "core. Default: none.",
    ),
    _settings(defaults.ACCURACY, defaults.FUSED),
)

checkpoint_options = _stack(
    click.option(
        "--checkpoint",
        metavar="FILE",
        help="Run file to keep the work in, or to continue. Default: NAME-FINGERPRINT.dfmp2.h5 in "
        "the current folder; another input has another fingerprint.",
    ),
    click.option("--no-checkpoint", is_flag=True, help="Keep no run file."),
    click.option(
        "--restart", is_flag=True, help="Start over: replaces the run file, if there is one."
    ),
)

interval_option = click.option(
    "--checkpoint-interval",
    type=click.FloatRange(0),
    default=defaults.CHECKPOINT_INTERVAL,
    show_default=True,
    metavar="SECONDS",
    help="Time between two commits to the run file: what a kill can cost.",
)

integrals_option = click.option(
    "--integrals",
    type=click.Choice(INTEGRALS),
    default=defaults.INTEGRALS,
    show_default=True,
    help="Who makes the three-centre integrals. auto: gpu4pyscf for a CUDA device if installed, "
    "else libcint. scf: those of --density-fit are taken over, if --auxbasis is the SCF's set (a "
    "JK set is not optimised for correlation).",
)

output_options = _stack(
    click.option("--json", "json_target", metavar="FILE|-", help="Write QCSchema JSON."),
    click.option("--quiet", is_flag=True, help="No progress on stderr."),
    click.option("--verbose", is_flag=True, help="List every operation with its device and calls."),
)

validation_options = _stack(
    click.option(
        "--validate-exact",
        is_flag=True,
        help="Also run conventional MP2 in PySCF and print the fitting error.",
    ),
    click.option(
        "--tolerance",
        type=POSITIVE,
        help="Largest difference from PySCF in Eh. Default: 1e-8 (fp64), else --accuracy.",
    ),
)


def set_threads(threads: int | None) -> None:
    """Limit every threaded library; call it before any of them is imported."""
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)
