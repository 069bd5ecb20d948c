"""The real proxy, several processes of it, in front of a store that follows a script."""

from __future__ import annotations

from tests.server.conftest import write_certificate

__all__ = ["write_certificate"]
