"""What a command is: a name, its arguments, and a function that returns an exit code."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the command table. A name with a space, `policy lint`, is a command of a group."""

    name: str
    help: str
    """One line for the overview, lower-case, without a full stop."""
    configure: Callable[[argparse.ArgumentParser], None]
    """Adds the command's arguments."""
    run: Callable[[argparse.Namespace], int]
    """Does the work and returns an exit code; may raise `ConfigError`."""
    description: str = ""
    """What `--help` says above the arguments, in whole sentences."""
