"""Where random bytes come from: a port, so that known-answer vectors can be written once.

Every data key, message id and nonce that is ever written comes through here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol


class Entropy(Protocol):
    """Gives bytes nobody can guess."""

    def random(self, size: int) -> bytes:
        """Return `size` fresh random bytes."""
        ...


@dataclass(frozen=True, slots=True)
class SystemEntropy:
    """The operating system's generator."""

    def random(self, size: int) -> bytes:
        return os.urandom(size)
