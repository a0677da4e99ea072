"""Options that several commands share, each defined once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dfmp2 import defaults
from dfmp2.results.stages import Precision
from dfmp2.settings import BACKENDS, BLAS, CHECKS, INTEGRALS, REFERENCES, SCF_ALGORITHMS, UNITS

__all__ = [
    "Integer",
    "calculation_options",
    "checkpoint_options",
    "geometry_options",
    "integrals_option",
    "interval_option",
    "machine_options",
    "method_option",
    "molecule_options",
    "output_options",
    "settings_options",
    "traceback_option",
    "validation_options",
]

F = TypeVar("F", bound=Callable[..., Any])


class Integer(click.IntRange):
    """An integer in ASCII digits. Python, and so click, also reads ``1_0`` as 10."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_plain(self, value, param, ctx), param, ctx)


class _Finite(click.FloatRange):
    """A finite number from zero. FloatRange accepts NaN and infinity, this class does not."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(_plain(self, value, param, ctx), param, ctx)
        if not math.isfinite(number):
            lowest = "above zero" if self.min_open else "from zero"
            self.fail(f"{value} is not a finite number {lowest}.", param, ctx)
        return number


def _plain(
    kind: click.ParamType[Any], value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> Any:
    """The value, unless it is text that only Python takes for a number."""
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        kind.fail(f"{value!r} is not a number in plain digits.", param, ctx)
    return value


POSITIVE = _Finite(min=0, min_open=True)

WEIGHT = _Finite(0, 100)

CHARGE = Integer(-1_000_000, 1_000_000)
"""PySCF keeps a charge in 32 bits."""


def _stack(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


machine_options = _stack(
    click.option("--threads", type=Integer(1), help="CPU threads. Default: all cores."),
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        help="What computes. Default: auto.",
    ),
    click.option(
        "--device",
        metavar="cpu|cuda|cuda:N|bundled|aws",
        help="Device for torch (default: a CUDA GPU if there is one), or bundled|aws for the "
        "simulator.",
    ),
)

geometry_options = _stack(
    click.argument("molecules", nargs=-1, required=True, metavar="MOLECULE..."),
    click.option(
        "--basis",
        help="Orbital basis: a name, or ELEMENT=NAME,default=NAME. Required for geometry files.",
    ),
    click.option("--charge", type=CHARGE, help="Charge. Default: that of the file, else 0."),
    click.option(
        "--spin",
        type=Integer(),
        help="Number of unpaired electrons (2S). Default: that of the file, else 0.",
    ),
    click.option(
        "--unit",
        type=click.Choice(UNITS, case_sensitive=False),
        help="Unit of the coordinates. Default: that of the file, else angstrom.",
    ),
    click.option(
        "--ecp",
        default=defaults.ECP,
        show_default=True,
        metavar="NAME|auto|none",
        help="Effective core potentials, also by element: Br=lanl2dz,I=none. auto: those that "
        "belong to the basis.",
    ),
)

scf_options = _stack(
    click.option(
        "--reference",
        type=click.Choice(REFERENCES, case_sensitive=False),
        default=defaults.REFERENCE,
        show_default=True,
        help="Kind of SCF. auto: rhf without unpaired electrons, uhf otherwise.",
    ),
    click.option("--density-fit", is_flag=True, help="Use density fitting in the SCF, too."),
    click.option(
        "--scf-auxbasis",
        help="Auxiliary basis of --density-fit. Default: PySCF's JK set of the basis.",
    ),
    click.option(
        "--scf-algorithm",
        type=click.Choice(SCF_ALGORITHMS),
        default=defaults.SCF_ALGORITHM,
        show_default=True,
        help="corrected: exact integrals, with most iterations in fitted ones; direct below 180 "
        "basis functions. direct: PySCF's ordinary SCF. fitted: the same as --density-fit.",
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
        type=Integer(1),
        default=defaults.MAX_CYCLE,
        show_default=True,
        help="Largest number of SCF iterations.",
    ),
    click.option(
        "--check-reference",
        type=click.Choice(CHECKS),
        default=defaults.CHECK_REFERENCE,
        show_default=True,
        help="Check that orbitals, orbital energies and total energy belong together: with random "
        "vectors on the Fock matrix, or all of it (full; always for chkfiles), or not (off).",
    ),
    click.option(
        "--check-stability",
        is_flag=True,
        help="Look for an SCF solution of lower energy (internal stability), and warn.",
    ),
)

double_hybrid_options = _stack(
    click.option(
        "--xc",
        metavar="NAME",
        help="Energy of a double hybrid, such as B2PLYP or DSD-PBEP86-D3BJ, with RKS or UKS. "
        "`dfmp2 show --methods` lists them.",
    ),
    click.option(
        "--grid",
        type=Integer(0, 9),
        default=defaults.GRID,
        show_default=True,
        help="Level of PySCF's grid for the functional of --xc.",
    ),
    click.option(
        "--no-dispersion",
        "dispersion",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Leave out the dispersion energy of a double hybrid that ends in -D3BJ or -D4.",
    ),
)

molecule_options = _stack(geometry_options, scf_options, double_hybrid_options)


def _settings(accuracy: float | None, fused: bool | None, blas: str | None) -> Callable[[F], F]:
    """Options that may change when a run is continued."""
    return _stack(
        click.option(
            "--max-memory",
            type=POSITIVE,
            metavar="MB",
            help="Memory for the DF-MP2 part, in 10^6 bytes. Default: PySCF's (4000).",
        ),
        machine_options,
        click.option(
            "--blas",
            type=click.Choice(BLAS),
            default=blas,
            show_default=True,
            help="Library of the matrix products on the CPU. auto: the faster one of torch's and "
            "NumPy's, measured at the start of a long run.",
        ),
        click.option(
            "--precision",
            type=click.Choice([name.value for name in Precision]),
            help="Precision of the pair GEMMs. Energies are summed in fp64. Default: fp64. With "
            "NKI: auto, and no other.",
        ),
        click.option(
            "--accuracy",
            type=POSITIVE,
            default=accuracy,
            show_default=True,
            help="Largest acceptable energy error from reduced precision, Eh.",
        ),
        click.option(
            "--fused-energy/--no-fused-energy",
            "fused",
            default=fused,
            show_default=True,
            help="Compute the energy of each pair block where its integrals are made, or in a "
            "second step.",
        ),
    )


settings_options = _settings(None, None, None)

calculation_options = _stack(
    click.option("--auxbasis", help="Auxiliary basis. Default: the RI-MP2 set of the basis."),
    click.option(
        "--frozen",
        metavar="N|LIST|auto",
        help="Orbitals that are not correlated: the lowest N, a list of indices from 0 such as "
        "0,1,5, or the chemical core (auto). An open shell also takes 0,1/0 for alpha and beta. "
        "Default: none.",
    ),
    click.option(
        "--kappa",
        type=POSITIVE,
        multiple=True,
        metavar="NUMBER",
        help="Also the energy of kappa-regularised MP2 (1/Eh; 1.45 in the literature). Can be "
        "given several times. Not with NKI.",
    ),
    click.option(
        "--scale-os", type=WEIGHT, help="Weight of the opposite-spin energy in the result."
    ),
    click.option("--scale-ss", type=WEIGHT, help="Weight of the same-spin energy."),
    _settings(defaults.ACCURACY, defaults.FUSED, defaults.BLAS),
)

checkpoint_options = _stack(
    click.option(
        "--checkpoint",
        metavar="FILE",
        help="Run file. If it exists, its run is continued. Default: NAME-FINGERPRINT.dfmp2.h5 in "
        "the current folder. Each input has its own fingerprint.",
    ),
    click.option("--no-checkpoint", is_flag=True, help="Keep no run file."),
    click.option(
        "--restart", is_flag=True, help="Start over, and replace the run file if it exists."
    ),
)

interval_option = click.option(
    "--checkpoint-interval",
    type=_Finite(min=0),
    default=defaults.CHECKPOINT_INTERVAL,
    show_default=True,
    metavar="SECONDS",
    help="Time between two commits to the run file. A kill can cost the work of this time.",
)

integrals_option = click.option(
    "--integrals",
    type=click.Choice(INTEGRALS),
    default=defaults.INTEGRALS,
    show_default=True,
    help="Source of the three-centre integrals. auto: gpu4pyscf on a CUDA device if it is "
    "installed, else libcint. scf: reuse those of --density-fit, which needs the same --auxbasis "
    "in the SCF and in MP2 (a JK set is not optimised for correlation).",
)

method_option = click.option(
    "--method",
    metavar="NAME",
    help="Method of the gradient: MP2, SCS-MP2 or another line of the table. Default: MP2, or that "
    "of --scale-os and --scale-ss.",
)

output_options = _stack(
    click.option("--json", "json_target", metavar="FILE|-", help="Write QCSchema JSON."),
    click.option("--quiet", is_flag=True, help="No progress on stderr."),
    click.option(
        "--verbose", is_flag=True, help="List every operation with its device and number of calls."
    ),
)

traceback_option = click.option(
    "--verbose",
    is_flag=True,
    expose_value=False,
    help="Print the traceback of a fault of dfmp2 itself (exit code 70).",
)
"""For commands without another `--verbose`. It is read before the command starts."""

validation_options = _stack(
    click.option(
        "--validate-exact",
        is_flag=True,
        help="Compare with pyscf.mp.dfmp2, and with conventional MP2 for the fitting error.",
    ),
    click.option(
        "--tolerance",
        type=POSITIVE,
        help="Largest difference from PySCF, Eh. Default: 1e-8 with fp64, else --accuracy.",
    ),
)
