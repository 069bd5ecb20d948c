"""What a command is: a name, its arguments, and a function that returns an exit code.

The table of commands lists them by name and help alone. The module of one is imported when somebody calls
it, so that no command waits for what another one needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True, slots=True)
class Command:
    """What a command's module offers. A name with a space, `policy lint`, is a command of a group."""

    name: str
    help: str
    """One line for the overview, lower-case, without a full stop."""
    configure: Callable[[argparse.ArgumentParser], None]
    """Adds the command's arguments."""
    run: Callable[[argparse.Namespace], int]
    """Does the work and returns an exit code; may raise `ConfigError`."""
    description: str = ""
    """What `--help` says above the arguments, in whole sentences."""

    def load(self) -> Command:
        """Return the command itself."""
        return self


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the command table: `policy lint` is the `COMMAND` of `proxy.cli.policy_lint`."""

    name: str
    help: str
    """As the command's own."""

    def load(self) -> Command:
        """Import the command's module."""
        command = import_module(f"proxy.cli.{self.name.replace(' ', '_')}").COMMAND
        if not isinstance(command, Command):
            raise TypeError(f"`{self.name}` is no command")
        return command
