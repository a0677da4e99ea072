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
    from dfmp2.kernels.registry import Row

__all__ = ["kernels"]

LARGEST = (200, 2000, 6000)
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
    documents, counted on the instructions of the kernels. They are not measured.
    """
    if shape is None:
        if generations:
            raise InputError("--generation is for an estimate; add --estimate SHAPE")
        from dfmp2.kernels.registry import rows

        table = rows()
        echo(json.dumps(_status_data(table), indent=1) if as_json else _status_text(table))
        return
    from dfmp2.kernels.estimate import ESTIMATED, estimate

    sizes = _sizes(shape)
    found = [
        estimate(kernel, *sizes, target=target)
        for target in generations or GENERATIONS
        for kernel in ESTIMATED
    ]
    echo(
        json.dumps(_estimate_data(sizes, found), indent=1)
        if as_json
        else _estimate_text(sizes, found)
    )


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


def _estimate_data(sizes: tuple[int, int, int], found: list[Estimate]) -> dict[str, Any]:
    return {
        "what": "estimate from documented cycle counts; not measured",
        "nocc_nvir_naux": list(sizes),
        "kernels": [
            {
                "kernel": e.kernel,
                "generation": e.target,
                "estimated_device_ms": e.device_ms,
                "estimated_busy_ms": e.busy_ms,
                "launches": e.launches,
                "programs": len(e.programs),
                "instructions_of_largest_program": e.instructions,
                "hbm_bytes": e.hbm_bytes,
            }
            for e in found
        ],
    }


def _estimate_text(sizes: tuple[int, int, int], found: list[Estimate]) -> str:
    engines = list(found[0].busy_ms)
    head = ("kernel", "core", "est. ms", "launches", "programs", "HBM MB", *engines)
    rows = [
        (
            e.kernel,
            e.target,
            f"{e.device_ms:.3f}",
            str(e.launches),
            str(len(e.programs)),
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
        "",
        *columns((*head, "(est. busy ms)"), rows, right=head[2:], indent=""),
    ]
    return "\n".join(lines)
