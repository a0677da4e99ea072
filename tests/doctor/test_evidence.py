"""Only work whose provenance names a Neuron device may be reported as a Trainium result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfmp2.doctor.evidence import Item, claim, machine, mode_of, on_device, timing_text, write
from dfmp2.errors import BackendUnavailable
from dfmp2.results.provenance import Failure, Operation, Provenance, Where
from tests.played import instance

DEVICE = Where("nki", "device", "trn1 NeuronCore")
PLACES = {
    "cpu": Where("pytorch", "cpu", "a Xeon"),
    "cuda": Where("pytorch", "cuda", "a GPU"),
    "simulator": Where("nki", "simulator", "bundled simulator"),
    "device": DEVICE,
}


def ran(*modes: str, calls: int = 1) -> Provenance:
    rows = [Operation("s", "gemm", PLACES[mode], "float32", calls) for mode in modes]
    return Provenance(rows)


FAILED = Provenance([Operation("s", "gemm", DEVICE, "float32", 1)],
                    failures=[Failure("gemm", "NRT_RESOURCE", 1)])  # fmt: skip
NOT_ON_DEVICE = {
    "nothing": Provenance(),
    "no call finished": ran("device", calls=0),
    "cpu": ran("cpu"),
    "cuda": ran("cuda"),
    "simulator": ran("simulator"),
    "part on the host": ran("device", "cpu"),
    "part simulated": ran("device", "simulator"),
    "a kernel failed": FAILED,
    "named like it": Provenance(
        [Operation("s", "gemm", Where("nki", "cpu", "Trainium"), "float32", 1)]
    ),
}


@pytest.mark.parametrize("case", NOT_ON_DEVICE)
@pytest.mark.parametrize("word", ["Trainium", "trainium", "TRAINIUM2"])
def test_no_claim_without_a_device(case: str, word: str) -> None:
    provenance = NOT_ON_DEVICE[case]
    assert not on_device(provenance)
    with pytest.raises(BackendUnavailable, match="not reported as a Trainium result"):
        claim(f"1 s on {word}", provenance)
    assert claim("1 s somewhere", provenance) == "1 s somewhere"


def test_claim_with_a_device() -> None:
    assert on_device(ran("device"))
    assert claim("1 s on Trainium", ran("device")) == "1 s on Trainium"


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (("device",), "gemm: 0.5 s on Trainium, trn1 NeuronCore (nki, device)"),
        (("cpu",), "gemm: 0.5 s on a Xeon (pytorch, cpu)"),
        (
            ("device", "cpu"),
            "gemm: 0.5 s on trn1 NeuronCore (nki, device); a Xeon (pytorch, cpu)",
        ),
        (("simulator",), "gemm: ran in bundled simulator (nki, simulator); not timed"),
    ],
)
def test_timing_text(modes: tuple[str, ...], expected: str) -> None:
    assert timing_text("gemm", 0.5, ran(*modes)) == expected


def test_names_of_devices_and_items_are_checked() -> None:
    with pytest.raises(BackendUnavailable):
        timing_text("gemm", 0.5, NOT_ON_DEVICE["named like it"])
    with pytest.raises(BackendUnavailable):
        timing_text("gemm on Trainium", 0.5, ran("cpu"))


def test_mode() -> None:
    assert mode_of(ran("device", "cpu", "device")) == "cpu+device"
    assert mode_of(Provenance()) == "nothing ran"


def test_file_of_a_device(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    root = instance(tmp_path / "trn", "trn1")
    items = [
        Item("gemm", ran("device"), True, {"warm": 0.25}, {"error": 1e-7}),
        Item("water", ran("device", "cpu"), True, {"warm": 2.0}),
        Item("check", ran("simulator"), True, {"warm": 3.0}),
    ]
    content = write(path, "bench", items, root)
    assert json.loads(path.read_text()) == content
    assert content["mode"] == "cpu+device+simulator"
    assert (content["instance_type"], content["generation"]) == ("trn1.2xlarge", "trn1")
    assert content["driver"] == "2.25.4.0"
    assert [t["what"] for t in content["timings"]] == ["gemm", "water"]
    assert ["Trainium" in t["text"] for t in content["timings"]] == [True, False]
    assert content["ran"][0]["error"] == 1e-7
    for entry in content["ran"]:
        assert all("seconds" not in row for row in entry["operations"])


def test_file_without_a_device_has_no_time(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    items = [Item("gemm", ran("simulator"), True, {"warm": 12345.0}), Item("x", ran("cpu"), False)]
    content = write(path, "bench", items)
    assert content["timings"] == []
    assert content["passed"] is False
    text = path.read_text()
    assert "12345" not in text
    assert "second" not in text
    assert "trainium" not in text.lower()


@pytest.mark.parametrize(
    ("script", "what", "facts"),
    [
        ("Trainium bench", "gemm", {}),
        ("bench", "gemm on Trainium", {}),
        ("bench", "gemm", {"note": "like trainium"}),
    ],
)
def test_file_is_refused_as_a_whole(
    tmp_path: Path, script: str, what: str, facts: dict[str, str]
) -> None:
    path = tmp_path / "file.json"
    items = [Item(what, ran("simulator"), True, facts=facts)]
    with pytest.raises(BackendUnavailable):
        write(path, script, items)
    assert not path.exists()
    # It is also refused if another item ran on a device.
    with pytest.raises(BackendUnavailable):
        write(path, script, [*items, Item("gemm", ran("device"), True, {"warm": 1.0})])
    assert not path.exists()


def test_file_without_items_has_not_passed(tmp_path: Path) -> None:
    assert write(tmp_path / "file.json", "bench", [])["passed"] is False


def test_machine_without_neuron(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert (found["instance_type"], found["generation"], found["driver"]) == (None, None, None)
    assert {"nki", "neuronx-cc", "torch", "dfmp2"} <= set(found["versions"])
    assert found["date"].endswith("+00:00")
