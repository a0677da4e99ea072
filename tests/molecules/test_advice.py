"""PySCF's advice about other packages is hidden without a trace in the process."""

from __future__ import annotations

import warnings
from contextlib import ExitStack

import pytest

from dfmp2.molecules.advice import without_advice

ADVICE = "Basis may be available in basis-set-exchange. It is recommended to install it"


def test_only_the_advice_is_hidden() -> None:
    with without_advice():
        warnings.warn(ADVICE, UserWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="something else"):
            warnings.warn("something else", UserWarning, stacklevel=1)
    with pytest.raises(UserWarning, match="Basis may be"):
        warnings.warn(ADVICE, UserWarning, stacklevel=1)


@pytest.mark.parametrize("other", [without_advice, warnings.catch_warnings])
def test_blocks_may_end_in_any_order(other: type) -> None:
    """Two threads can leave their blocks in the order in which they entered them.

    With catch_warnings in both of them, the filters of the first would stay for ever.
    """
    before, hook = list(warnings.filters), warnings.showwarning
    for first, second in ((without_advice, other), (other, without_advice)):
        outer, inner = ExitStack(), ExitStack()
        outer.enter_context(first())
        inner.enter_context(second())
        outer.close()
        inner.close()
        assert list(warnings.filters) == before
        assert warnings.showwarning is hook
