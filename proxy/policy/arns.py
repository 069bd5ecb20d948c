"""ARNs: six parts, matched part by part.

A wildcard never crosses one of the first five colons; the sixth part keeps its own. So `arn:aws:s3:*:*:b/*`
cannot be met by an object key that contains `:b/`.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from proxy.policy.patterns import Token, compile_tokens

ARN_PARTS = 6


def split_arn(text: str) -> list[str] | None:
    """Split an ARN into its six parts, the last one with its colons; None when it is no ARN."""
    parts = text.split(":", ARN_PARTS - 1)
    return parts if len(parts) == ARN_PARTS and parts[0] == "arn" else None


def split_arn_tokens(tokens: tuple[Token, ...]) -> list[tuple[Token, ...]] | None:
    """Split a pattern at its first five literal colons; None when it has fewer."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        pieces = token.split(":", ARN_PARTS - len(parts))
        parts[-1].append(pieces[0])
        parts.extend([piece] for piece in pieces[1:])
    return [tuple(part) for part in parts] if len(parts) == ARN_PARTS else None


def literal_head(tokens: tuple[Token, ...]) -> bool:
    """Tell whether the first five parts are literal text, so that one pattern can match the whole."""
    return isinstance(tokens[0], str) and tokens[0].count(":") >= ARN_PARTS - 1 if tokens else False


@lru_cache(maxsize=4096)
def arn_matcher(tokens: tuple[Token, ...]) -> Callable[[str], bool]:
    """Return the test of an ARN pattern; a pattern or a text that is no ARN matches nothing."""
    if literal_head(tokens):
        return compile_tokens(tokens).matches
    split = split_arn_tokens(tokens)
    if split is None:
        return lambda text: False
    patterns = [compile_tokens(part) for part in split]

    def matches(text: str) -> bool:
        parts = split_arn(text)
        return parts is not None and all(pattern.matches(part) for pattern, part in zip(patterns, parts, strict=True))

    return matches
