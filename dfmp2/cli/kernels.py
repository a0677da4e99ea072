"""``dfmp2 kernels``: what each NKI kernel was validated on, and what it is estimated to cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dfmp2.kernels.estimate import Estimate
    from dfmp2.kernels.registry import Row

__all__ = ["kernels"]

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
def kernels(shape: str | None, generations: tuple[str, ...], as_json: bool) -> None:
    """Show on what each NKI kernel was validated, from recorded evidence.

    With --estimate, show instead what a device is estimated to take: engine cycles and DMA rates
    from AWS's documents, counted on the kernels' own instructions. Nothing of that is measured.
    """
    if shape is None:
        from dfmp2.kernels.registry import rows

        table = rows()
        click.echo(json.dumps(_status_data(table), indent=1) if as_json else _status_text(table))
        return
    from dfmp2.kernels.estimate import ESTIMATED, estimate

    sizes = _sizes(shape)
    found = [
        estimate(kernel, *sizes, target=target)
        for target in generations or GENERATIONS
        for kernel in ESTIMATED
    ]
    click.echo(
        json.dumps(_estimate_data(sizes, found), indent=1)
        if as_json
        else _estimate_text(sizes, found)
    )


def _sizes(shape: str) -> tuple[int, int, int]:
    from dfmp2.errors import InputError
    from dfmp2.kernels.estimate import SHAPES

    if shape in SHAPES:
        return SHAPES[shape]
    try:
        nocc, nvir, naux = (int(n) for n in shape.split("/"))
    except ValueError:
        nocc = nvir = naux = 0
    if min(nocc, nvir, naux) < 1:
        raise InputError(
            f"shape {shape!r} is not understood; use {', '.join(SHAPES)} or NOCC/NVIR/NAUX"
        )
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
    head = ["kernel", *places]
    body = [[row.kernel, *(_cell(row, place) for place in places)] for row in table]
    widths = [max(len(line[n]) for line in [head, *body]) for n in range(len(head))]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in [head, *body]]
    known = [e for row in table for e in row.evidence.values() if e is not None]
    lines.append("")
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
    nocc, nvir, naux = sizes
    lines = [
        f"ESTIMATE for one core, nocc/nvir/naux {nocc}/{nvir}/{naux}: not measured. Launches come",
        "on top of the device time. gemm and syrk make one T block; the others their whole step.",
        "",
        f"{'kernel':<12} {'core':<5} {'est. ms':>9} {'launches':>8} {'programs':>8} {'HBM MB':>8}  "
        + " ".join(f"{engine:>10}" for engine in engines)
        + "   (est. busy ms)",
    ]
    for e in found:
        busy = " ".join(f"{e.busy_ms[engine]:10.3f}" for engine in engines)
        lines.append(
            f"{e.kernel:<12} {e.target:<5} {e.device_ms:9.3f} {e.launches:8d} "
            f"{len(e.programs):8d} {e.hbm_bytes / 1e6:8.1f}  {busy}"
        )
    return "\n".join(lines)
