"""The table of backends that the kernel tests run on.

The fixture `launch` is parametrised over the rows. The tests of a row are skipped,
with the reason, if its requirement is missing. ``--require-backend NAME`` (repeatable) makes them
fail instead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dfmp2.kernels.launch import Launch, simulate, simulate_bundled
from dfmp2.kernels.nki import HAS_NKI, why_not


def _never_missing() -> str | None:
    return None


def _device_missing() -> str | None:
    if not HAS_NKI:
        return why_not()
    return None if Path("/dev/neuron0").exists() else "there is no Neuron device"


def _on_device(kernel: Any, *operands: Any) -> Any:
    return kernel(*operands)


class Backend(NamedTuple):
    """One row: how to launch kernels, the reason if it is missing, and the marker of its tests."""

    launch: Launch
    missing: Callable[[], str | None]
    mark: str | None = None


KERNEL_BACKENDS = {
    "nki-simulator": Backend(simulate_bundled, _never_missing),
    "nki-aws-simulator": Backend(simulate, why_not, "aws_simulator"),
    "nki-device": Backend(_on_device, _device_missing, "neuron"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--require-backend``."""
    parser.addoption(
        "--require-backend",
        action="append",
        default=[],
        metavar="NAME",
        help="fail instead of skipping where the backend NAME is missing (repeatable)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an unknown name: a misspelt requirement would never make a test fail."""
    for name in config.getoption("--require-backend"):
        if name not in KERNEL_BACKENDS:
            known = ", ".join(KERNEL_BACKENDS)
            raise pytest.UsageError(f"--require-backend {name}: not one of {known}")


def _row(name: str, backend: Backend) -> Any:
    marks = [getattr(pytest.mark, backend.mark)] if backend.mark else []
    return pytest.param(name, id=name, marks=marks)


@pytest.fixture(
    scope="session", params=[_row(name, backend) for name, backend in KERNEL_BACKENDS.items()]
)
def kernel_backend(request: pytest.FixtureRequest) -> str:
    """Name of each available backend in turn."""
    reason = KERNEL_BACKENDS[request.param].missing()
    if reason is not None:
        if request.param in request.config.getoption("--require-backend"):
            pytest.fail(f"backend {request.param} is required, but {reason}")
        pytest.skip(f"backend {request.param}: {reason}")
    return str(request.param)


@pytest.fixture(scope="session")
def launch(kernel_backend: str) -> Launch:
    """Run one launch of a kernel on each backend in turn."""
    return KERNEL_BACKENDS[kernel_backend].launch


@pytest.fixture
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty folder, because `dfmp2 run` writes its run file to the current one."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
