"""Which backend does the work: decided before the work starts, with the reason kept.

The process-wide default (`set_backend`) is the only global state of dfmp2. A backend named for one
run wins over it. Two environment variables take part:

``DFMP2_USE_SIMULATOR=1``
    "auto" and "nki" run the kernels in a simulator.
``DFMP2_REQUIRE_NKI=1``
    Work that NKI would not do, and a kernel that raises, are errors.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.settings import BACKENDS

if TYPE_CHECKING:
    from dfmp2.backends.protocol import Backend
    from dfmp2.backends.torch import TorchBackend

__all__ = [
    "Selection",
    "computes_on_cuda",
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
    return os.environ.get(variable, "") not in ("", "0")


def require_nki() -> bool:
    """Whether DFMP2_REQUIRE_NKI forbids work that NKI does not do."""
    return _switched_on("DFMP2_REQUIRE_NKI")


def simulated(name: str) -> bool:
    """Whether a backend of that name runs its kernels in a simulator."""
    return name == "simulator" or (name in ("auto", "nki") and _switched_on("DFMP2_USE_SIMULATOR"))


@dataclass(frozen=True)
class Selection:
    """What does the work of one run.

    Attributes
    ----------
    backend : Backend
    reason : str
        Why it was taken, and why others were not.
    host : TorchBackend or None
        Beside an NKI backend: does what precision keeps off the device.
    may_fall_back : bool
        Whether `host` may take over an operation whose kernel raises.
    """

    backend: Backend
    reason: str
    host: TorchBackend | None = None
    may_fall_back: bool = False

    @property
    def is_nki(self) -> bool:
        """Whether NKI kernels do the work."""
        return self.backend.where.backend == "nki"


def select(name: str | None = None, device: str | None = None) -> Selection:
    """Make the backend for one run.

    Parameters
    ----------
    name : str, optional
        One of `BACKENDS`; the process-wide default when not given.
    device : str, optional
        For torch "cpu", "cuda" or "cuda:N"; not given, CUDA where torch sees a GPU, else the CPU.
        For a simulator "bundled" or "aws"; not given, AWS's where it is installed.

    Returns
    -------
    Selection

    Raises
    ------
    InputError
        If the name is unknown.
    BackendUnavailable
        If the backend or device asked for cannot be used, or DFMP2_REQUIRE_NKI forbids it.
    """
    name = _checked(name or _default)
    if simulated(name):
        by = "asked for by name" if name == "simulator" else "DFMP2_USE_SIMULATOR is set"
        return _simulator(name, device, f"backend {name}: NKI kernels in a simulator ({by})")
    if name == "pytorch":
        return _torch(name, device, "")
    selection, why_not = _neuron(name) if device is None else (None, f"device {device!r} named")
    if selection is not None:
        return selection
    if name == "nki":
        raise BackendUnavailable(
            f"backend nki: {why_not}; use --backend simulator (or DFMP2_USE_SIMULATOR=1) to run "
            "the kernels on this CPU, or --backend pytorch"
        )
    return _torch(name, device, f"; NKI not used: {why_not}")


def computes_on_cuda(name: str | None = None, device: str | None = None) -> bool:
    """Whether such a run has its B on a CUDA device; parameters as of `select`."""
    name = _checked(name or _default)
    if name == "nki" or simulated(name):
        return False
    if device is not None:
        return device.startswith("cuda")
    import torch

    return bool(torch.cuda.is_available())


def _torch(name: str, device: str | None, remark: str) -> Selection:
    if require_nki():
        raise BackendUnavailable(
            f"DFMP2_REQUIRE_NKI is set, but backend {name!r} would compute through torch{remark}; "
            "unset it, or use --backend nki or simulator"
        )
    import torch

    from dfmp2.backends.torch import TorchBackend

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        why = "a CUDA GPU is present" if device == "cuda" else "torch sees no CUDA GPU"
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
        raise InputError(f"device {device!r} is no simulator; use bundled or aws")
    if device == "aws" and not HAS_NKI:
        raise BackendUnavailable(f"AWS's simulator: {why_not()}; use --device bundled")
    if HAS_NKI and device != "bundled":
        runner = SimulatorRunner(nki.simulate, f"AWS nki.simulate {nki_version} on the CPU")
    else:
        target = simulator.current_generation().name
        runner = SimulatorRunner(simulator.simulate, f"bundled simulator of {target} on the CPU")
    fall_back = name == "auto" and not require_nki()
    return Selection(NkiBackend(runner), reason, TorchBackend("cpu"), fall_back)


def _neuron(name: str) -> tuple[Selection | None, str]:
    """An NKI backend on a Neuron device, or why there is none."""
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
