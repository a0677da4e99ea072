"""Run files as text: input, progress, and the device of each session."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.cli.columns import aligned, columns
from dfmp2.cli.table import charge_text, operations_text, sizes_line, summary
from dfmp2.molecules.basis import basis_label
from dfmp2.molecules.plain import formula
from dfmp2.runfile.status import RunStatus

__all__ = ["status_text"]


def status_text(status: RunStatus, verbose: bool = False) -> str:
    """The table of a run file: the result of a finished run, or the progress of an unfinished one.

    Parameters
    ----------
    status : RunStatus
    verbose : bool
        Add the versions of each session and the operations of a finished run.
    """
    damage = [f"  DAMAGED: {what}" for what in status.damage]
    if status.result is None:
        lines = [_unfinished(status), *damage, f"  {_next_step(status)}", ""]
    else:
        lines = [
            summary(status.result, origin=status.result.read_from or ""),
            *damage,
            *[""][: len(damage)],
        ]
        if verbose:
            lines.append(operations_text(status.result))
    return "\n".join([*lines, _sessions(status, verbose)]) + "\n"


def _unfinished(status: RunStatus) -> str:
    name = status.input.get("name", "run of a script")
    state = "running now" if status.in_use else "not finished"
    head = f"{name}: DF-MP2 by dfmp2, {state} (energies in hartree)"
    asked = aligned([(name, text) for name, text in _asked(status) if text])
    done = aligned(_done(status))
    return "\n".join([head, f"  run file {status.path}", "", *asked, "", *done, ""])


def _asked(status: RunStatus) -> list[tuple[str, str]]:
    fields = status.input.get("fields", {})
    frozen = fields.get("frozen", [])
    charge = charge_text(status.input.get("stated", ""), fields.get("charge", 0))
    return [
        ("formula", formula(fields.get("atoms", []))),
        ("charge", charge),
        ("basis", _basis(fields.get("basis"))),
        ("auxiliary basis", _basis(fields.get("auxbasis"))),
        ("ECP", _basis(fields.get("ecp"), by_element=True)),
        ("SCF", _reference(fields)),
        ("sizes", sizes_line(status.sizes.named(), status.sizes.npair)),
        ("frozen orbitals", ", ".join(map(str, frozen)) or "none"),
        ("settings", _settings(status.input.get("calculation") or {})),
    ]


def _done(status: RunStatus) -> list[tuple[str, str]]:
    s, b = status.sizes, status.state.get("b", {})
    if status.e_scf is not None:
        scf = f"converged, E = {status.e_scf:.10f}"
    elif not status.resumable:
        scf = "damaged"
    else:
        scf = "in the script" if status.scripted else "not computed yet"
    metric = b.get("metric")
    if metric is None:
        factor = "not kept"
    else:
        dropped = f", {metric['dropped']} vectors dropped" if metric["dropped"] else ""
        factor = metric["kind"].capitalize() + dropped
    done, known = s.npair, status.table.known
    percent = f" ({100 * known / done:.1f} %)" if done else ""
    if status.fitted or status.raw:
        kept = (
            f"(P|ia) of {status.raw} of {s.naux} functions, {status.fitted} of {s.nocc} rows fitted"
        )
    else:
        kept = "not kept"
    return [
        ("SCF", scf),
        ("metric", factor),
        ("B[i,P,a]", kept),
        ("pairs", f"{known} of {done}{percent}"),
    ]


def _next_step(status: RunStatus) -> str:
    if not status.resumable:
        return "it cannot be continued: start over with dfmp2 run ... --restart"
    if status.in_use:
        return "a run has the file open; this is what it has stored so far"
    if status.scripted:
        return "continue it with the Python script that began it (DFMP2 with its checkpoint)"
    return f"continue it with: dfmp2 resume {status.path}"


def _sessions(status: RunStatus, verbose: bool) -> str:
    if not status.sessions:
        return "  no session has begun yet"
    head = ("session", "started", "pairs", "precision", "ran on")
    rows = []
    for session in status.sessions:
        pairs = int(np.count_nonzero(status.table.session == session["id"]))
        place = f"{session['device']} ({session['backend']}, {session['mode']})"
        if verbose:
            versions = ", ".join(f"{name} {v}" for name, v in session["versions"].items())
            place += f"; {versions}"
        rows.append(
            (
                str(session["id"]),
                session["started"],
                "rejected" if session["rejected"] else str(pairs),
                _precision(session),
                place,
            )
        )
    return "\n".join(columns(head, rows, right=("session", "pairs")))


def _precision(session: dict[str, Any]) -> str:
    asked, found = session["precision"], session["pairs_in"] or session["precision"]
    return asked if asked == found else f"{asked}: {found}"


def _basis(field: dict[str, Any] | None, by_element: bool = False) -> str:
    names = field["name"] if field else None
    return basis_label(names, by_element) if names else "none"


def _reference(fields: dict[str, Any]) -> str:
    named = fields.get("hamiltonian")
    with_what = f"; with {', '.join(named)}" if named else ""
    if "orbitals" in fields:
        return f"{fields.get('reference', 'rhf').upper()}, converged before{with_what}"
    if "conv_tol" not in fields:
        return ""
    auxbasis = fields.get("scf_auxbasis")
    auxbasis = _basis(auxbasis) if isinstance(auxbasis, dict) else auxbasis or "JK set"
    fitted = f"density-fitted, {auxbasis}"
    integrals = fitted if fields["density_fit"] else "exact integrals"
    functional = f" ({fields['xc']}, grid level {fields['grid']})" if "xc" in fields else ""
    return (
        f"{fields['reference'].upper()}{functional}, {integrals}, conv_tol {fields['conv_tol']:g}"
    )


def _settings(calculation: dict[str, Any]) -> str:
    """Options of the run other than their defaults, as on the command line."""
    named = ("backend", "device", "precision", "max_memory", "integrals")
    said = [f"--{name.replace('_', '-')} {calculation[name]}" for name in named
            if calculation.get(name) not in (None, "auto")]  # fmt: skip
    if calculation.get("fused") is False:
        said.append("--no-fused-energy")
    return " ".join(said)
