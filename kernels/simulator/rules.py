"""The rules that the simulator enforces, and the document behind each.

A rule has a name that errors and tests use, one sentence, and its source. Documents are named as
in AWS's public Neuron SDK documentation (folder ``nki/``), SDK 2.29 to 2.32. "observed" marks what
users saw on hardware and AWS does not document.

There are two sets of rules. *observed* has all rules. *documented* leaves out those whose only
source is such a report. The default is *observed*: a kernel that is refused without need can be run
with the other set, but a kernel that only the compiler refuses is found late, on a machine with a
device. The rules of "this package" are in both sets: they refuse what has no documented result, or
what the simulator does not compute.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from dfmp2.errors import InputError

__all__ = ["RULES", "RULE_SETS", "Rule", "current_rule_set", "from_environment"]

RULE_SETS = ("observed", "documented")


@dataclass(frozen=True)
class Rule:
    """One rule: its sentence and its source; `reported` if that is no document, only a report."""

    statement: str
    source: str
    reported: bool = field(default=False, kw_only=True)

    def is_in(self, rule_set: str) -> bool:
        """Return whether the rule belongs to a set of `RULE_SETS`."""
        return rule_set == "observed" or not self.reported


def from_environment(variable: str, names: tuple[str, ...]) -> str:
    """Read one of `names` from an environment variable; the first if it is unset.

    Raises
    ------
    InputError
        Another value.
    """
    name = os.environ.get(variable) or names[0]
    if name not in names:
        raise InputError(f"{variable} is {name!r}, not {' or '.join(names)}")
    return name


def current_rule_set() -> str:
    """Read the set of rules as `from_environment` does, from DFMP2_SIMULATOR_RULES."""
    return from_environment("DFMP2_SIMULATOR_RULES", RULE_SETS)


_ARCH2 = "Trainium/Inferentia2 architecture guide (NeuronCore-v2)"
_ISA = "nki.isa API reference"
_LANG = "nki.language API reference"
_GUIDE = "NKI Language Guide"
_APS = "NKI Access Patterns"
_NOTES3 = "NKI 0.3.0 release notes and migration guide"
_SHARED = "NKI ISA API Common Fields"
_LOOPS = "NKI dynamic loops guide"
_TRN1 = "observed by a third party on trn1 with NKI 0.6 (foxl-ai/kiln, October 2026)"

RULES: dict[str, Rule] = {
    # Shapes and placement
    "partitions": Rule("a tile spans 1 to 128 partitions", f"{_ARCH2}; nl.tile_size.pmax"),
    "start-partition": Rule(
        "a tile of more than 64 partitions starts at partition 0, of 33-64 at 0 or 64, of at "
        "most 32 at 0, 32, 64 or 96",
        _ARCH2,
    ),
    "partition-stride": Rule(
        "an on-chip access steps through consecutive partitions", f"{_APS}; {_ARCH2}"
    ),
    "tile-rank": Rule("SBUF and PSUM tensors have at least two dimensions", _GUIDE),
    "free-rank": Rule("an access pattern has at most four free dimensions", _APS),
    "pattern-range": Rule(
        "a free dimension on chip has at most 65535 elements and a stride of at most 32767",
        _ARCH2,
    ),
    "index-range": Rule("an index or pattern stays inside its tensor", f"{_LANG}, NkiTensor"),
    "view": Rule(
        "a view is a strided pattern over its storage and keeps the partition dimension first",
        f"{_LANG}, NkiTensor; {_APS}",
    ),
    "indirect": Rule(
        "a view has one dynamic offset: a (1, 1) integer SBUF tile that counts along a dense "
        "dimension",
        f"{_LANG}, NkiTensor.ap; {_ISA}, dma_copy",
    ),
    "dynamic-operand": Rule(
        "on NeuronCore-v2 only DMA has run-time offsets, an operand of an engine has none",
        f"{_TRN1}: NCC_IBIR829, NCC_IBIR040",
        reported=True,
    ),
    "offset-range": Rule(
        "a tensor with a run-time offset is smaller than 4 GiB: the offset has 32 bits",
        "nki.language API reference of NKI 0.7, NkiTensor.ap",
    ),
    "shape": Rule("operands agree in partitions and in elements per partition", _ISA),
    "shape-scalar": Rule(
        "a per-partition operand is a (P, 1) tile of the partitions of its data",
        f"{_ISA}, tensor_scalar, activation",
    ),
    "broadcast": Rule(
        "nothing on chip broadcasts over partitions implicitly",
        f"{_ARCH2}; observed: accepted by AWS's simulator, refused by the compiler's verifier",
    ),
    # Memories
    "sbuf-capacity": Rule(
        "the tiles live at one time fit into the SBUF of a partition", "architecture guides"
    ),
    "psum-capacity": Rule(
        "the tiles live at one time fit into the 8 PSUM banks of 2 KiB per partition",
        "architecture guides",
    ),
    "psum-bank": Rule(
        "on NeuronCore-v2 and -v3 a matrix product stays within one PSUM bank (512 float32)",
        f"{_ISA}, nc_matmul",
    ),
    "engine-memory": Rule(
        "TensorE reads SBUF and writes PSUM; VectorE and ScalarE access both; GpSimdE accesses "
        "SBUF only; no compute engine accesses HBM",
        f"{_ARCH2}; {_ISA}",
    ),
    "both-psum": Rule("two tensor inputs of one instruction are not both in PSUM", _ISA),
    "write-once": Rule(
        "a destination has each element once: the order of overlapping writes is not documented",
        "this package",
    ),
    "overlap": Rule(
        "a destination is exactly a source, or has no element of it: the order in which one "
        "instruction reads and writes is not documented",
        "this package",
    ),
    "dma-psum": Rule("DMA neither reads nor writes PSUM", _NOTES3),
    "read-before-write": Rule(
        "memory is read only after it was written: fresh memory holds anything",
        f"{_GUIDE}, Creating Tensors; NKI CPU Simulator",
    ),
    "output-shared-hbm": Rule("a kernel returns tensors in nl.shared_hbm", _NOTES3),
    "buffer": Rule("a buffer is nl.sbuf, nl.psum, nl.hbm or nl.shared_hbm, no string", _NOTES3),
    # Types
    "dtype": Rule("NKI has no 64-bit types; a dtype is one of nki.language's", _SHARED),
    "dtype-matmul": Rule(
        "if one operand of a matrix product is float32 or tfloat32 the other is, too; the "
        "result is float32 (NeuronCore-v4: or bfloat16)",
        f"{_ISA}, nc_matmul",
    ),
    "dtype-transpose": Rule("a transpose keeps the dtype", f"{_ISA}, nc_transpose"),
    "dtype-scalar": Rule(
        "per-partition operands of arithmetic operators and the scale of an activation are float32",
        f"{_ISA}, tensor_scalar, activation",
    ),
    "memset-value": Rule("memset's value is one of dst's dtype", _NOTES3),
    # Engines
    "engine": Rule("the instruction runs on the engine that is named", _ISA),
    "matmul-tile": Rule(
        "contraction <= 128 and equal, stationary <= 128 columns, moving <= 512 columns "
        "(NeuronCore-v4: 4096)",
        f"{_ISA}, nc_matmul",
    ),
    "transpose-tile": Rule(
        "TensorE transposes up to 128 x 128, VectorE up to 32 x 32", f"{_ISA}, nc_transpose"
    ),
    "transpose-identity": Rule(
        "in transpose mode the moving tile is the identity of the partitions of the stationary one",
        f"{_ISA}, nc_transpose; Trainium2 architecture guide, Built-in Transpose Support",
    ),
    "accumulate": Rule(
        "a matrix product accumulates only onto PSUM that a matrix product has begun",
        f"{_ISA}, nc_matmul",
    ),
    "alu-op": Rule("the operator is one that the engine has", f"{_SHARED}, math operators"),
    "reduce-op": Rule("the operator is a legal reduction", f"{_SHARED}, math operators"),
    "reduce-axis": Rule(
        "a reduction runs over the last free axes and never over partitions",
        f"{_ISA}, tensor_reduce",
    ),
    "activation-shape": Rule(
        "data and destination of an activation have equal shapes; others are not documented",
        f"{_ISA}, activation",
    ),
    "activation-op": Rule("the function is one of ScalarE's", f"{_SHARED}, activation functions"),
    "dma-size": Rule("source and destination have equally many elements", f"{_ISA}, dma_copy"),
    # Loops of the device
    "loop-psum": Rule(
        "PSUM that a loop body writes is allocated in that body",
        f"{_LOOPS}; {_TRN1}: NCC_IBIR092 for products of TensorE",
    ),
    "loop-scope": Rule("a tensor made in a loop body is not visible outside", _LOOPS),
    "loop-nested": Rule(
        "a loop body contains no loop", f"{_TRN1}: nested loops do not compile", reported=True
    ),
    "loop-input": Rule(
        "a loop body reads an argument of the kernel at a run-time offset",
        f"{_TRN1}: NCC_ISQI001",
        reported=True,
    ),
    "loop-register": Rule(
        "the counter of a loop is an offset: no Python condition or arithmetic on it", _LOOPS
    ),
    # Program
    "keyword-enum": Rule("options are members of their enum, no bare integers", _NOTES3),
    "tensor-value": Rule(
        "a tensor has no value while a kernel is built: no Python condition on it",
        _GUIDE,
    ),
    "argument": Rule(
        "a kernel takes arrays, numbers, strings and tuples; sizes and positions are integers",
        _NOTES3,
    ),
    "outside-kernel": Rule(
        "NKI calls happen inside a kernel that nki.simulate runs", "NKI CPU Simulator"
    ),
    "not-modelled": Rule(
        "this simulator models the subset that its documentation lists and refuses the rest",
        "this package",
    ),
}
