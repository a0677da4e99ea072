"""Errors and warnings of dfmp2, sorted by what the user can do about them.

Each class carries the exit code of the command line (`exit_code`). Library code raises; only
`dfmp2.cli` turns an error into a line on stderr.
"""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "CheckpointError",
    "DFMP2Error",
    "DFMP2Warning",
    "DeviceLostError",
    "InputError",
    "KernelError",
    "NkiFallbackWarning",
    "NotConvergedError",
    "OutputError",
    "PeerError",
    "ResourceError",
    "UnsupportedReferenceError",
    "ValidationError",
]


class DFMP2Error(Exception):
    """Base of every error that dfmp2 raises on purpose."""

    exit_code = 1


class InputError(DFMP2Error, ValueError):
    """The request cannot be right: fix the input or an option."""

    exit_code = 2


class UnsupportedReferenceError(InputError, NotImplementedError):
    """The mean-field object is of a kind that dfmp2 does not treat."""


class ValidationError(DFMP2Error):
    """An energy differs from its reference by more than the tolerance."""

    exit_code = 3


class NotConvergedError(DFMP2Error, RuntimeError):
    """The SCF did not converge, so its orbitals are no reference for MP2."""

    exit_code = 4


class ResourceError(DFMP2Error, MemoryError):
    """Memory or disk is too small for the run; the message says how much is needed."""

    exit_code = 5


class CheckpointError(DFMP2Error, OSError):
    """A result or run file cannot be read, written or continued."""

    exit_code = 6


class OutputError(DFMP2Error, OSError):
    """A JSON file or a figure cannot be written."""

    exit_code = 6


class BackendUnavailable(DFMP2Error, RuntimeError):
    """The backend or device asked for by name is not there."""

    exit_code = 7


class KernelError(DFMP2Error, RuntimeError):
    """A NKI kernel raised; the message names the operation and the cause."""

    exit_code = 7


class DeviceLostError(KernelError):
    """The data on a device cannot be read back, so the work on it cannot go on."""


class PeerError(DFMP2Error, RuntimeError):
    """A program that `dfmp2 bench` compares with failed."""

    exit_code = 7


class DFMP2Warning(UserWarning):
    """Something the user should know before publishing the number."""


class NkiFallbackWarning(DFMP2Warning):
    """A NKI kernel raised and torch did its work (only under ``backend="auto"``)."""
