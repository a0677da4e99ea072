"""Errors and warnings of dfmp2, sorted by what the user can do about them.

The class attribute `exit_code` is the exit code of the command line. Only `dfmp2.cli` turns an
error into a line on stderr.
"""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "CheckpointError",
    "DFMP2Error",
    "DFMP2Warning",
    "DeviceLostError",
    "InputError",
    "InternalError",
    "KernelError",
    "NkiFallbackWarning",
    "NotConvergedError",
    "NotProvidedError",
    "OutputError",
    "PeerError",
    "ResourceError",
    "SomeFailedError",
    "UnsupportedReferenceError",
    "ValidationError",
]


class DFMP2Error(Exception):
    """Base class of the errors of dfmp2."""

    exit_code = 70


class InputError(DFMP2Error, ValueError):
    """The input or an option is wrong. The message says what to change."""

    exit_code = 2


class UnsupportedReferenceError(InputError, NotImplementedError):
    """The reference is of a kind that dfmp2 cannot use, such as an open shell."""


class NotProvidedError(InputError, NotImplementedError, AttributeError):
    """PySCF's MP2 classes have this, and dfmp2 does not. The message says what to use instead.

    It is an AttributeError, so that ``hasattr(mp, "make_rdm1")`` is False.
    """


class ValidationError(DFMP2Error):
    """An energy differs from its reference by more than the tolerance."""

    exit_code = 3


class NotConvergedError(DFMP2Error, RuntimeError):
    """The SCF did not converge. MP2 needs converged orbitals."""

    exit_code = 4


class ResourceError(DFMP2Error, MemoryError):
    """Memory or disk is too small for the run. The message says how much is needed."""

    exit_code = 5


class CheckpointError(DFMP2Error, OSError):
    """A result or run file cannot be read, written or continued."""

    exit_code = 6


class OutputError(DFMP2Error, OSError):
    """An output or a temporary file cannot be written."""

    exit_code = 6


class BackendUnavailable(DFMP2Error, RuntimeError):
    """A backend, a device or a source of integrals that was requested cannot be used."""

    exit_code = 7


class KernelError(DFMP2Error, RuntimeError):
    """An NKI kernel raised an exception. The message names the operation and the cause."""

    exit_code = 7


class DeviceLostError(KernelError):
    """The tensors on a device may be lost, so the run cannot continue there."""


class PeerError(DFMP2Error, RuntimeError):
    """A program failed that `dfmp2 bench` compares with."""

    exit_code = 7


class SomeFailedError(DFMP2Error):
    """Of several molecules, some have no result. The message names them."""

    exit_code = 8


class InternalError(DFMP2Error, RuntimeError):
    """An exception whose cause dfmp2 does not know, so probably a fault of dfmp2."""

    exit_code = 70


class DFMP2Warning(UserWarning):
    """A reason to check the energy before it is published."""


class NkiFallbackWarning(DFMP2Warning):
    """An NKI kernel failed and torch computed instead (only with ``backend="auto"``)."""
