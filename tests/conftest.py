"""The table of backends that drives the tests.

A fixture is parametrised over the rows of the table, or over those that run kernels. Rows whose
requirement is missing skip, with the reason; ``--require-backend NAME`` (repeatable) makes a
missing NAME fail instead.
"""

from __future__ import annotations

import os

# Threads of OpenMP that wait need no core. By default they spin, which takes the cores of a small
# machine from whatever computes. OpenMP reads this when it is loaded, so it stands before imports.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# The workers of pytest-xdist take all cores. Threads of OpenBLAS that wait spin, and took up to a
# third of the CPU time of tests. Torch, libcint and dfmp2 have as many threads as elsewhere.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dfmp2.kernels.launch import Launch, simulate, simulate_bundled
from dfmp2.kernels.nki import HAS_NKI, why_not

if TYPE_CHECKING:
    from dfmp2.backends.protocol import Backend


def _never_missing() -> str | None:
    return None


def _cuda_missing() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "torch sees no CUDA GPU"


def _device_missing() -> str | None:
    if not HAS_NKI:
        return why_not()
    return None if Path("/dev/neuron0").exists() else "there is no Neuron device"


def _on_device(kernel: Any, *operands: Any) -> Any:
    return kernel(*operands)


class Row(NamedTuple):
    """One backend.

    Attributes
    ----------
    asked : (str, str or None)
        Name and device, as `dfmp2.backends.selection.select` takes them.
    mode : str
        What a result's provenance calls the device.
    unit : float
        Rounding unit of its arithmetic.
    missing : callable
        Returns the reason why it is not here; None where it is.
    launch : Launch or None
        Runs one NKI kernel; None for backends without kernels.
    mark : str or None
        Marker that its tests carry.
    """

    asked: tuple[str, str | None]
    mode: str
    unit: float
    missing: Callable[[], str | None]
    launch: Launch | None = None
    mark: str | None = None


TESTS = count()

F64, F32 = 2.0**-53, 2.0**-24

BACKENDS = {
    "torch-cpu": Row(("pytorch", "cpu"), "cpu", F64, _never_missing),
    "torch-cuda": Row(("pytorch", "cuda"), "cuda", F64, _cuda_missing),
    "nki-simulator": Row(
        ("simulator", "bundled"), "simulator", F32, _never_missing, simulate_bundled
    ),
    "nki-aws-simulator": Row(
        ("simulator", "aws"), "simulator", F32, why_not, simulate, "aws_simulator"
    ),
    "nki-device": Row(("nki", None), "device", F32, _device_missing, _on_device, "neuron"),
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
        if name not in BACKENDS:
            known = ", ".join(BACKENDS)
            raise pytest.UsageError(f"--require-backend {name}: not one of {known}")


def _marked(names: Iterable[str]) -> list[Any]:
    marks = {n: [getattr(pytest.mark, m)] if (m := BACKENDS[n].mark) else [] for n in names}
    return [pytest.param(name, id=name, marks=mark) for name, mark in marks.items()]


def _present(request: pytest.FixtureRequest) -> str:
    """The name that a fixture was given, if that backend is here."""
    name = str(request.param)
    reason = BACKENDS[name].missing()
    if reason is not None:
        if name in request.config.getoption("--require-backend"):
            pytest.fail(f"backend {name} is required, but {reason}")
        pytest.skip(f"backend {name}: {reason}")
    return name


@pytest.fixture(scope="session", params=_marked(BACKENDS))
def backend_name(request: pytest.FixtureRequest) -> str:
    """Name of a backend that is here.

    A test of some rows only names them: ``parametrize("backend_name", [...], indirect=True)``.
    """
    return _present(request)


@pytest.fixture(scope="session")
def row(backend_name: str) -> Row:
    """The row of `backend_name`."""
    return BACKENDS[backend_name]


@pytest.fixture
def backend(row: Row, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Each backend in turn, whatever the environment would choose."""
    from dfmp2.backends.selection import select

    for variable in ("DFMP2_USE_SIMULATOR", "DFMP2_REQUIRE_NKI"):
        monkeypatch.delenv(variable, raising=False)
    return select(*row.asked).backend


@pytest.fixture(scope="session", params=_marked(n for n, row in BACKENDS.items() if row.launch))
def kernel_backend(request: pytest.FixtureRequest) -> str:
    """Name of a backend that runs kernels and is here."""
    return _present(request)


@pytest.fixture(scope="session")
def launch(kernel_backend: str) -> Launch:
    """Run one launch of a kernel on each backend in turn."""
    launch = BACKENDS[kernel_backend].launch
    assert launch is not None
    return launch


@pytest.fixture
def nan_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory of torch holds NaN, so that elements never written cannot look right by luck."""
    import torch

    plain = torch.empty

    def poisoned(*args: Any, **kwargs: Any) -> torch.Tensor:
        memory = plain(*args, **kwargs)
        return memory.fill_(float("nan")) if memory.is_floating_point() else memory

    monkeypatch.setattr(torch, "empty", poisoned)


@pytest.fixture
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty folder, because `dfmp2 run` writes its run file to the current one."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


@pytest.fixture
def small_auxbasis(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning of a set that fits badly: it is small, so that kernels have little to do."""
    monkeypatch.setattr("dfmp2.fitting.auxbasis._unsuitable", lambda *_: ())


@pytest.fixture(autouse=True, scope="session")
def _no_rates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures of a module, which run before those of a test, keep and find no rates either."""
    with pytest.MonkeyPatch.context() as patch:
        nowhere = tmp_path_factory.getbasetemp() / "file"
        nowhere.touch()
        patch.setattr("dfmp2.workflow.rates.rates_path", lambda: nowhere / "rates.json")
        yield


@pytest.fixture(autouse=True)
def _own_rates(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without it, tests would see the rates of other tests, and change those of the user."""
    path = tmp_path_factory.getbasetemp() / f"rates-{next(TESTS)}.json"
    monkeypatch.setattr("dfmp2.workflow.rates.rates_path", lambda: path)
