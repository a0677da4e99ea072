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

    Where that is too small, the text is compressed; where that does not help either, sessions lose
    the details of their operations, the oldest first: which device did which stage is kept.

    Raises
    ------
    ValueError
        If even so it does not fit.
    """
    text = _text(state)
    if _HEAD.size + len(text) > size:
        text = zlib.compress(text)
    detailed = [s for s in state.get("sessions", []) if "provenance" in s]
    for session in detailed:
        if _HEAD.size + len(text) <= size:
            break
        record = session["provenance"]
        places = {(row["stage"], str(row["where"])): row for row in record["operations"]}
        record.update(stages=[], operations=list(places.values()))
        text = zlib.compress(_text(state))
    if _HEAD.size + len(text) > size:
        raise ValueError(f"the journal holds {size} bytes, {_HEAD.size + len(text)} are needed")
    head = _HEAD.pack(number, len(text), _checksum(number, text))
    return np.frombuffer(head + text, dtype=np.uint8)


def decode(half: NDArray[np.uint8]) -> tuple[int, dict[str, Any]] | None:
    """Number and state of one half; None where it is not whole."""
    raw = half.tobytes()
    number, length, checksum = _HEAD.unpack_from(raw)
    text = raw[_HEAD.size : _HEAD.size + length]
    if number == 0 or len(text) != length or _checksum(number, text) != checksum:
        return None
    state: dict[str, Any] = json.loads(text if text.startswith(b"{") else zlib.decompress(text))
    return number, state


def _checksum(number: int, text: bytes) -> int:
    """Of the number, too: a torn head must not make the older text the newer one."""
    return zlib.crc32(text, zlib.crc32(struct.pack("<Q", number)))


def _text(state: dict[str, Any]) -> bytes:
    return json.dumps(state, separators=(",", ":")).encode()
