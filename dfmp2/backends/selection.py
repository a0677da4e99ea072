"""Choose the backend of a run before the work starts, with the reason.

The process-wide default (`set_backend`) is the only global state of dfmp2. The backend of a single
run overrides it. Two environment variables have an effect:

``DFMP2_USE_SIMULATOR=1``
    "auto" and "nki" run the kernels in a simulator.
``DFMP2_REQUIRE_NKI=1``
    It is an error if torch would do the work, or if a kernel fails.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.settings import BACKENDS

if TYPE_CHECKING:
    from dfmp2.backends.protocol import Backend
    from dfmp2.backends.torch import TorchBackend

__all__ = [
    "Selection",
    "computes_on",
    "get_backend",
    "require_nki",
    "select",
    "set_backend",
    "simulated",
]

_default = "auto"


def _checked(name: str) -> str:
    if name not in BACKENDS:
        raise InputError(f"backend {name!r} is unknown; choose one of {', '.join(BACKENDS)}")
    return name


def set_backend(name: str) -> None:
    """Set the process-wide default backend.

    Parameters
    ----------
    name : {"auto", "pytorch", "nki", "simulator"}
        "auto" is the initial value.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    global _default
    _default = _checked(name)


def get_backend() -> str:
    """Name of the process-wide default backend."""
    return _default


def _switched_on(variable: str) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    if value in ("", "0", "false", "no", "off"):
        return False
    if value in ("1", "true", "yes", "on"):
        return True
    raise InputError(f"environment variable {variable}={value!r} is neither on nor off; set 1 or 0")


def require_nki() -> bool:
    """Whether DFMP2_REQUIRE_NKI is set."""
    return _switched_on("DFMP2_REQUIRE_NKI")


def simulated(name: str) -> bool:
    """Whether a backend runs its kernels in a simulator.

    Parameters
    ----------
    name : str
        One of `BACKENDS`.
    """
    return name == "simulator" or (name in ("auto", "nki") and _switched_on("DFMP2_USE_SIMULATOR"))


@dataclass(frozen=True)
class Selection:
    """The backend of one run.

    Attributes
    ----------
    backend : Backend
    reason : str
        Why it was chosen, and why others were not.
    host : TorchBackend or None
        With an NKI backend: torch on the CPU, for stages that need float64.
    may_fall_back : bool
        Whether `host` may do an operation whose kernel failed.
    """

    backend: Backend
    reason: str
    host: TorchBackend | None = None
    may_fall_back: bool = False

    @property
    def is_nki(self) -> bool:
        """Whether the backend consists of NKI kernels."""
        return self.backend.where.backend == "nki"

    @property
    def on_cpu(self) -> TorchBackend | None:
        """What computes on the CPU in this run, if anything does."""
        if self.is_nki:
            return self.host
        return cast("TorchBackend", self.backend) if self.backend.where.mode == "cpu" else None


def select(name: str | None = None, device: str | None = None) -> Selection:
    """Choose and make the backend of one run.

    Parameters
    ----------
    name : str, optional
        One of `BACKENDS`. The process-wide default if not given.
    device : str, optional
        For torch "cpu", "cuda" or "cuda:N". If not given, a CUDA GPU if torch finds one, else the
        CPU. For a simulator "bundled" or "aws". If not given, AWS's if it is installed.

    Returns
    -------
    Selection

    Raises
    ------
    InputError
        If the name is unknown.
    BackendUnavailable
        If the requested backend or device cannot be used, or DFMP2_REQUIRE_NKI is set and torch
        would do the work.
    """
    name = _checked(name or _default)
    if simulated(name):
        by = "asked for by name" if name == "simulator" else "DFMP2_USE_SIMULATOR is set"
        return _simulator(name, device, f"backend {name}: NKI kernels in a simulator ({by})")
    if name == "pytorch":
        return _torch(name, device, "")
    selection, why_not = (
        _neuron(name) if device is None else (None, f"device {device!r} was asked for")
    )
    if selection is not None:
        return selection
    if name == "nki":
        raise BackendUnavailable(
            f"backend nki: {why_not}; use backend simulator (--backend simulator, "
            "DFMP2_USE_SIMULATOR=1) to run the kernels on this CPU, or pytorch (--backend pytorch)"
        )
    return _torch(name, device, f"; NKI not used: {why_not}")


def computes_on(
    name: str | None = None, device: str | None = None
) -> Literal["nki", "cuda", "cpu"]:
    """What such a run computes with: NKI kernels, or torch on a CUDA device or on the CPU.

    Parameters
    ----------
    name, device : str, optional
        As for `select`.
    """
    name = _checked(name or _default)
    if name == "nki" or simulated(name):
        return "nki"
    if name == "auto" and device is None and _neuron(name)[0] is not None:
        return "nki"
    import torch

    on_cuda = torch.cuda.is_available() if device is None else device.startswith("cuda")
    return "cuda" if on_cuda else "cpu"


def _torch(name: str, device: str | None, remark: str) -> Selection:
    if device in ("bundled", "aws"):
        raise InputError(
            f"device {device} is a simulator, but backend {name} computes with torch; use backend "
            "simulator (--backend simulator) with it"
        )
    if require_nki():
        raise BackendUnavailable(
            f"DFMP2_REQUIRE_NKI is set, but backend {name!r} would compute with torch{remark}; "
            "unset it, or use backend nki or simulator (--backend)"
        )
    import torch

    from dfmp2.backends.torch import TorchBackend

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        why = "torch finds a CUDA GPU" if device == "cuda" else "torch finds no CUDA GPU"
    else:
        why = "asked for by name"
    return Selection(TorchBackend(device), f"backend {name}: pytorch on {device} ({why}){remark}")


def _simulator(name: str, device: str | None, reason: str) -> Selection:
    from dfmp2.backends.launching import SimulatorRunner
    from dfmp2.backends.nki import NkiBackend
    from dfmp2.backends.torch import TorchBackend
    from dfmp2.kernels import simulator
    from dfmp2.kernels.nki import HAS_NKI, nki, nki_version, why_not

    if device not in (None, "bundled", "aws"):
        raise InputError(f"device {device!r} is not a simulator; use bundled or aws")
    if device == "aws" and not HAS_NKI:
        raise BackendUnavailable(
            f"AWS's simulator: {why_not()}; use device bundled (--device bundled)"
        )
    if HAS_NKI and device != "bundled":
        runner = SimulatorRunner(nki.simulate, f"AWS nki.simulate {nki_version} on the CPU")
    else:
        target = simulator.current_generation().name
        simulator.current_profile()  # a wrong variable is found before the work starts
        simulator.current_rule_set()
        runner = SimulatorRunner(simulator.simulate, f"bundled simulator of {target} on the CPU")
    fall_back = name == "auto" and not require_nki()
    return Selection(NkiBackend(runner), reason, TorchBackend("cpu"), fall_back)


def _neuron(name: str) -> tuple[Selection | None, str]:
    """An NKI backend on a Neuron device or None, and the reason."""
    from dfmp2.kernels.nki import HAS_NKI, why_not

    if not HAS_NKI:
        return None, str(why_not())
    from dfmp2.backends.neuron import find_device

    device, why = find_device()
    if device is None:
        return None, why
    from dfmp2.backends.launching import DeviceRunner
    from dfmp2.backends.nki import NkiBackend
    from dfmp2.backends.torch import TorchBackend

    fall_back = name == "auto" and not require_nki()
    reason = f"backend {name}: NKI kernels ({why})"
    return Selection(NkiBackend(DeviceRunner(device)), reason, TorchBackend("cpu"), fall_back), why
