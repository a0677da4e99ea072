"""Storage and rounding of NKI's types."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfmp2.kernels.simulator.dtypes import DTYPES, as_dtype, cast

F32 = np.float32
VALUES = np.concatenate(
    [
        np.random.default_rng(5).standard_normal(4000) * 10.0 ** np.arange(-20, 20).repeat(100),
        [0.0, -0.0, 1.0, 3.0e38, -3.4e38, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-9],
    ]
).astype(F32)


def test_bfloat16_rounds_as_torch_does() -> None:
    want = torch.from_numpy(VALUES).to(torch.bfloat16).to(torch.float32).numpy()
    assert np.array_equal(cast(VALUES, DTYPES["bfloat16"]), want)


def test_tfloat32_keeps_ten_bits() -> None:
    got = cast(VALUES, DTYPES["tfloat32"])
    assert (got.view(np.uint32) & 0x1FFF == 0).all()
    assert (np.abs(got - VALUES) <= np.abs(VALUES) * 2.0**-11).all()


def test_nan_and_infinity_survive() -> None:
    special = np.array([np.nan, np.inf, -np.inf], F32)
    for name in ("bfloat16", "tfloat32", "float16"):
        assert np.array_equal(cast(special, DTYPES[name]).astype(F32), special, equal_nan=True)


def test_floats_become_integers_by_rounding_to_even_and_saturating() -> None:
    got = cast(np.array([0.5, 1.5, 2.5, -0.5, 300.0, -300.0], F32), DTYPES["int8"])
    assert got.tolist() == [0, 2, 2, 0, 127, -128]
    assert cast(np.array([3e9], F32), DTYPES["int32"]).tolist() == [2**31 - 1]


@pytest.mark.parametrize("name", DTYPES)
def test_types_are_found_by_name_and_by_numpy_type(name: str) -> None:
    dtype = DTYPES[name]
    assert as_dtype(name, "test") is dtype
    if not dtype.round_bits and name != "bool_":
        assert as_dtype(dtype.np_dtype, "test") is dtype


def test_device_sizes_are_counted() -> None:
    assert [DTYPES[n].itemsize for n in ("bool_", "bfloat16", "tfloat32")] == [1, 2, 4]
