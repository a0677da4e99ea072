"""The exceptions that the simulator raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NoReturn

from dfmp2.errors import DFMP2Error

from .rules import RULES, Rule
from .subset_rules import SUBSET_RULES

__all__ = ["SimulatorError", "SubsetError", "refuse"]


class SimulatorError(DFMP2Error):
    """A kernel broke a rule of the hardware or of the NKI API.

    Attributes
    ----------
    call : str
        The call that was refused, such as ``nisa.nc_matmul``.
    rule : str
        The rule's name, a key of `dfmp2.kernels.simulator.rules.RULES`.
    source : str
        The document that the rule comes from.
    detail : str
        What happened, with the offending values.
    """

    rules: ClassVar[Mapping[str, Rule]] = RULES

    def __init__(self, call: str, rule: str, detail: str) -> None:
        super().__init__(call, rule, detail)
        self.call = call
        self.rule = rule
        self.detail = detail
        self.statement = self.rules[rule].statement
        self.source = self.rules[rule].source

    def __str__(self) -> str:
        return f"{self.call}: {self.detail} (rule {self.rule}: {self.statement}; {self.source})"


class SubsetError(SimulatorError):
    """A kernel uses Python that the NKI compiler rejects.

    `call` names the function and the line, `rule` is a key of
    `dfmp2.kernels.simulator.subset_rules.SUBSET_RULES`.
    """

    rules = SUBSET_RULES


def refuse(call: str, rule: str, detail: str) -> NoReturn:
    """Raise the error for `rule`."""
    raise SimulatorError(call, rule, detail)
