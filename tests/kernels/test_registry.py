"""The status table shows the recorded evidence and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import pytest

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.kernels import registry
from dfmp2.kernels.checks import CHECKS, Outcome
from dfmp2.kernels.nki import HAS_NKI
from dfmp2.kernels.simulator.subset import violations
from dfmp2.kernels.simulator.subset_rules import PROFILES


def test_every_kernel_has_a_row() -> None:
    """Kernels with a check and kernels with a row are the same."""
    assert {row.kernel for row in registry.rows()} == set(CHECKS)


@pytest.mark.parametrize("place", ["reference", "bundled-simulator"])
def test_evidence_is_of_the_present_source(place: str) -> None:
    """A changed kernel must be recorded again, with the command in the evidence."""
    assert {row.kernel: row.status(place) for row in registry.rows()} == dict.fromkeys(
        registry.KERNELS, "passed"
    )


def test_evidence_is_of_the_stricter_rules() -> None:
    """The evidence on file must not come from the set of rules that refuses less."""
    found = [row.evidence["bundled-simulator"] for row in registry.rows()]
    assert all(e is not None and e.version.endswith(", observed rules") for e in found)


@pytest.mark.parametrize("profile", PROFILES)
def test_kernels_stay_inside_the_subset_of_every_front_end(profile: str) -> None:
    """NKI 0.3 to 0.6 parse a kernel, 0.7 traces it: the same source serves both."""
    folder = Path(registry.__file__).parent
    modules = [
        importlib.import_module(f"dfmp2.kernels.{path.stem}") for path in folder.glob("*.py")
    ]
    kernels = {
        value.__name__: value
        for module in modules
        for value in vars(module).values()
        if type(value).__name__ == "Kernel" and not isinstance(value, type)
    }
    assert len(kernels) == len(CHECKS) + 4  # two have a second form, two more are for two spins
    assert {name: violations(kernel, profile) for name, kernel in kernels.items()} == {
        name: [] for name in kernels
    }


def test_no_evidence_no_claim(tmp_path: Path) -> None:
    """Without a file, a kernel was never run."""
    for row in registry.rows(tmp_path):
        assert {row.status(place) for place in registry.PLACES} == {"never run"}


def test_devices_and_aws_are_never_claimed_without_a_file() -> None:
    """Evidence of other places names the version of nki that ran."""
    for row in registry.rows():
        for place in ("aws-simulator", "trn1", "trn2"):
            evidence = row.evidence[place]
            assert (row.status(place) == "never run") == (evidence is None)
            assert evidence is None or evidence.version.startswith("nki ")


def test_record_writes_what_rows_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round trip, with the problems cut down to the first of each kernel."""
    first = {k: v[:1] for k, v in registry.PROBLEMS.items()}
    monkeypatch.setattr(registry, "PROBLEMS", first)
    monkeypatch.setenv("DFMP2_SIMULATOR_RULES", "documented")
    written = registry.record("bundled-simulator", tmp_path)
    read = registry.rows(tmp_path)
    assert [row.evidence["bundled-simulator"] for row in read] == written
    assert {row.status("bundled-simulator") for row in read} == {"passed"}
    assert {row.status("trn1") for row in read} == {"never run"}
    assert all(e.version.endswith(", documented rules") for e in written)
    assert all(e.max_relative_error < 1e-5 for e in written)


def test_a_failure_is_recorded_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio above 1 is `failed` in the table."""
    monkeypatch.setitem(CHECKS, "syrk", lambda *_: Outcome(0.5, 2.0))
    monkeypatch.setattr(registry, "KERNELS", ("syrk",))
    registry.record("bundled-simulator", tmp_path)
    (row,) = registry.rows(tmp_path)
    assert row.status("bundled-simulator") == "failed"


def test_changed_source_outdates_evidence(tmp_path: Path) -> None:
    """Evidence of other source counts as outdated."""
    (path,) = registry.EVIDENCE.glob("gemm.reference.json")
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["source"] = "0" * 16
    (tmp_path / path.name).write_text(json.dumps(stored), encoding="utf-8")
    row = registry.rows(tmp_path)[0]
    assert row.status("reference") == "outdated"
    assert dataclasses.is_dataclass(row.evidence["reference"])


def test_digest_follows_imports() -> None:
    """Digests of kernels that share helpers differ from each other and from the definition."""
    digests = {registry.source_digest(k, "trn1") for k in registry.KERNELS}
    assert len(digests) == len(registry.KERNELS)
    assert registry.source_digest("gemm", "reference") not in digests


def test_places_that_are_not_here_are_refused(tmp_path: Path) -> None:
    """Evidence cannot be recorded without AWS's nki or a device."""
    with pytest.raises(InputError, match="no such place"):
        registry.record("trn9", tmp_path)
    if not HAS_NKI:
        with pytest.raises(BackendUnavailable, match="needs AWS's nki"):
            registry.record("trn1", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_cannot_be_recorded_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS's package alone, without a device, is not enough."""
    monkeypatch.setattr(registry, "HAS_NKI", True)
    with pytest.raises(BackendUnavailable, match="2_kernel_tests"):
        registry.record("trn2", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_usage() -> None:
    """Without arguments the command prints its usage."""
    with pytest.raises(InputError, match="usage: record PLACE"):
        registry.main([])
