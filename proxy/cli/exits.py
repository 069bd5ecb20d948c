"""What the exit codes mean: the same for every command and every output format."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit code of a command."""

    CLEAN = 0
    """The command did what it was asked, and the answer is good news."""
    BAD_NEWS = 1
    """The command worked and the answer is bad news: a finding, a denial, a failed expectation."""
    ERROR = 2
    """Usage, configuration, unreadable input or an internal error: there is no answer."""
    NOTHING = 3
    """Nothing was checked, which must not look like success."""
