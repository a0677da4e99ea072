"""An option that stands twice with two values. click took the last one without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.common import H2, dfmp2, energy, file_with


@pytest.mark.parametrize(
    ("args", "both"),
    [
        (("--basis", "cc-pvdz", "--basis=sto-3g"), "--basis cc-pvdz and --basis sto-3g"),
        (("--charge", "-1", "--charge", "0"), "--charge -1 and --charge 0"),
        (("--fused-energy", "--no-fused-energy"), "--fused-energy and --no-fused-energy"),
    ],
)
def test_two_values_are_refused(args: tuple[str, ...], both: str) -> None:
    for command in ("run", "plan"):
        done = dfmp2(command, "missing.xyz", *args)
        assert done.exit_code == 2
        assert done.stderr == f"Error: {both} contradict each other; give one of them\n"


def test_what_is_no_contradiction(tmp_path: Path) -> None:
    """The same value twice, values that look like options, and options with several values."""
    path = file_with(tmp_path, "h2.xyz", H2)
    args = ("--basis", "sto-3g", "--basis", "sto-3g", "--kappa", "1", "--kappa", "2", "--quiet")
    done = dfmp2("run", path, *args, "--quiet", "--no-checkpoint", "--auxbasis", "cc-pvdz-ri")
    assert done.exit_code == 0, done.stderr
    assert energy(done.stdout, "E(HF)") == pytest.approx(-1.11675930, abs=1e-7)
    done = dfmp2("run", path, "--json", "--quiet", "--quiet")  # a file of this name
    assert done.exit_code == 2
    assert "no basis given" in done.stderr
    assert (
        "Option '--charge' requires an argument" in dfmp2("run", "--charge", "1", "--charge").stderr
    )
