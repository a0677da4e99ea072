"""JSON files that are no result of dfmp2, or one that was changed outside of its digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfmp2.errors import CheckpointError
from dfmp2.results.result import read_results
from tests.cli.common import H2, dfmp2, file_with


@pytest.mark.parametrize("text", ["null", "[1, 2]", "{}", '{"extras": 1}'])
def test_other_json_is_named_as_such(text: str, tmp_path: Path) -> None:
    """It was an exception of Python in brackets."""
    with pytest.raises(CheckpointError, match=r"not a result of dfmp2 \(it has no extras\.dfmp2\)"):
        read_results(str(file_with(tmp_path, "x.json", text)))


def test_an_input_that_is_no_qcschema(tmp_path: Path) -> None:
    """It ended with exit code 6 and the remedy of results, although it was to be computed."""
    done = dfmp2("run", file_with(tmp_path, "x.json", "[1]"), "--basis", "sto-3g")
    assert (done.exit_code, "is no QCSchema molecule" in done.stderr) == (2, True), done.stderr


def test_changes_outside_of_the_digest(tmp_path: Path) -> None:
    """Without these, a result would be shown as that of another program or another schema."""
    target = tmp_path / "h2.json"
    geometry = file_with(tmp_path, "h2.xyz", H2)
    assert (
        dfmp2("run", geometry, "--basis", "sto-3g", "--no-checkpoint", "--json", target).exit_code
        == 0
    )
    content: dict[str, Any] = json.loads(target.read_text())

    def refused(changed: dict[str, Any], name: str) -> None:
        file = file_with(tmp_path, "changed.json", json.dumps(changed))
        with pytest.raises(CheckpointError, match=f"its {name} is not the one of dfmp2"):
            read_results(str(file))

    refused({**content, "schema_version": 9}, "schema_version")
    refused({**content, "provenance": {**content["provenance"], "creator": "x"}}, "creator")
    more = {**content, "id": None, "provenance": {**content["provenance"], "cpu": "x"}}
    (result,) = read_results(str(file_with(tmp_path, "more.json", json.dumps(more))))
    assert result.e_tot == content["return_result"]
    twice = json.dumps(content).replace('"return_result"', '"return_result": 1.0, "return_result"')
    with pytest.raises(CheckpointError, match="the key 'return_result' is there twice"):
        read_results(str(file_with(tmp_path, "twice.json", twice)))
