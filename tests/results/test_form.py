"""JSON results with changed types or values: an error, or the right number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from dfmp2.errors import CheckpointError
from dfmp2.results import form
from dfmp2.results.form import read_json
from dfmp2.results.result import Result, read_results
from tests.cli.common import H2, dfmp2, file_with
from tests.systems import DATA

VALUES: tuple[Any, ...] = (None, "x", -1, [], {}, 10**400)

Key = tuple[str | int, ...]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON of hydrogen without its digest, which would find every change. To be copied."""
    folder = tmp_path_factory.mktemp("json")
    done = dfmp2("run", file_with(folder, "h2.xyz", H2), "--basis", "6-31g", "--auxbasis",
                 "cc-pvdz-ri", "--no-checkpoint", "--json", folder / "h2.json")  # fmt: skip
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads((folder / "h2.json").read_text())
    return found


def places(item: Any, at: Key = ()) -> Iterator[Key]:
    """The path of every value of nested JSON."""
    yield at
    if isinstance(item, dict):
        for key, value in item.items():
            yield from places(value, (*at, key))
    elif isinstance(item, list) and item:
        yield from places(item[0], (*at, 0))


def changed(content: dict[str, Any], at: Key, value: Any) -> dict[str, Any]:
    """A copy with another value at a path."""
    copy = deepcopy(content)
    inner: Any = copy
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return copy


def test_every_value_of_another_type(content: dict[str, Any]) -> None:
    """Without a digest: an error of dfmp2, or the energies are the same and can be printed."""
    from dfmp2.cli.table import operations_text, summary

    plain = deepcopy(content)
    del plain["extras"]["dfmp2"]["digest"]
    right = Result.from_qcschema(plain, "x").e_tot
    refused = 0
    for at in list(places(plain))[1:]:
        for value in VALUES:
            try:
                result = Result.from_qcschema(changed(plain, at, value), "x.json")
            except CheckpointError:
                refused += 1
                continue
            assert abs(result.e_tot - right) < 1e-9, (at, value)
            summary(result)
            operations_text(result)
    assert refused > 500


def test_every_value_is_in_the_digest(content: dict[str, Any]) -> None:
    """Numbers that nothing else checks, such as the device or the accuracy, are protected, too."""
    for at in list(places(content["extras"]["dfmp2"]))[1:]:
        with pytest.raises(CheckpointError):
            Result.from_qcschema(changed(content, ("extras", "dfmp2", *at), "other"), "x.json")


@pytest.mark.parametrize("name", ["driver", "keywords", "model", "molecule", "success"])
def test_a_change_outside_extras_is_found(name: str, content: dict[str, Any]) -> None:
    """Other programs read these values, and no digest protects them."""
    for at in places(content[name], (name,)):
        with pytest.raises(CheckpointError, match="changed after dfmp2 wrote it"):
            Result.from_qcschema(changed(content, at, "other"), "x.json")


def test_the_order_and_the_white_space_do_not_matter(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """A program may write the JSON again. Each number is read as it was."""
    path = file_with(tmp_path, "x.json", json.dumps(content, sort_keys=True, indent=4))
    (result,) = read_results(str(path))
    assert result.to_qcschema() == content


@pytest.mark.parametrize("text", ['{"a": NaN}', "[Infinity]", "[" * 100_000, "{", "", "1" * 5000])
def test_what_is_not_json(text: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not JSON"):
        read_json(str(file_with(tmp_path, "x.json", text)))


def test_input_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "LARGEST_FILE", 2**16)
    with pytest.raises(CheckpointError, match="is longer than 65536 bytes"):
        read_json("/dev/zero")


def test_a_result_without_digest_is_labelled() -> None:
    """As version 0.1.0 wrote it. A change of its numbers cannot be seen."""
    done = dfmp2("show", DATA / "version_0_1_0" / "water.json")
    assert "water.json (without digest), not computed now" in done.stdout


@pytest.mark.parametrize("name", ["basis", "auxbasis"])
def test_a_changed_basis_is_found_by_validate(
    name: str, content: dict[str, Any], tmp_path: Path
) -> None:
    """In a file without digest. Broken shells must not end in a traceback of PySCF."""
    del (copy := deepcopy(content))["extras"]["dfmp2"]["digest"]
    for value in ("sto-3g", "none-such", [[0, [1.0]]], [["s", [1.0, 1.0]]], [[0, [1.0, 1.0]]], 7):
        copy["extras"]["dfmp2"]["molecule"][name] = {"H": value}
        done = dfmp2("validate", file_with(tmp_path, "x.json", json.dumps(copy)), "--quiet")
        assert done.exit_code in (2, 3, 6), value
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") <= 4
