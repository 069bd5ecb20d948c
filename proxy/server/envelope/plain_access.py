"""Who may be served what the proxy did not encrypt."""

from __future__ import annotations

from proxy.errors import IntegrityError
from proxy.server.envelope.keys import Place
from proxy.server.exchange import Exchange


def admit_plain(exchange: Exchange, place: Place) -> None:
    """Raise `IntegrityError` unmarked unless the bucket serves objects that are not encrypted by this proxy."""
    if not exchange.rules.config.bucket(place.bucket).encryption.read_plaintext:
        raise IntegrityError("unmarked", "the object is not encrypted, as its bucket demands")
