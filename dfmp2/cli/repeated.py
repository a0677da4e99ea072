"""Options that stand twice in a command with different values. click would take the last one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dfmp2.errors import InputError

__all__ = ["refuse_contradictions"]


def refuse_contradictions(command: click.Command, args: Sequence[str]) -> None:
    """Raise an error if an option has two values.

    Parameters
    ----------
    command : click.Command
    args : sequence of str
        Its arguments.

    Raises
    ------
    InputError
        The message names both values.
    """
    options = {
        name: option
        for option in command.params
        if isinstance(option, click.Option) and not option.multiple
        for name in (*option.opts, *option.secondary_opts)
    }
    given: dict[str, str] = {}
    rest = iter(args)
    for token in rest:
        if token == "--":
            return  # only files follow
        name, equals, value = token.partition("=")
        option = options.get(name)
        if option is None:
            continue
        if not (option.is_flag or equals):
            value = next(rest, "")
        said = f"{name} {value}".strip()
        first = given.setdefault(str(option.name), said)
        if first != said and (value or option.is_flag):
            raise InputError(f"{first} and {said} contradict each other; give one of them")
