"""Kernels that break a rule of shape, placement or memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .breaking import F32, breaks, fresh, index, obeys, product, psum, sbuf
from .tiles import stored

ONES = np.ones((4, 8), F32)


@breaks("partitions", "nl.ndarray", "shape (129, 4) in sbuf")
def too_many_partitions() -> None:
    fresh((129, 4))


@breaks("partitions", "nisa.dma_copy", "dst spans 200 partitions", np.ones((200, 4), F32))
def dma_over_partitions(x: Any) -> None:
    t = fresh((100, 8))
    nisa.dma_copy(t.ap([[8, 200], [1, 4]], scalar_offset=index(1), indirect_dim=1), x)


@breaks("start-partition", "nisa.memset", "dst has 32 partitions from partition 16")
def start_at_16() -> None:
    nisa.memset(fresh((128, 4))[16:48], 0.0)


@breaks("start-partition", "nisa.memset", "dst has 64 partitions from partition 32")
def sixty_four_from_32() -> None:
    nisa.memset(fresh((128, 4))[32:96], 0.0)


@breaks("start-partition", "nisa.memset", "dst has 65 partitions from partition 32")
def sixty_five_from_32() -> None:
    nisa.memset(fresh((128, 4))[32:97], 0.0)


@breaks("not-modelled", "nl.ndarray", "address")
def allocate_at_16() -> None:
    nl.ndarray((32, 4), nl.float32, nl.sbuf, address=(16, 0))


@breaks("partition-stride", "NkiTensor[...]", "step 2 over partitions")
def every_other_partition() -> None:
    fresh((128, 4))[::2]


@breaks("partition-stride", "NkiTensor.ap", "stride 8, partition size 4")
def pattern_over_every_other_partition() -> None:
    fresh((128, 4)).ap([[8, 64], [1, 4]])


@breaks("tile-rank", "nl.ndarray", "shape (128,) in sbuf")
def one_dimensional_tile() -> None:
    fresh((128,))


@breaks("tile-rank", "NkiTensor.ap", "pattern [[4, 128]] of an on-chip tensor")
def one_dimensional_pattern() -> None:
    fresh((128, 4)).ap([[4, 128]])


@breaks("free-rank", "nisa.memset", "dst has shape (4, 2, 2, 2, 2, 2)")
def five_free_dimensions() -> None:
    nisa.memset(fresh((4, 2, 2, 2, 2, 2)), 0.0)


@breaks("pattern-range", "nisa.memset", "dst has pattern [[80000, 128], [40000, 2]]")
def stride_of_17_bits() -> None:
    nisa.memset(fresh((128, 80000), nl.int8)[:, ::40000], 0)


@breaks("pattern-range", "nisa.memset", "dst has pattern [[70000, 128], [1, 70000]]")
def size_of_17_bits() -> None:
    nisa.memset(fresh((128, 70000), nl.int8), 0)


@breaks("index-range", "NkiTensor[...]", "slice 0:5:None in a dimension of size 4")
def slice_too_long() -> None:
    fresh((128, 4))[:, 0:5]


@breaks("index-range", "NkiTensor[...]", "index 4 in a dimension of size 4")
def index_too_large() -> None:
    fresh((128, 4))[:, 4]


@breaks("index-range", "NkiTensor[...]", "3 indices for shape (128, 4)")
def too_many_indices() -> None:
    fresh((128, 4))[:, 0, 0]


@breaks(
    "index-range",
    "NkiTensor.ap",
    "pattern [[4, 128], [1, 5]] from 0 reaches element 512 of sbuf tensor [128, 4] float32",
)
def pattern_leaves_tile() -> None:
    fresh((128, 4)).ap([[4, 128], [1, 5]])


@breaks(
    "index-range",
    "NkiTensor.ap",
    "pattern [[4, 8], [1, 5]] from 0 reaches element 32 of sbuf tensor [128, 4] float32",
)
def pattern_leaves_partition() -> None:
    fresh((128, 4)).ap([[4, 8], [1, 5]])


@breaks(
    "index-range",
    "dynamic offset",
    "index 4 (stride 8) reaches element 39 of private_hbm tensor 'x' [4, 8] float32",
    ONES,
)
def dynamic_offset_outside(x: Any) -> None:
    nisa.dma_copy(fresh((1, 8)), x.ap([[8, 1], [1, 8]], scalar_offset=index(4)))


@breaks(
    "index-range",
    "dynamic offset",
    "index 3 (stride 1) reaches element 1026 of sbuf tensor [128, 8] float32",
)
def dynamic_offset_leaves_partition() -> None:
    x = sbuf((128, 8))
    nisa.tensor_copy(
        fresh((128, 8)), x.ap([[8, 128], [1, 8]], scalar_offset=index(3), indirect_dim=1)
    )


@breaks(
    "index-range",
    "dynamic offset",
    "index -1 in a dimension of size 32 of private_hbm tensor 'x' [4, 8] float32",
    ONES,
)
def negative_dynamic_column(x: Any) -> None:
    column = x.ap([[8, 4], [1, 1]], scalar_offset=index(-1), indirect_dim=1)
    nisa.dma_copy(fresh((4, 1)), column)


@breaks(
    "index-range",
    "dynamic offset",
    "index 3 (stride 8) reaches element 39 of private_hbm tensor 'x' [4, 8] float32",
    ONES,
)
def dynamic_pattern_outside(x: Any) -> None:
    nisa.dma_copy(fresh((2, 8)), x.ap([[8, 2], [1, 8]], scalar_offset=index(3)))


@breaks("view", "NkiTensor.reshape", "(128, 4) to (64, 8) changes the partition dimension")
def reshape_partitions() -> None:
    fresh((128, 4)).reshape((64, 8))


@breaks("view", "NkiTensor.reshape", "(128, 4, 2) with strides (16, 4, 1) cannot be (128, 8)")
def reshape_with_gaps() -> None:
    fresh((128, 4, 4))[:, :, 0:2].reshape((128, 8))


@breaks("view", "NkiTensor.reshape", "(128, 4) has 512 elements, (128, 5) does not")
def reshape_to_other_size() -> None:
    fresh((128, 4)).reshape((128, 5))


@breaks("indirect", "NkiTensor.ap", "the partition of an on-chip tensor is not dynamic")
def dynamic_partition() -> None:
    fresh((128, 4)).ap([[4, 1], [1, 4]], scalar_offset=index(3))


@breaks("indirect", "NkiTensor.ap", "scalar_offset has dtype float32, not an integer type", ONES)
def float_offset(x: Any) -> None:
    x.ap([[8, 1], [1, 8]], scalar_offset=sbuf((1, 1)))


@breaks("indirect", "NkiTensor.ap", "the view already has a dynamic offset", ONES)
def two_dynamic_offsets(x: Any) -> None:
    row = x.ap([[8, 1], [1, 8]], scalar_offset=index(1))
    row.ap([[8, 1], [1, 4]], scalar_offset=index(1))


@breaks("shape", "nisa.tensor_tensor", "data1 is (64, 4), data2 is (64, 8)")
def sizes_differ() -> None:
    nisa.tensor_tensor(fresh((64, 4)), sbuf((64, 4)), sbuf((64, 8)), nl.add)


@breaks("shape", "nisa.nc_matmul", "dst (128, 64) for a 128 x 128 product")
def product_shape() -> None:
    nisa.nc_matmul(fresh((128, 64), buffer=nl.psum), sbuf((128, 128)), sbuf((128, 128)))


@breaks("shape-scalar", "nisa.tensor_scalar", "operand0 has shape (64, 2), data (64, 4)")
def operand_of_two_columns() -> None:
    nisa.tensor_scalar(fresh((64, 4)), sbuf((64, 4)), nl.add, sbuf((64, 2)))


@breaks("broadcast", "nisa.tensor_scalar", "operand0 has shape (1, 1), data (64, 4)")
def scalar_tile_over_partitions() -> None:
    nisa.tensor_scalar(fresh((64, 4)), sbuf((64, 4)), nl.add, sbuf((1, 1)))


@breaks("broadcast", "nisa.tensor_tensor", "data1 is (64, 4), data2 is (1, 4)")
def row_over_partitions() -> None:
    nisa.tensor_tensor(fresh((64, 4)), sbuf((64, 4)), sbuf((1, 4)), nl.add)


@breaks(
    "sbuf-capacity",
    "nl.ndarray",
    "sbuf tensor [128, 60000] float32 takes 240000 bytes per partition, trn2 has 212728",
)
def tile_larger_than_sbuf() -> None:
    fresh((128, 60000))


@breaks(
    "sbuf-capacity",
    "three_tiles_live",
    "240000 bytes per partition are live at instruction 3, trn2 has 212728; 3 tiles, largest "
    "80000 B: sbuf tensor [1, 20000] float32; 80000 B: sbuf tensor [1, 20000] float32; "
    "80000 B: sbuf tensor [1, 20000] float32",
)
def three_tiles_live() -> None:
    a, b, c = sbuf((1, 20000)), sbuf((1, 20000)), sbuf((1, 20000))
    for t in (a, b, c):
        nisa.tensor_copy(t, t)


@breaks(
    "psum-capacity",
    "nl.ndarray",
    "psum tensor [128, 4097] float32 takes 16388 bytes per partition, trn2 has 16384",
)
def tile_larger_than_psum() -> None:
    fresh((128, 4097), buffer=nl.psum)


@breaks(
    "psum-capacity",
    "nine_banks_live",
    "18432 bytes per partition are live at instruction 9, trn2 has 16384; 9 tiles, largest "
    + "; ".join(["2048 B: psum tensor [1, 8] float32"] * 6),
)
def nine_banks_live() -> None:
    tiles = [psum((1, 8)) for _ in range(9)]
    for t in tiles:
        nisa.tensor_copy(fresh((1, 8)), t)


@breaks(
    "psum-bank",
    "nisa.nc_matmul",
    "dst covers bytes 1024..3071 of its partition, banks are 2048 bytes",
)
def product_over_two_banks() -> None:
    out = fresh((128, 1024), buffer=nl.psum)
    nisa.nc_matmul(out[:, 256:768], sbuf((128, 128)), sbuf((128, 512)))


@breaks(
    "engine-memory",
    "nisa.tensor_copy",
    "src is private_hbm tensor 'x' [4, 8] float32",
    ONES,
)
def engine_reads_hbm(x: Any) -> None:
    nisa.tensor_copy(fresh((4, 8)), x)


@breaks(
    "engine-memory",
    "nisa.nc_matmul",
    "dst is sbuf tensor [128, 128] float32, TensorE writes PSUM",
)
def product_into_sbuf() -> None:
    nisa.nc_matmul(fresh((128, 128)), sbuf((128, 128)), sbuf((128, 128)))


@breaks(
    "engine-memory",
    "nisa.nc_matmul",
    "moving is psum tensor [128, 512] float32, TensorE reads SBUF",
)
def product_from_psum() -> None:
    out = fresh((128, 512), buffer=nl.psum)
    nisa.nc_matmul(out, sbuf((128, 128)), product())


@breaks("engine-memory", "nisa.tensor_scalar", "GpSimdE with psum tensor [128, 512] float32")
def rsqrt_of_psum() -> None:
    nisa.tensor_scalar(fresh((128, 512)), product(), nl.rsqrt, 0.0)


@breaks(
    "both-psum",
    "nisa.tensor_tensor",
    "psum tensor [128, 512] float32, psum tensor [128, 512] float32",
)
def sum_of_two_psum_tiles() -> None:
    nisa.tensor_tensor(fresh((128, 512)), product(), product(), nl.add)


@breaks("dma-psum", "nisa.dma_copy", "src is psum tensor [128, 512] float32; use tensor_copy first")
def dma_from_psum() -> None:
    nisa.dma_copy(fresh((128, 512), buffer=nl.shared_hbm), product())


@breaks(
    "dma-psum", "nisa.dma_copy", "dst is psum tensor [4, 8] float32; use tensor_copy first", ONES
)
def dma_into_psum(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8), buffer=nl.psum), x)


@breaks(
    "read-before-write",
    "nisa.tensor_copy",
    "sbuf tensor 'lonely' [4, 8] float32 is read, nothing wrote it",
)
def read_fresh_tile() -> None:
    nisa.tensor_copy(fresh((4, 8)), nl.ndarray((4, 8), nl.float32, name="lonely"))


@breaks(
    "read-before-write",
    "return_unwritten",
    "returns shared_hbm tensor [4, 8] float32, never written",
)
def return_unwritten() -> Any:
    return fresh((4, 8), buffer=nl.shared_hbm)


@breaks(
    "read-before-write",
    "nisa.dma_copy",
    "offset sbuf tensor [1, 1] int32 was never written",
    ONES,
)
def unwritten_offset(x: Any) -> None:
    row = x.ap([[8, 1], [1, 8]], scalar_offset=fresh((1, 1), nl.int32))
    nisa.dma_copy(fresh((1, 8)), row)


@breaks("output-shared-hbm", "return_private", "returns private_hbm tensor [4, 8] float32", ONES)
def return_private(x: Any) -> Any:
    out = fresh((4, 8), buffer=nl.hbm)
    nisa.dma_copy(out, x)
    return out


@breaks("write-once", "nisa.tensor_copy", "dst has pattern [[8, 4], [0, 3], [1, 8]]")
def write_a_row_three_times() -> None:
    nisa.tensor_copy(fresh((4, 8)).ap([[8, 4], [0, 3], [1, 8]]), sbuf((4, 3, 8)))


@breaks(
    "overlap", "nisa.tensor_copy", "a source has some elements of dst sbuf tensor [4, 8] float32"
)
def shift_in_place() -> None:
    x = sbuf((4, 8))
    nisa.tensor_copy(x[:, 1:8], x[:, 0:7])


@breaks(
    "overlap", "nisa.tensor_reduce", "a source has some elements of dst sbuf tensor [4, 8] float32"
)
def sum_into_its_source() -> None:
    x = sbuf((4, 8))
    nisa.tensor_reduce(x[:, 3:4], nl.add, x, 1)


@obeys("overlap", np.tile(np.array([1, 2], F32), (4, 4)))
def even_columns_into_odd_ones() -> Any:
    x = sbuf((4, 8))
    nisa.tensor_tensor(x[:, 1:8:2], x[:, 0:8:2], x[:, 1:8:2], nl.add)
    return stored(x)


@breaks("output-shared-hbm", "return_tile", "returns sbuf tensor [4, 8] float32")
def return_tile() -> Any:
    return sbuf((4, 8))


@breaks("output-shared-hbm", "return_number", "returns a int")
def return_number() -> Any:
    return 3


@breaks("buffer", "nl.ndarray", "buffer is 'sbuf'")
def buffer_by_name() -> None:
    nl.ndarray((4, 8), nl.float32, buffer="sbuf")
