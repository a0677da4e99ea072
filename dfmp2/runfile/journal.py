"""Text that changes while a run goes on, kept so that one readable copy is always there.

The journal has two halves. Each save goes into the half that does not hold the valid text, with a
number one higher, its length and its checksum: a torn or damaged half does not match, and the other
one is valid.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode", "encode"]

_HEAD = struct.Struct("<QQQ")


def encode(state: dict[str, Any], number: int, size: int) -> NDArray[np.uint8]:
    """One half of the journal, at most `size` bytes.

    Where that is too small, sessions lose the details of their operations, the oldest first; which
    device did which stage is kept.

    Raises
    ------
    ValueError
        If even so it does not fit.
    """
    text = _text(state)
    detailed = [s for s in state.get("sessions", []) if "provenance" in s]
    for session in detailed:
        if _HEAD.size + len(text) <= size:
            break
        record = session["provenance"]
        places = {(row["stage"], str(row["where"])): row for row in record["operations"]}
        record.update(stages=[], operations=list(places.values()))
        text = _text(state)
    if _HEAD.size + len(text) > size:
        raise ValueError(f"the journal holds {size} bytes, {_HEAD.size + len(text)} are needed")
    return np.frombuffer(_HEAD.pack(number, len(text), zlib.crc32(text)) + text, dtype=np.uint8)


def decode(half: NDArray[np.uint8]) -> tuple[int, dict[str, Any]] | None:
    """Number and state of one half; None where it is not whole."""
    raw = half.tobytes()
    number, length, checksum = _HEAD.unpack_from(raw)
    text = raw[_HEAD.size : _HEAD.size + length]
    if number == 0 or len(text) != length or zlib.crc32(text) != checksum:
        return None
    state: dict[str, Any] = json.loads(text)
    return number, state


def _text(state: dict[str, Any]) -> bytes:
    return json.dumps(state, separators=(",", ":")).encode()
