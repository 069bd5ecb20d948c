"""Entity tags as they travel: quoted or bare, one or a list, `*` for any.

Source: RFC 9110 sections 8.8.3 and 13.1; S3 and its clients leave the quotes out at times.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TAG = re.compile(r'(?:W/)?"[^"]*"|[^",\s]+')
_LIST = re.compile(rf"\s*(?:{_TAG.pattern})\s*(?:,\s*(?:{_TAG.pattern})\s*)*")


def unquote_etag(text: str) -> str:
    """Return the tag without quotes and without the mark of a weak one."""
    return text.strip().removeprefix("W/").removeprefix('"').removesuffix('"')


def quote_etag(tag: str) -> str:
    """Return a strong entity tag in quotes."""
    return f'"{tag}"'


def map_etags(value: str, change: Callable[[str], str]) -> str:
    """Change every tag in an If-Match or If-None-Match value, keeping quotes, weakness and order.

    `*`, and what is not a list of tags, stays as it is.
    """
    if value.strip() == "*" or not _LIST.fullmatch(value):
        return value

    def changed(found: re.Match[str]) -> str:
        text = found.group()
        tag = unquote_etag(text)
        return text.replace(tag, change(tag), 1) if tag else text

    return _TAG.sub(changed, value)
