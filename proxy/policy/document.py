"""A policy as the engine holds it: compiled, immutable, each part knowing where it was written.

Made by `proxy.policy.parse`. Nothing here decides; see `proxy.policy.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from proxy.diagnostics import Span
from proxy.policy.arns import arn_matcher, literal_head
from proxy.policy.conditions import Condition, Test
from proxy.policy.names import ACTIONS, expand_action
from proxy.policy.patterns import Pattern, Wildcard, compile_text, compile_tokens, overlap
from proxy.policy.principals import Principals
from proxy.policy.variables import Context, Template
from proxy.yamldoc import DocPath, Document

Kind: TypeAlias = Literal["bucket", "identity", "key"]
"""Whose policy it is: a bucket's, an identity's, or a KMS key's."""
Mode: TypeAlias = Literal["enforce", "report"]

VARIABLES_VERSION = "2012-10-17"


@dataclass(frozen=True, slots=True)
class Actions:
    """A compiled Action or NotAction element."""

    written: tuple[str, ...]
    negated: bool
    names: frozenset[str]
    """The lower-case known actions that the element covers, negation already applied."""
    patterns: tuple[Pattern, ...] = field(repr=False)

    def matches(self, action: str) -> bool:
        """Tell whether the element covers `action`, given in lower case."""
        if action in ACTIONS:
            return action in self.names
        return any(pattern.matches(action) for pattern in self.patterns) is not self.negated


def compile_actions(written: Sequence[str], *, negated: bool) -> Actions:
    """Compile action patterns; those of other services match no known action."""
    names = frozenset().union(*(expand_action(text) for text in written))
    patterns = tuple(compile_text(text.lower()) for text in written)
    return Actions(tuple(written), negated, frozenset(ACTIONS) - names if negated else names, patterns)


@dataclass(frozen=True, slots=True)
class Resource:
    """One compiled ARN of a Resource or NotResource element."""

    template: Template
    prefix: str
    """Every matching resource starts with it; for the index."""
    test: Test = field(repr=False, compare=False)
    """`test(resource, context)`: does this ARN match?"""
    whole: bool
    """Whether starting with `prefix` is all there is to match."""

    def may_concern(self, bucket: str) -> bool:
        """Tell whether the ARN can match the bucket or an object in it, whatever the request's values."""
        arn = f"{self._head()}{bucket}"
        if self.prefix == arn or self.prefix.startswith(f"{arn}/"):
            return True
        # Only an ARN with a wildcard before the end of the bucket's name needs a closer look.
        tokens = self.template.widest
        return arn.startswith(self.prefix) and any(overlap(tokens, t) for t in ((arn,), (f"{arn}/", Wildcard.RUN)))

    def _head(self) -> str:
        # The partition is the ARN's own: which buckets a policy is about does not depend on it.
        parts = self.template.source.split(":", 2)
        return f"arn:{parts[1]}:s3:::" if len(parts) > 1 and "*" not in parts[1] else "arn:aws:s3:::"


def compile_resource(template: Template) -> Resource:
    """Compile one ARN pattern, or `*`."""
    tokens = template.tokens
    if tokens == (Wildcard.RUN,):
        return Resource(template, "", lambda resource, context: True, True)
    if tokens is not None:
        pattern = compile_tokens(tokens)
        whole = pattern.is_prefix and literal_head(pattern.tokens)
        return Resource(template, pattern.prefix, _constant(arn_matcher(pattern.tokens)), whole)

    def test(resource: str, context: Context) -> bool:
        bound = template.bind(context)
        return bound is not None and arn_matcher(bound)(resource)

    return Resource(template, compile_tokens(template.widest).prefix, test, False)


def _constant(matches: Callable[[str], bool]) -> Test:
    return lambda resource, context: matches(resource)


@dataclass(frozen=True, slots=True)
class Resources:
    """A compiled Resource or NotResource element."""

    items: tuple[Resource, ...]
    negated: bool

    def matches(self, resource: str, context: Context) -> bool:
        """Tell whether the element covers `resource`, an ARN with its key decoded, or `*`."""
        return any(item.test(resource, context) for item in self.items) is not self.negated


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; decisions name it as their reason."""

    policy: str
    """The file it stands in."""
    kind: Kind
    index: int
    """Its place in the document, counted from 0."""
    sid: str
    effect: Literal["Allow", "Deny"]
    principals: Principals | None = field(repr=False)
    """None in an identity policy: it applies to whoever it is attached to."""
    actions: Actions = field(repr=False)
    resources: Resources = field(repr=False)
    conditions: tuple[Condition, ...] = field(repr=False)
    span: Span
    path: DocPath = field(repr=False)

    @property
    def reads(self) -> frozenset[str]:
        """The lower-case condition keys it looks at, in conditions and variables."""
        keys = frozenset().union(*(condition.reads for condition in self.conditions))
        return keys | {v.key for item in self.resources.items for v in item.template.variables}

    def __str__(self) -> str:
        name = f"`{self.sid}`" if self.sid else f"statement {self.index + 1}"
        return f"{name} ({self.span})"


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One policy document with its wrapper, if it has one."""

    file: str
    kind: Kind
    mode: Mode
    bucket: Pattern | None
    """Which buckets' policy the wrapper says this is; None: those its resources name."""
    description: str
    version: str
    id: str
    statements: tuple[Statement, ...] = field(repr=False)
    document: Document = field(repr=False, compare=False)
    """The source, for findings with positions."""
    root: DocPath = field(repr=False)
    """Where in `document` the AWS document starts."""
    revision: str
    """SHA-256 of the source text."""

    def concerns(self, bucket: str) -> bool:
        """Tell whether this bucket policy is about `bucket`."""
        if self.bucket is not None:
            return self.bucket.matches(bucket)
        return any(item.may_concern(bucket) for statement in self.statements for item in statement.resources.items)
