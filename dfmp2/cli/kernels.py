"""``dfmp2 kernels``: where each NKI kernel was validated, and estimates of its device time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.columns import columns
from dfmp2.cli.options import traceback_option
from dfmp2.cli.streams import echo
from dfmp2.errors import InputError

if TYPE_CHECKING:
    from dfmp2.kernels.estimate import Estimate
    from dfmp2.kernels.instances import Share
    from dfmp2.kernels.registry import Row
    from dfmp2.kernels.tiling import Panels

__all__ = ["kernels"]

LARGEST = (200, 2000, 8000)
"""Largest sizes of an estimate. Its time grows with the number of launches, as NOCC^2 NVIR^2."""

GENERATIONS = ("trn1", "trn2", "trn3")


@click.command()
@click.option(
    "--estimate",
    "shape",
    metavar="SHAPE",
    help="Estimate device time for small, medium, large, or sizes NOCC/NVIR/NAUX.",
)
@click.option(
    "--generation",
    "generations",
    type=click.Choice(GENERATIONS),
    multiple=True,
    help="Generation to estimate for; may be repeated. Default: all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@traceback_option
def kernels(shape: str | None, generations: tuple[str, ...], as_json: bool) -> None:
    """Show where each NKI kernel was validated, from recorded evidence.

    With --estimate, show instead estimated device times: engine cycles and DMA rates from AWS's
    documents, counted on the instructions of the kernels. A second, pessimistic estimate adds
    200 ns to every instruction of VectorE. They are not measured.

    The environment variable DFMP2_SIMULATOR_RULES sets the rules of the bundled simulator: observed
    (all, the default), or documented (without those that only reports from hardware support).
    """
    if shape is None:
        if generations:
            raise InputError("--generation is for an estimate; add --estimate SHAPE")
        from dfmp2.kernels.registry import rows

        table = rows()
        echo(json.dumps(_status_data(table), indent=1) if as_json else _status_text(table))
        return
    from dfmp2.kernels.estimate import ESTIMATED, Tracer, estimate
    from dfmp2.kernels.instances import INSTANCES, share

    sizes = _sizes(shape)
    found = [
        estimate(kernel, *sizes, target, tracer)
        for target in generations or GENERATIONS
        for tracer in (Tracer(target),)
        for kernel in ESTIMATED
    ]
    shares = [
        share(e, instance, *sizes)
        for instance in INSTANCES
        for e in found
        if (e.kernel, e.target) == ("pair_energy", instance.generation)
    ]
    if as_json:
        echo(json.dumps(_estimate_data(sizes, found, shares), indent=1))
        return
    echo(_estimate_text(sizes, found))
    if shares:
        echo(_instance_text(shares))


def _sizes(shape: str) -> tuple[int, int, int]:
    from dfmp2.kernels.estimate import SHAPES

    if shape in SHAPES:
        return SHAPES[shape]
    sizes = shape.split("/")
    if len(sizes) != 3 or not all(n.isascii() and n.isdigit() and n.strip("0") for n in sizes):
        raise InputError(
            f"shape {shape!r} is not understood; use {', '.join(SHAPES)} or NOCC/NVIR/NAUX"
        )
    if any(len(n) > 9 or int(n) > limit for n, limit in zip(sizes, LARGEST, strict=True)):
        largest = "/".join(map(str, LARGEST))
        raise InputError(
            f"shape {shape!r} is too large: every launch is counted, which takes a minute for "
            f"{largest}; use sizes up to these"
        )
    nocc, nvir, naux = map(int, sizes)
    return nocc, nvir, naux


def _status_data(table: list[Row]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [
        {
            "kernel": row.kernel,
            "status": {place: row.status(place) for place in row.evidence},
            "evidence": {place: asdict(e) for place, e in row.evidence.items() if e is not None},
        }
        for row in table
    ]


def _status_text(table: list[Row]) -> str:
    places = list(table[0].evidence)
    body = [[row.kernel, *(_cell(row, place) for place in places)] for row in table]
    lines = [*columns(["kernel", *places], body, indent=""), ""]
    known = [e for row in table for e in row.evidence.values() if e is not None]
    for place in places:
        of_place = [e for e in known if e.place == place]
        if of_place:
            newest = max(of_place, key=lambda e: e.date)
            lines.append(f"{place}: {newest.version}; tolerance: {newest.tolerance}")
            lines.append(f"  {newest.command}")
        else:
            lines.append(f"{place}: never run")
    return "\n".join(lines)


def _cell(row: Row, place: str) -> str:
    evidence, status = row.evidence[place], row.status(place)
    return status if evidence is None else f"{status} {evidence.date}"


def _estimate_data(
    sizes: tuple[int, int, int], found: list[Estimate], shares: list[Share]
) -> dict[str, Any]:
    return {
        "what": "estimates, not measured: from documented cycle counts; the pessimistic ones add "
        "200 ns per instruction of VectorE, as a third party reports",
        "nocc_nvir_naux": list(sizes),
        "kernels": [
            {
                "kernel": e.kernel,
                "generation": e.target,
                "estimated_device_ms": e.device_ms,
                "pessimistic_estimate_ms": e.pessimistic_ms,
                "estimated_busy_ms": e.busy_ms,
                "launches": e.launches,
                "programs": len(e.programs),
                "instructions_of_largest_program": e.instructions,
                "hbm_bytes": e.hbm_bytes,
            }
            for e in found
        ],
        "groups_of_orbitals": _groups(sizes, found)._asdict(),
        "pair_energy_on_instances": [
            {
                "instance": s.instance.name,
                "cores": s.instance.cores,
                "pairs_of_a_core": s.pairs,
                "b_fits_a_core": s.fits,
                "estimated_b_to_each_core_ms": s.b_ms,
                "pessimistic_b_to_each_core_ms": s.b_in_turn_ms,
                "estimated_device_ms": s.device_ms,
                "pessimistic_estimate_ms": s.pessimistic_ms,
            }
            for s in shares
        ],
    }


def _estimate_text(sizes: tuple[int, int, int], found: list[Estimate]) -> str:
    from dfmp2.backends.buckets import bucket

    engines = list(found[0].busy_ms)
    counts = ("launches", "programs", "instructions", "HBM MB")
    head = ("kernel", "core", "est. ms", "pess. ms", *counts, *engines)
    rows = [
        (
            e.kernel,
            e.target,
            f"{e.device_ms:.3f}",
            f"{e.pessimistic_ms:.3f}",
            str(e.launches),
            str(len(e.programs)),
            str(e.instructions),
            f"{e.hbm_bytes / 1e6:.1f}",
            *(f"{e.busy_ms[engine]:.3f}" for engine in engines),
            "",
        )
        for e in found
    ]
    nocc, nvir, naux = sizes
    lines = [
        f"ESTIMATE for one core, nocc/nvir/naux {nocc}/{nvir}/{naux}: not measured. Launches come",
        "on top of the device time. gemm and syrk make one T block; the others their whole step.",
        "pair_energy is for a closed shell, pair_energy_uhf for an open shell with nocc occupied",
        "and nvir virtual orbitals of each spin.",
        "pess. ms: estimate if each instruction of VectorE takes 200 ns more. instructions: of the",
        "largest program. How long its compilation takes is unknown; the environment variable",
        "DFMP2_NKI_INSTRUCTIONS lowers its size.",
        "",
        *columns((*head, "(est. busy ms)"), rows, right=head[2:], indent=""),
    ]
    padded = (bucket(nocc), bucket(nvir))
    if padded != (nocc, nvir):
        shape = f"{padded[0]}/{padded[1]}/{naux}"
        lines += [
            "",
            f"dfmp2 run pads these sizes to {shape}, so that molecules share programs. The",
            f"launches of its pair energies are those of --estimate {shape}.",
        ]
    groups = _groups(sizes, found)
    if groups.number > 1:
        lines += [
            "",
            "B has 4 GiB or more, which run-time offsets of 32 bits do not reach: pair_energy cuts",
            f"it into {groups.number} groups of at most {groups.size} orbitals.",
        ]
    return "\n".join(lines)


def _groups(sizes: tuple[int, int, int], found: list[Estimate]) -> Panels:
    from dfmp2.kernels.instances import groups_of_orbitals

    return groups_of_orbitals(found[0].target, *sizes)


def _instance_text(shares: list[Share]) -> str:
    head = ("instance", "cores", "pairs of one", "B at once", "B in turn", "est.", "pess.")
    rows = [
        (
            s.instance.name,
            str(s.instance.cores),
            str(s.pairs),
            f"{s.b_ms:.1f}",
            f"{s.b_in_turn_ms:.1f}",
            f"{s.device_ms:.3f}",
            f"{s.pessimistic_ms:.3f}",
            "" if s.fits else f"B does not fit: a core has {s.instance.core_gib} GiB",
        )
        for s in shares
    ]
    lines = [
        "",
        "ESTIMATE of pair_energy on all physical cores of one instance, in ms: not measured. Each",
        "core does its share of the pairs, after B has reached it from the host at 2.8 GB/s: all",
        "cores at once, or one after the other.",
        "",
        *columns((*head, ""), rows, right=head[1:], indent=""),
    ]
    return "\n".join(lines)
