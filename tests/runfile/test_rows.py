"""B in a run file: after an interruption each orbital has a complete fitted or raw row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2.errors import CheckpointError
from dfmp2.fitting.metric import Metric
from dfmp2.results.sizes import Sizes
from dfmp2.runfile import layout
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.layout import Shape
from dfmp2.runfile.rows import Rows, contiguous_rows
from tests.systems import rng

NOCC, NVIR, NAUX = 7, 3, 6

SHAPE = Shape(Sizes(nao=11, nocc=NOCC, nvir=NVIR, naux=NAUX, aux_shell=1), 11)

RAW = rng(1).normal(size=(NOCC, NAUX, NVIR))
FITTED = rng(2).normal(size=(NOCC, NVIR, NAUX))
FACTOR = Metric(np.tril(rng(3).normal(size=(NAUX, NAUX))), "cholesky")


class Ended(Exception):
    """Raised where a process is interrupted."""


@pytest.fixture(params=[2, 3, NOCC], ids=lambda spare: f"spare{spare}")
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file with a given number of spare rows, and one session in its journal."""
    monkeypatch.setattr(layout, "SOLVED_AT_ONCE", NVIR * request.param)
    with RunFile.create(str(tmp_path / "x.dfmp2.h5"), SHAPE, {"fields": {}}) as file:
        file.state["sessions"] = [{"id": 1, "rejected": False}]
        file.state["b"] = {"aux": "plain", "precision": "fp64"}
        file.save()
        assert Rows(file).spare == request.param
        return file.path


def do_all(file: RunFile) -> Iterator[None]:
    """Do the missing steps of B out of core, one per iteration."""
    rows = Rows(file)
    first = rows.fitted()
    if first < NOCC:
        there = rows.raw()
        for p0 in range(0, NAUX, 2):
            if not there[p0 : p0 + 2].all():
                rows.put_raw(first, p0, RAW[first:, p0 : p0 + 2], 1)
                yield
        if rows.metric() is None:
            rows.put_metric(FACTOR)
            yield
        for i in range(first, NOCC, rows.spare):
            stop = min(i + rows.spare, NOCC)
            for k in range(i, stop):
                assert np.array_equal(rows.get_raw(k), RAW[k])
            rows.put_fitted(i, FITTED[i:stop], 1)
            yield


def end_at(number: int, cut: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Raise `Ended` in the n-th write from now, after a part of its bytes."""
    write, done = RunFile.write, []

    def count(self: RunFile, name: str, values: Any, where: Any = ()) -> None:
        done.append(name)
        if len(done) == number:
            old = self.read(name, where)
            new = np.broadcast_to(np.asarray(values, dtype=old.dtype), old.shape)
            length = round(cut * new.nbytes)
            mixed = new.tobytes()[:length] + old.tobytes()[length:]
            write(self, name, np.frombuffer(mixed, dtype=old.dtype).reshape(old.shape), where)
            raise Ended
        write(self, name, values, where)

    monkeypatch.setattr(RunFile, "write", count)
    return done


def whole(rows: Rows) -> int:
    """The number of fitted rows. Check their values, and the raw rows of all later orbitals."""
    fitted, there = rows.fitted(), rows.raw()
    memory = np.empty((fitted, NVIR, NAUX))
    rows.get_fitted(0, memory)
    assert np.array_equal(memory, FITTED[:fitted])
    if fitted < NOCC:
        for i in range(fitted, NOCC):
            assert np.array_equal(rows.get_raw(i, np.flatnonzero(there)), RAW[i][there])
    return fitted


@pytest.mark.parametrize("cut", [0.0, 0.4, 1.0])
def test_interrupted_at_every_write(cut: float, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most the interrupted step is lost, and no value is wrong."""
    empty = Path(path).read_bytes()
    number = 0
    while True:
        number += 1
        Path(path).write_bytes(empty)
        with pytest.MonkeyPatch.context() as patch, RunFile(path) as file:
            names = end_at(number, cut, patch)
            try:
                for _ in do_all(file):
                    pass
            except Ended:
                pass
            else:
                break
        with RunFile(path) as file:
            rows = Rows(file)
            fitted = whole(rows)
            assert fitted >= (names.count("b/row_session") - 1) * min(rows.spare, NOCC)
            if fitted < NOCC:
                # a function is valid once its session is written, until all rows are fitted
                panels = names.count("b/raw_session") - (names[-1] == "b/raw_session")
                assert rows.raw().sum() >= 2 * panels
            for _ in do_all(file):
                pass
        with RunFile(path) as file:
            assert whole(Rows(file)) == NOCC
    assert number > 10


def test_a_damaged_row_is_computed_again(path: str) -> None:
    """The rows after it are also computed again, because their raw rows no longer exist."""
    with RunFile(path) as file:
        for _ in do_all(file):
            pass
        values = file.read("b/rows", 2)
        values[5] += 1e-13
        file.write("b/rows", values, 2)
        rows = Rows(file)
        with pytest.raises(
            CheckpointError, match=r"B of orbital 2 is damaged \(checksum\); continuing "
        ):
            rows.get_fitted(2, np.empty((1, NVIR, NAUX)))
        assert rows.fitted() == 2
        for _ in do_all(file):
            pass
        assert whole(Rows(file)) == NOCC


def test_damaged_raw_values_are_computed_again(path: str) -> None:
    """Damage of one function for one orbital: only this function is missing."""
    with RunFile(path) as file:
        rows = Rows(file)
        rows.put_raw(0, 0, RAW, 1)
        values = file.read("b/rows", 4 + rows.spare)
        values[3 * NVIR] += 1e-13
        file.write("b/rows", values, 4 + rows.spare)
        assert rows.raw().tolist() == [True] * 3 + [False] + [True] * 2
        with pytest.raises(CheckpointError, match=r"\(P\|ia\) of orbital 4 is damaged"):
            rows.get_raw(4)
        assert np.array_equal(rows.get_raw(3), RAW[3])


def test_a_damaged_metric_invalidates_fitted_rows(path: str) -> None:
    """Otherwise B could contain rows fitted with two different factors of the metric."""
    with RunFile(path) as file:
        for _ in do_all(file):
            pass
        factor = file.read("metric/factor")
        factor[NAUX - 1, 0] += 1e-13
        file.write("metric/factor", factor)
        rows = Rows(file)
        assert rows.metric() is None
        assert rows.fitted() == 0
        for _ in do_all(file):
            pass
        assert whole(Rows(file)) == NOCC


def test_rows_of_an_unknown_session_are_ignored(path: str) -> None:
    """The journal no longer states their auxiliary basis, plain or orthonormal."""
    with RunFile(path) as file:
        for _ in do_all(file):
            pass
        file.state["sessions"] = []
        rows = Rows(file)
        assert rows.fitted() == 0
        assert not rows.raw().any()
        assert rows.sessions() == set()


def test_factor_of_eigenvectors(path: str) -> None:
    eigen = Metric(rng(4).normal(size=(NAUX, NAUX)), "eigen", 2)
    with RunFile(path) as file:
        Rows(file).put_metric(eigen)
    with RunFile(path) as file:
        found = Rows(file).metric()
        assert found is not None
        assert (found.kind, found.dropped) == ("eigen", 2)
        assert np.array_equal(found.factor, eigen.factor)


def test_rows_of_a_tensor_are_contiguous() -> None:
    b = FITTED.swapaxes(1, 2)
    assert contiguous_rows(b).flags.c_contiguous
    assert contiguous_rows(b).base is not None, "no copy where [i,a,P] lies so already"
    assert np.array_equal(contiguous_rows(np.ascontiguousarray(b)), FITTED)
