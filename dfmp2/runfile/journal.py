"""The journal of a run file: text that changes during a run, with one valid copy at any instant.

The journal has two halves. Each save writes to the half that is not valid: a number that is one
higher, the length of the text, a checksum, and the text. The readable half with the higher number
is valid. If a half is damaged or only partly written, its checksum does not match, and the other
half is valid.
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
"""Number, length of the text, checksum of both."""


def encode(state: dict[str, Any], number: int, size: int) -> NDArray[np.uint8]:
    """Make one half of the journal.

    Text that is too long is compressed. If it is still too long, the operations are removed from
    the provenance of sessions, the oldest first. The device of each stage stays.

    Parameters
    ----------
    state : dict
        Plain data. The provenance of old sessions may be shortened in place.
    number : int
        Number of this save, from 1.
    size : int
        Bytes of a half.

    Returns
    -------
    ndarray, uint8
        At most `size` bytes.

    Raises
    ------
    ValueError
        If the text does not fit even then.
    """
    text = _text(state)
    if _HEAD.size + len(text) > size:
        text = zlib.compress(text)
    detailed = [s for s in state.get("sessions", []) if "provenance" in s]
    for session in detailed:
        if _HEAD.size + len(text) <= size:
            break
        provenance = session["provenance"]
        places = {(row["stage"], str(row["where"])): row for row in provenance["operations"]}
        provenance.update(stages=[], operations=list(places.values()))
        text = zlib.compress(_text(state))
    if _HEAD.size + len(text) > size:
        raise ValueError(f"the journal holds {size} bytes, {_HEAD.size + len(text)} are needed")
    head = _HEAD.pack(number, len(text), _checksum(number, text))
    return np.frombuffer(head + text, dtype=np.uint8)


def decode(half: NDArray[np.uint8]) -> tuple[int, dict[str, Any]] | None:
    """Number and state of one half. None if its checksum does not match."""
    raw = half.tobytes()
    number, length, checksum = _HEAD.unpack_from(raw)
    text = raw[_HEAD.size : _HEAD.size + length]
    if number == 0 or len(text) != length or _checksum(number, text) != checksum:
        return None
    state: dict[str, Any] = json.loads(text if text.startswith(b"{") else zlib.decompress(text))
    return number, state


def _checksum(number: int, text: bytes) -> int:
    # The checksum includes the number: a head that is only partly written must not match.
    return zlib.crc32(text, zlib.crc32(struct.pack("<Q", number)))


def _text(state: dict[str, Any]) -> bytes:
    return json.dumps(state, separators=(",", ":")).encode()
