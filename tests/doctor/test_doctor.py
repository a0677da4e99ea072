"""Every check of the doctor, in each of its states."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dfmp2 import doctor
from dfmp2.backends.neuron import generation, hardware_generation, instance_type
from dfmp2.backends.selection import set_backend
from dfmp2.doctor import Finding, examine, usable
from dfmp2.doctor import packages as packages_module
from dfmp2.doctor.finding import Asked
from dfmp2.doctor.host import (
    check_aws_simulator,
    check_blas,
    check_cuda,
    check_h5py,
    check_numba_cache,
    check_simulator,
    check_threads,
)
from dfmp2.doctor.machine import (
    check_compile_cache,
    check_cores,
    check_driver,
    check_lnc,
    check_runtime,
)
from dfmp2.doctor.packages import (
    check_compiler,
    check_generation,
    check_nki,
    check_path,
    check_plugin_import,
    check_plugin_path,
    check_torch_neuronx,
)
from dfmp2.errors import InputError
from dfmp2.kernels import nki as chosen
from dfmp2.kernels import simulator
from dfmp2.kernels.nki import HAS_NKI
from tests.played import PlayedDevice, distributions, files, instance, play, without_settings

without_nki = pytest.mark.skipif(HAS_NKI, reason="AWS's nki is installed")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    without_settings(monkeypatch)


def machine(root: Path, needs: bool = True, device: str | None = None) -> Asked:
    return Asked("nki" if needs else "auto", device, needs, root)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **versions: str) -> Path:
    """Add distributions to sys.path, also that of child processes."""
    site = distributions(folder / "site", **versions)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    return site


def program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "libneuronpjrt-path"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# Packages


@without_nki
def test_nki_absent(tmp_path: Path) -> None:
    assert check_nki(machine(tmp_path)).status == "fail"
    finding = check_nki(machine(tmp_path, needs=False))
    assert (finding.status, finding.message) == ("info", "the package nki is not installed")
    assert "Neuron package index" in finding.remedy


@without_nki
@pytest.mark.parametrize("needs", [True, False])
def test_nki_placeholder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: bool) -> None:
    install(tmp_path, monkeypatch, nki="0.0.1")
    monkeypatch.setattr(chosen, "_why_not", chosen._find()[-1])
    finding = check_nki(machine(tmp_path, needs))
    assert finding.status == ("fail" if needs else "warn")
    assert "nki 0.0.1 is installed" in finding.message
    assert "placeholder" in finding.message


def test_nki_present(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, PlayedDevice())
    finding = check_nki(machine(tmp_path))
    assert (finding.status, finding.message) == ("ok", "AWS's package, version 0.4.0")


@pytest.mark.parametrize(
    ("version", "status", "text"),
    [
        ("1.0", "fail", "placeholder"),
        ("1.0.0", "fail", "placeholder"),
        ("2.8.0", "fail", "older than 2.9"),
        ("2.9.0.2.10.1", "ok", "2.9.0.2.10.1"),
    ],
)
def test_torch_neuronx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, status: str, text: str
) -> None:
    install(tmp_path, monkeypatch, torch_neuronx=version)
    finding = check_torch_neuronx(machine(tmp_path))
    assert finding.status == status
    assert text in finding.message


def test_torch_neuronx_is_not_needed_by_native_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if packages_module.version_of("torch-neuronx") is None:
        assert check_torch_neuronx(machine(tmp_path)).status == "fail"
        monkeypatch.setattr(torch, "neuron", object(), raising=False)
        assert check_torch_neuronx(machine(tmp_path)).status == "ok"
    monkeypatch.setattr(torch, "neuron", object(), raising=False)
    assert check_plugin_import(machine(tmp_path)).status == "ok"


def test_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_generation(machine(tmp_path)).status == "info"
    play(monkeypatch, PlayedDevice(), version="0.3.0")
    trn1, trn2 = instance(tmp_path / "1", "trn1"), instance(tmp_path / "2", "trn2")
    finding = check_generation(machine(trn1))
    assert finding.status == "warn"
    assert "trn1 with nki 0.3.0" in finding.message
    assert check_generation(machine(trn2)).status == "ok"
    assert check_generation(machine(instance(tmp_path / "3", "inf2"))).status == "warn"
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "gen2")
    assert generation(trn2) == "trn1"
    assert hardware_generation(trn2) == "trn2"  # evidence is labelled by the hardware
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn9")
    assert check_generation(machine(trn2)).status == "fail"


@pytest.mark.parametrize("product", ["KVM", "Standard PC (i440FX + PIIX, 1996)", "", "trn1"])
def test_other_machines_have_no_instance_type(tmp_path: Path, product: str) -> None:
    root = files(tmp_path, sys__class__dmi__id__product_name=product)
    assert instance_type(root) is None
    assert hardware_generation(root) is None


def test_an_instance_without_neuron(tmp_path: Path) -> None:
    root = files(tmp_path, sys__class__dmi__id__product_name="m7i.large\n")
    assert instance_type(root) == "m7i.large"
    assert hardware_generation(root) is None


def test_interpreter_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{own}")
    assert check_path(machine(tmp_path)).status == "ok"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{tmp_path / 'nowhere'}")
    finding = check_path(machine(tmp_path))
    assert finding.status == "fail"
    assert finding.remedy == f'export PATH="{own}:$PATH"'
    assert check_path(machine(tmp_path, needs=False)).status == "warn"


def test_plugin_beside_python_but_not_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For this reason trnblas 0.4.0 to 0.4.2 computed on the CPU."""
    program(tmp_path / "venv" / "bin", "echo /lib")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    finding = check_plugin_path(machine(tmp_path))
    assert finding.status == "fail"
    assert "not on PATH" in finding.message
    assert finding.remedy.startswith(f'export PATH="{tmp_path}/venv/bin:')


def test_plugin_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    finding = check_plugin_path(machine(tmp_path))
    assert (finding.status, finding.message[:16]) == ("fail", "is not installed")
    library = files(tmp_path, libneuronpjrt="") / "libneuronpjrt"
    program(tmp_path / "bin", f"echo {library}")
    finding = check_plugin_path(machine(tmp_path))
    assert finding.status == "ok"
    assert str(library) in finding.message
    for text, said in ((f"echo {library}.gone", ".gone"), ("echo broken >&2; exit 1", "broken")):
        program(tmp_path / "bin", text)
        finding = check_plugin_path(machine(tmp_path, needs=False))
        assert finding.status == "warn"
        assert said in finding.message
    (tmp_path / "bin" / "libneuronpjrt-path").write_text("#!/nowhere/interpreter\n")
    assert "does not run" in check_plugin_path(machine(tmp_path)).message


def test_plugin_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages_module, "PLUGIN_SECONDS", 0.1)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    program(tmp_path / "bin", "exec sleep 5")
    assert "does not run" in check_plugin_path(machine(tmp_path)).message


@pytest.mark.skipif(hasattr(torch, "neuron"), reason="torch has neuron built in")
def test_plugin_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if packages_module.version_of("torch-neuronx") is None:
        assert "not installed" in check_plugin_import(machine(tmp_path)).message
    site = install(tmp_path, monkeypatch, torch_neuronx="2.9.0")
    module = site / "torch_neuronx.py"
    for text, status, said in (
        ("", "ok", "imports"),
        ("raise FileNotFoundError('libneuronpjrt-path')", "fail", "FileNotFoundError: libneuron"),
        ("import os; os.abort()", "fail", "status -6"),
    ):
        module.write_text(text)
        finding = check_plugin_import(machine(tmp_path))
        assert finding.status == status
        assert said in finding.message
    assert "torch_neuronx" not in sys.modules  # it was imported in another process
    monkeypatch.setattr(packages_module, "IMPORT_SECONDS", 0.2)
    module.write_text("import time; time.sleep(5)")
    assert "not finished" in check_plugin_import(machine(tmp_path)).message


def test_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, neuronx_cc="2.24.1")
    finding = check_compiler(machine(tmp_path))
    if packages_module.version_of("libneuronxla") is None:
        assert (finding.status, finding.message) == ("fail", "not installed: libneuronxla")
        install(tmp_path / "more", monkeypatch, libneuronxla="2.2")
        finding = check_compiler(machine(tmp_path))
    assert finding.status == "ok"
    assert "neuronx-cc 2.24.1, libneuronxla" in finding.message


# The machine


def test_no_cores(tmp_path: Path) -> None:
    finding = check_cores(machine(tmp_path))
    assert (finding.status, finding.message) == ("fail", "there is no /dev/neuron*")
    files(tmp_path, dev__neuronic="")  # another device
    assert check_cores(machine(tmp_path, needs=False)).status == "info"


@pytest.mark.parametrize(
    ("variable", "value", "status"),
    [
        (None, "", "ok"),
        ("VISIBLE_CORES", "0", "ok"),
        ("VISIBLE_CORES", "0-1", "ok"),
        ("VISIBLE_CORES", "0,2-3", "ok"),
        ("VISIBLE_CORES", "4", "fail"),
        ("VISIBLE_CORES", "3-1", "fail"),
        ("VISIBLE_CORES", "", "fail"),
        ("VISIBLE_CORES", "all", "fail"),
        ("NUM_CORES", "0", "ok"),
        ("NUM_CORES", "4", "ok"),
        ("NUM_CORES", "5", "fail"),
        ("NUM_CORES", "-1", "fail"),
    ],
)
def test_visible_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, value: str, status: str
) -> None:
    """Two devices of trn1 have four cores."""
    if variable:
        monkeypatch.setenv(f"NEURON_RT_{variable}", value)
    finding = check_cores(machine(instance(tmp_path, "trn1", devices=2)))
    assert finding.status == status
    assert "neuron0, neuron1" in finding.message


def test_driver(tmp_path: Path) -> None:
    assert check_driver(machine(tmp_path)).status == "fail"
    assert check_driver(machine(tmp_path, needs=False)).status == "info"
    files(tmp_path, dev__neuron0="")
    assert check_driver(machine(tmp_path, needs=False)).status == "warn"
    files(tmp_path, sys__module__neuron=None)
    assert check_driver(machine(tmp_path)).message == "neuron is loaded; its version is unknown"
    finding = check_driver(machine(instance(tmp_path / "trn", "trn1")))
    assert (finding.status, finding.message) == ("ok", "neuron 2.25.4.0")


def test_runtime(tmp_path: Path) -> None:
    assert check_runtime(machine(tmp_path)).status == "fail"
    files(tmp_path, opt__aws__neuron__lib__libnrt=None)
    assert check_runtime(machine(tmp_path, needs=False)).status == "info"
    (tmp_path / "opt/aws/neuron/lib/libnrt.so.1").touch()
    assert "version unknown" in check_runtime(machine(tmp_path)).message
    root = instance(tmp_path / "trn", "trn1")
    assert check_runtime(machine(root)).message == "aws-neuronx-runtime-lib 2.29.40.0"
    removed = (root / "var/lib/dpkg/status").read_text().replace("install ok", "deinstall ok")
    (root / "var/lib/dpkg/status").write_text(removed)
    assert check_runtime(machine(root)).status == "fail"


@pytest.mark.parametrize(
    ("chip", "runtime", "flags", "status", "text"),
    [
        (None, None, "", "info", "not set"),
        ("trn1", None, "", "ok", "runtime 1, compiler 1"),
        ("trn1", "2", "--lnc=2", "warn", "trn1 does not have"),
        ("trn2", None, "", "warn", "kernels do not support"),
        ("trn2", "1", "--lnc=1", "ok", "runtime 1, compiler 1"),
        ("trn2", "1", "-O1 --lnc 1", "ok", "runtime 1, compiler 1"),
        ("trn2", "1", "", "fail", "disagree"),
        ("trn2", "2", "--lnc=1", "fail", "disagree"),
        ("trn2", "1", "--logical-nc-config=2", "fail", "disagree"),
        ("trn2", "3", "", "fail", "'3' is not 1 or 2"),
        ("trn2", "1", "--lnc=x", "fail", "'x' is not 1 or 2"),
    ],
)
def test_lnc(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chip: str | None,
    runtime: str | None,
    flags: str,
    status: str,
    text: str,
) -> None:
    if runtime:
        monkeypatch.setenv("NEURON_LOGICAL_NC_CONFIG", runtime)
    monkeypatch.setenv("NEURON_CC_FLAGS", flags)
    finding = check_lnc(machine(instance(tmp_path, chip) if chip else tmp_path))
    assert (finding.status, text in finding.message) == (status, True), finding


def test_compile_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, blocked = tmp_path / "new" / "cache", files(tmp_path, file="") / "file" / "cache"
    for url in (str(good), f"file://{good}"):
        monkeypatch.setenv("NEURON_COMPILE_CACHE_URL", url)
        assert check_compile_cache(machine(tmp_path)).status == "ok"
    assert not good.exists()  # the check leaves no files
    monkeypatch.setenv("NEURON_COMPILE_CACHE_URL", str(blocked))
    finding = check_compile_cache(machine(tmp_path))
    assert finding.status == "warn"
    assert f"{blocked} is not writable" in finding.message
    monkeypatch.setenv("NEURON_COMPILE_CACHE_URL", "s3://bucket/cache")
    assert check_compile_cache(machine(tmp_path)).status == "info"
    monkeypatch.setenv("NEURON_CC_FLAGS", f"-O1 --cache_dir={good}")
    assert "two are set" in check_compile_cache(machine(tmp_path)).message
    monkeypatch.delenv("NEURON_COMPILE_CACHE_URL")
    for flags, status in (
        (f"--cache_dir={good}", "ok"),
        (f"--cache_dir {blocked}", "warn"),
        ("--cache_dir='open", "fail"),
    ):
        monkeypatch.setenv("NEURON_CC_FLAGS", flags)
        assert check_compile_cache(machine(tmp_path)).status == status
    monkeypatch.delenv("NEURON_CC_FLAGS")
    assert "/var/tmp/neuron-compile-cache" in check_compile_cache(machine(tmp_path)).message


# The host


def test_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFMP2_SIMULATOR_RULES", "documented")
    finding = check_simulator(machine(tmp_path))
    assert finding.status == "ok"
    assert "of trn2, documented rules:" in finding.message
    right = simulator.simulate

    def wrong(kernel: object) -> object:
        return lambda *x: right(kernel)(*x) * np.float32(1.01)

    def broken(kernel: object) -> object:
        raise RuntimeError("no such kernel")

    for instead, text in ((wrong, "wrong by"), (broken, "no such kernel")):
        monkeypatch.setattr(simulator, "simulate", instead)
        finding = check_simulator(machine(tmp_path))
        assert finding.status == "fail"
        assert text in finding.message
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn9")
    finding = check_simulator(machine(tmp_path))
    assert "trn9" in finding.message
    assert "install" not in finding.remedy  # that would not change the variable


@without_nki
def test_aws_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_aws_simulator(machine(tmp_path)).status == "info"
    assert check_aws_simulator(machine(tmp_path, device="aws")).status == "fail"
    play(monkeypatch, PlayedDevice())
    assert check_aws_simulator(machine(tmp_path)).status == "ok"


def test_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check_cuda(machine(tmp_path)).status == "info"
    files(tmp_path, dev__nvidiactl="")
    assert check_cuda(machine(tmp_path)).status == "info"
    files(tmp_path, dev__nvidia0="")
    finding = check_cuda(machine(tmp_path))
    assert finding.status == "warn"
    assert f"torch {torch.__version__} cannot use" in finding.message
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: f"GPU {n}")
    assert check_cuda(machine(tmp_path)).message.startswith("GPU 0, GPU 1")


def test_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyscf import lib

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(lib, "num_threads", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert check_threads(machine(tmp_path)).status == "ok"
    files(tmp_path, sys__fs__cgroup__cpu="")
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert check_threads(machine(tmp_path)).status == "ok"
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("150000 100000\n")
    finding = check_threads(machine(tmp_path))
    assert finding.status == "warn"
    assert finding.message.startswith("2 CPUs; torch 8 threads, PySCF 4 threads")
    assert "--threads 2" in finding.remedy


def test_library_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_h5py(machine(tmp_path)).status == "ok"
    monkeypatch.setitem(sys.modules, "h5py", None)
    finding = check_h5py(machine(tmp_path))
    assert finding.status == "fail"
    assert finding.remedy == "pip install h5py"


def test_numba_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new"))
    assert check_numba_cache(machine(tmp_path)).status == "ok"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(files(tmp_path, file="") / "file" / "cache"))
    finding = check_numba_cache(machine(tmp_path))
    assert finding.status == "warn"
    assert "NUMBA_CACHE_DIR" in finding.remedy
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    finding = check_numba_cache(machine(tmp_path))
    assert finding.status == "ok"
    assert str(tmp_path / "dfmp2") in finding.message


# All checks


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    names = [finding.check for finding in findings]
    assert len(set(names)) == len(names)
    return {finding.check: finding for finding in findings}


def test_every_finding_is_one_line_and_every_error_has_a_remedy() -> None:
    findings = examine("nki")
    assert len(findings) == 2 + len(doctor.CHECKS)
    for finding in findings:
        assert finding.status in ("ok", "info", "warn", "fail")
        assert "\n" not in str(finding)
        assert finding.backends
        assert set(finding.backends) <= {"auto", "pytorch", "nki", "simulator"}
        if finding.status in ("warn", "fail") and finding.check != "first operation":
            assert finding.remedy, finding
            assert finding.remedy in str(finding)


@without_nki
def test_auto_and_pytorch_are_usable(tmp_path: Path) -> None:
    for name in (None, "auto", "pytorch"):
        findings = by_name(examine(name, root=tmp_path))
        assert usable(list(findings.values()))
        assert "pytorch on c" in findings["backend"].message
        assert "(pytorch, c" in findings["first operation"].message


@without_nki
def test_nki_is_not_usable_without_a_device(tmp_path: Path) -> None:
    """Files of an instance are not enough: the backend must be selectable."""
    for root in (tmp_path, instance(tmp_path / "trn", "trn2")):
        findings = by_name(examine("nki", root=root))
        assert not usable(list(findings.values()))
        assert findings["backend"].status == "fail"
        assert "the package nki is not installed" in findings["backend"].message
        assert findings["backend"].remedy.startswith("use backend simulator (--backend simulator")
        assert findings["first operation"].status == "fail"


@pytest.mark.skipif(Path("/dev/neuron0").exists(), reason="there is a Neuron device")
def test_no_line_names_a_missing_device() -> None:
    for name in ("auto", "nki", "pytorch", "simulator"):
        text = "\n".join(map(str, examine(name)))
        assert "trainium" not in text.lower()
        assert ", device)" not in text
        assert "ok    NeuronCores" not in text


def test_require_nki(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    for name in ("pytorch",) if HAS_NKI else ("auto", "pytorch"):
        findings = by_name(examine(name, root=tmp_path))
        assert not usable(list(findings.values()))
        assert "DFMP2_REQUIRE_NKI" in findings["backend"].message
    assert by_name(examine("auto", root=tmp_path))["NeuronCores"].status in ("fail", "warn")
    assert usable(examine("simulator", "bundled", tmp_path))


def test_the_simulator_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DFMP2_USE_SIMULATOR", "1")
    for name in ("auto", "nki", "simulator"):
        findings = by_name(examine(name, "bundled", tmp_path))
        assert usable(list(findings.values()))
        assert "(nki, simulator)" in findings["first operation"].message
        assert findings["NeuronCores"].status == "info"


def test_process_default(tmp_path: Path) -> None:
    set_backend("simulator")
    try:
        assert "backend simulator" in examine(root=tmp_path)[0].message
    finally:
        set_backend("auto")


def test_unknown_names() -> None:
    with pytest.raises(InputError, match="backend 'cuda' is unknown"):
        examine("cuda")
    with pytest.raises(InputError, match="not a simulator"):
        examine("simulator", "cuda")
    assert not usable(examine("pytorch", "nonsense"))


def test_a_device_that_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = PlayedDevice()
    play(monkeypatch, device)
    monkeypatch.setenv("PATH", "/nowhere")
    findings = by_name(examine("nki", root=tmp_path))
    assert usable(list(findings.values()))
    assert device.fault.launches > 0
    assert "played NeuronCore (nki, device)" in findings["first operation"].message
    assert findings["PATH"].status == "warn"  # a warning only, because the device works


@pytest.mark.parametrize("name", ["nki", "auto"])
def test_a_device_whose_launches_raise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """All packages are installed, and auto would use torch. This must not be reported as usable."""
    play(monkeypatch, PlayedDevice(FileNotFoundError("libneuronpjrt-path")))
    monkeypatch.setenv("PATH", "/nowhere")
    findings = by_name(examine(name, root=tmp_path))
    assert findings["PATH"].status == ("fail" if name == "nki" else "warn")
    assert findings["backend"].status == "ok"
    assert not usable(list(findings.values()))
    assert "FileNotFoundError: libneuronpjrt-path" in findings["first operation"].message
    assert ("torch would" in findings["first operation"].remedy) == (name == "auto")


def test_a_device_that_computes_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    play(monkeypatch, PlayedDevice(scale=1.001))
    findings = by_name(examine("nki", root=tmp_path))
    assert not usable(list(findings.values()))
    assert "wrong by" in findings["first operation"].message
    assert findings["first operation"].remedy.endswith("choose another")


@pytest.mark.parametrize(
    ("kernels", "flags", "status"),
    [("Haswell", "avx2", "ok"), ("Barcelona", "avx2", "warn"), ("Barcelona", "sse2", "ok")],
)
def test_kernels_of_each_blas(
    kernels: str, flags: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        {"user_api": "blas", "internal_api": "openblas", "version": "0.3.31",
         "architecture": "SkylakeX", "filepath": "/site-packages/numpy.libs/libopenblas.so"},
        {"user_api": "blas", "internal_api": "openblas", "version": None,
         "architecture": kernels, "filepath": "/site-packages/pyscf/lib/libopenblas.so"},
        {"user_api": "openmp", "internal_api": "openmp", "version": None, "filepath": "/libgomp"},
    ]  # fmt: skip
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: found)
    files(tmp_path, proc__cpuinfo=f"flags : sse2 {flags} fma\n")
    finding = check_blas(machine(tmp_path))
    assert finding.status == status
    assert "numpy: openblas 0.3.31, SkylakeX kernels" in finding.message
    assert f"pyscf: openblas, {kernels} kernels" in finding.message
    remedy = "set os.environ['OPENBLAS_CORETYPE'] = 'Haswell', then import pyscf"
    assert (remedy in str(finding)) == (flags == "avx2")
