"""The worked example of kernels/README.md runs, and the files that the page names exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from dfmp2.kernels.launch import Launch

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "kernels" / "README.md").read_text(encoding="utf-8")

PRELUDE = """
from dfmp2.kernels.launch import Launcher
from dfmp2.kernels.layout import as_float32, check_shapes, pad, zeros
from dfmp2.kernels.limits import PARTITIONS
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.reference import _f64
from dfmp2.kernels.tiles import load_block
from dfmp2.kernels.tiling import equal_panels

"""


@pytest.mark.parametrize("shape", [(1, 1), (127, 3), (128, 5), (129, 600), (259, 2), (4099, 1)])
def test_worked_example(launch: Launch, shape: tuple[int, int], tmp_path: Path) -> None:
    """Run definition, kernel and host side of the page at the edges of tiles and panels."""
    definition, kernel, host = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    definition = definition.replace("def scale_rows(", "def defined(")
    path = tmp_path / "example.py"
    path.write_text("\n\n".join([PRELUDE, definition, kernel, host]), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(shape)
    s, x = (rng.random(n).astype(np.float32) for n in (shape[0], shape))
    y = module.scale_rows(s, x, launch=launch)
    np.testing.assert_allclose(y, module.defined(s, x), rtol=2.0**-24)


def test_named_files_exist() -> None:
    """Files in the first table, and tests in the second."""
    names = re.findall(r"`([a-z0-9_]+\.py)`", TEXT)
    assert len(names) > 20
    for name in names:
        places = (ROOT / "kernels" / name, ROOT / "tests" / "kernels" / name)
        assert any(place.is_file() for place in places), name
    for path in re.findall(r"pytest (tests/\S+)", TEXT):
        assert (ROOT / path.rstrip("`")).exists(), path
