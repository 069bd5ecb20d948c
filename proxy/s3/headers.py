"""Header fields as they arrived: bytes, order, case and duplicates kept, with quick look-up.

Signatures are verified over the received bytes, so nothing here normalises. Values are offered as
latin-1 text, which round-trips every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping

from proxy.errors import S3Error

_CUSTOMER_KEY = ("x-amz-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key")
SECRET_VALUES = frozenset((*_CUSTOMER_KEY, *(f"{name}-md5" for name in _CUSTOMER_KEY)))
"""Fields whose values no error, log or policy condition may show: keys of clients (SSE-C), and their digests."""
NOT_SHOWN = "(not shown)"


class NameTable(dict[bytes, str]):
    """Remembers what a function makes of field names as sent.

    The same few dozen names come with every request; what strangers send is remembered up to a bound.
    """

    LIMIT = 2048

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, raw: bytes) -> str:
        made = self._make(raw.decode("latin-1"))
        if len(self) < self.LIMIT and len(raw) <= 64:
            self[raw] = made
        return made


_FOLDED = NameTable(str.lower)


class Headers:
    """An immutable list of header fields with case-insensitive look-up.

    `raw` is what was on the wire. `index` has each lower-case name with its value, with a list of its values if there
    are several. Names given to the methods must be lower-case.
    """

    __slots__ = ("index", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw: tuple[tuple[bytes, bytes], ...] = tuple(raw)
        folded = _FOLDED
        index: dict[str, str | list[str]] = {folded[name]: str(value, "latin-1") for name, value in self.raw}
        self.index: Mapping[str, str | list[str]] = index if len(index) == len(self.raw) else self._gather()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Headers:
        """Make headers from text pairs (latin-1), for requests built by ourselves and for tests."""
        return cls((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)

    def get(self, name: str) -> str | None:
        """Return the only value of `name`, or None; a field sent twice is refused.

        Raises `S3Error` InvalidArgument: with two values, the policy and the store could each read
        another one.
        """
        value = self.index.get(name)
        if isinstance(value, list):
            raise S3Error(
                "InvalidArgument",
                f"The header {name} must be sent only once.",
                {"ArgumentName": name, "ArgumentValue": shown(name, ", ".join(value))},
            )
        return value

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return all values of `name` in the order they arrived."""
        value = self.index.get(name)
        if value is None:
            return ()
        return tuple(value) if isinstance(value, list) else (value,)

    def joined(self, name: str) -> str | None:
        """Return all values of `name` joined with `,`, as RFC 9110 5.3 allows for list fields."""
        value = self.index.get(name)
        return ",".join(value) if isinstance(value, list) else value

    def names(self) -> KeysView[str]:
        """Return the lower-case names present, each once."""
        return self.index.keys()

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield (lower-case name, value) in the order they arrived, duplicates included."""
        for name, value in self.raw:
            yield _FOLDED[name], str(value, "latin-1")

    def __len__(self) -> int:
        return len(self.raw)

    def _gather(self) -> dict[str, str | list[str]]:
        index: dict[str, str | list[str]] = {}
        for name, value in self:
            seen = index.get(name)
            if seen is None:
                index[name] = value
            elif isinstance(seen, list):
                seen.append(value)
            else:
                index[name] = [seen, value]
        return index

    def __repr__(self) -> str:
        # Values may be secrets (SSE-C keys, tokens, signatures): show names only.
        return f"Headers({', '.join(self.index)})"


def shown(name: str, value: str) -> str:
    """Return a value as an error may show it; `name` is lower-case."""
    return NOT_SHOWN if name in SECRET_VALUES else value
