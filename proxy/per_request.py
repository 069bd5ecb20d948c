"""Values that are made for every request: frozen for whoever writes code, cheap for whoever runs it.

A frozen dataclass sets each field through `object.__setattr__`, three times the time of a plain one, and a
small request makes some thirty of them: a tenth of its cost. So the type checker sees `dataclass` itself and
refuses assignments, while at run time the class is not frozen. It compares and hashes by its fields as before.
Whatever is made once, when files are loaded, is an ordinary frozen dataclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as per_request
else:
    from dataclasses import dataclass

    def per_request(*, frozen: bool, slots: bool):
        """Make a dataclass; `frozen` is for the type checker and must be true."""
        if not frozen:
            raise TypeError("what is made for a request is frozen")
        return dataclass(slots=slots, unsafe_hash=True)


__all__ = ["per_request"]
