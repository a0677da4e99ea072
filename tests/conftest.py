"""The table of backends that drive the tests.

A fixture is parametrised over the rows of its kind. Rows whose requirement is missing skip, with
the reason; ``--require-backend NAME`` (repeatable) makes a missing NAME fail instead.
"""

from __future__ import annotations

import os

# Threads of OpenMP that wait need no core. By default they spin, which takes the cores of a small
# machine from whatever computes. OpenMP reads this when it is loaded, so it stands before imports.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

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
    """One row: how to launch kernels, why it may be missing, and the marker its tests carry."""

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
    """Refuse a required backend that does not exist: it would never be missed."""
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
    """Name of a backend that runs kernels and is here."""
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
    """Make an empty folder the current one: `dfmp2 run` leaves its run file there."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
