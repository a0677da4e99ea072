"""Which programs were launched on a device of this machine before, and so were compiled.

Each first successful launch adds to the ledger. The compiler's own cache cannot be asked, and may
have been cleared since.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["compiled_before", "ledger_path", "note_compiled"]


def ledger_path() -> Path:
    """File that holds the ledger: ``dfmp2/programs.json`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "dfmp2" / "programs.json"


def compiled_before(device: str) -> set[str]:
    """Programs that were launched on a device of this name before, on this machine."""
    try:
        ledger = json.loads(ledger_path().read_text(encoding="utf-8"))
        return set(ledger.get(device, ()))
    except (OSError, ValueError, AttributeError):
        return set()  # no ledger, or one that is damaged: nothing is known


def note_compiled(device: str, programs: set[str]) -> None:
    """Add programs to the ledger. A ledger that cannot be written is not worth an error."""
    path = ledger_path()
    try:
        try:
            ledger = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            ledger = {}
        ledger[device] = sorted({*ledger.get(device, ()), *programs})
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(ledger, indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError:
        pass
