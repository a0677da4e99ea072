"""Virtual registers: opaque while a kernel is built."""

from __future__ import annotations

from typing import Any, NoReturn

from .errors import refuse

__all__ = ["VirtualRegister"]


class VirtualRegister:
    """A 32-bit value in an engine's register.

    Python may not look at it: neither arithmetic nor comparison nor a condition. It serves as a
    loop bound, as ``scalar_offset``, and in the register calls of `nisa`.
    """

    __slots__ = ("_value", "frozen", "known")

    def __init__(self, state: int | None = None, frozen: bool = False) -> None:
        self._value = state
        self.known = state is not None
        self.frozen = frozen

    def value(self) -> int:
        """Return the value; for the simulator's own use while an instruction runs."""
        if self._value is None:
            refuse("VirtualRegister", "register-uninitialised", "the register holds no value yet")
        return self._value

    def peek(self) -> int | None:
        """Return the value, or None where nothing is known (trace-only mode)."""
        return self._value

    def assign(self, call: str, value: int | None) -> None:
        """Set the value, or only mark the register as written (trace-only mode)."""
        if self.frozen:
            refuse(call, "register-frozen", "the loop owns this register")
        self._value = value
        self.known = True

    def _opaque(self, *_: Any) -> NoReturn:
        refuse(
            "VirtualRegister",
            "register-opaque",
            "Python asked for the value (if/while, int(), arithmetic or comparison); use it as "
            "scalar_offset, or nl.fori_loop / nl.while_loop for control flow",
        )

    __bool__ = __int__ = __index__ = __float__ = _opaque
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _opaque
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __truediv__ = __rtruediv__ = _opaque
    __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = _opaque
    __eq__ = __ne__ = _opaque
    __hash__ = object.__hash__
