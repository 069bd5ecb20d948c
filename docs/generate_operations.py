"""Write docs/reference/operations.md from the operations table: `python docs/generate_operations.py`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from proxy.s3.operation import COMMON_HEADERS, ExtraAction, Operation
from proxy.s3.operations import OPERATIONS

PAGE = Path(__file__).parent / "reference" / "operations.md"

_PATHS = {"service": "/", "bucket": "/BUCKET", "object": "/BUCKET/KEY"}
_INTRODUCTION = """\
# Operations

<!-- Made by docs/generate_operations.py from the operations table; do not edit. -->

What s3warden recognises, and the IAM actions that a policy has to allow for it. A request that is none of
these is refused: an unknown query parameter or `x-amz-*` header with `501 NotImplemented`, one that belongs to
another operation, or is sent twice, with `400 InvalidArgument`, two sub-resources at once too.

Every operation also takes the parameters of a presigned URL, `x-id`, `x-amz-meta-*`, `x-amz-checksum-*` and
these headers: {common}.

"""


def render() -> str:
    """Return the whole page."""
    rows = sorted(OPERATIONS.values(), key=lambda row: row.name)
    forwarded = [row for row in rows if row.support == "forward"]
    parts = [
        _INTRODUCTION.format(common=_codes(sorted(COMMON_HEADERS))),
        "## Forwarded\n\n| Operation | Request | Query | Actions | Also needs |\n|---|---|---|---|---|\n",
        *(_line(row.name, _request(row), _query(row), _actions(row), _extras(row)) for row in forwarded),
        "\n## Headers\n\nBesides those that every operation takes.\n\n| Operation | Headers |\n|---|---|\n",
        *(_line(row.name, _codes(taken)) for row in forwarded if (taken := sorted(_own_headers(row)))),
        "\n## Refused\n\nWith `501 NotImplemented`: they belong to directory buckets or Object Lambda.\n\n",
        *(f"* {row.name}: `{_plain_request(row)}`\n" for row in rows if row.support == "refuse"),
    ]
    return "".join(parts)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _plain_request(row: Operation) -> str:
    pairs = [row.subresource] if row.subresource else []
    pairs += [f"{name}={value}" for name, value in row.fixed_query]
    pairs += [f"{name}=" for name in row.required_query]
    path = "/WriteGetObjectResponse" if row.name == "WriteGetObjectResponse" else _PATHS[row.scope]
    return f"{row.method} {path}{'?' if pairs else ''}{'&'.join(pairs)}"


def _request(row: Operation) -> str:
    text = f"`{_plain_request(row)}`"
    if row.required_headers:
        text += f" with {_codes(row.required_headers)}"
    if row.body == "form":
        text += " with `multipart/form-data`"
    return f"{text}; read as {row.alias_of}" if row.alias_of else text


def _query(row: Operation) -> str:
    return _codes(row.optional_query)


def _actions(row: Operation) -> str:
    text = _codes(row.actions) or "none"
    if row.versioned_actions:
        text += f"; for a version {_codes(row.versioned_actions)}"
    return text


def _extras(row: Operation) -> str:
    parts = [_extra(extra) for extra in row.extra_actions]
    if row.copies:
        source = f"{_codes(row.source_actions)} on the source, for a version {_codes(row.versioned_source_actions)}"
        parts.insert(0, source)
    return "; ".join(parts)


def _extra(extra: ExtraAction) -> str:
    if extra.element:
        return f"`{extra.action}` with `<{extra.element}>` in the body"
    grants = [name for name in extra.headers if name.startswith("x-amz-grant-")]
    names = [name for name in extra.headers if name not in grants] + (["x-amz-grant-*"] if grants else [])
    return f"`{extra.action}` with {_codes(names)}"


def _own_headers(row: Operation) -> frozenset[str]:
    return row.headers - COMMON_HEADERS - set(row.required_headers)


if __name__ == "__main__":
    PAGE.write_text(render())
