"""The decision: Deny wins, then bucket and identity policies together, by account.

A decision carries its reasons: the statements that made it and the kind of policy they stand in.
Statements of `mode: report` never decide; what they would have changed is told beside the decision.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from proxy.per_request import per_request
from proxy.policy.document import Kind, Statement
from proxy.policy.index import NO_POLICIES, Match, PolicyGroup, StatementIndex
from proxy.policy.principals import Grade, Principal
from proxy.policy.variables import Context


class Effect(Enum):
    """The three answers."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit_deny"
    IMPLICIT_DENY = "implicit_deny"


@per_request(frozen=True, slots=True)
class AccessRequest:
    """One question: may `principal` do `action` on `resource`?"""

    principal: Principal
    action: str
    """`s3:PutObject`; the case does not matter."""
    resource: str
    """The ARN with its key decoded once and not normalised, or `*`."""
    resource_account: str | None
    """The account that owns the bucket (or key)."""
    context: Context
    """Lower-case condition key -> value, or a tuple of values; absent keys are not in it."""

    @property
    def same_account(self) -> bool:
        """Whether the caller belongs to the account that owns the resource."""
        account = self.principal.account
        return account is not None and account == self.resource_account


@per_request(frozen=True, slots=True)
class Decision:
    """The answer and its reasons."""

    effect: Effect
    policy_kind: Kind
    """Whose policy decided; for an implicit deny, whose policy would have had to allow."""
    statements: tuple[Statement, ...] = ()
    """The matching Deny statements, or the Allow statements that were needed; empty for an implicit deny."""
    reported: Decision | None = None
    """The decision if report-mode policies were enforced; None when none are loaded here."""

    @property
    def allowed(self) -> bool:
        """Whether the request may proceed."""
        return self.effect is Effect.ALLOW


def decide(
    request: AccessRequest, resource_policies: PolicyGroup, identity_policies: PolicyGroup = NO_POLICIES
) -> Decision:
    """Decide from the policies of the resource (a bucket's, or a key's) and of the identity."""
    decision = _decide(request, resource_policies.kind, resource_policies.enforced, identity_policies.enforced)
    if resource_policies.trial is None and identity_policies.trial is None:
        return decision
    reported = _decide(
        request,
        resource_policies.kind,
        resource_policies.trial or resource_policies.enforced,
        identity_policies.trial or identity_policies.enforced,
    )
    return Decision(decision.effect, decision.policy_kind, decision.statements, reported)


def _decide(request: AccessRequest, kind: Kind, resource: StatementIndex, identity: StatementIndex) -> Decision:
    asked = (request.action, request.resource, request.principal, request.context)
    granted = identity.matches(*asked) if identity.statements else ()
    return combine(request, kind, resource.matches(*asked) if resource.statements else (), granted)


def combine(request: AccessRequest, kind: Kind, by_resource: Sequence[Match], by_identity: Sequence[Match]) -> Decision:
    """Decide from the matching statements. `kind` says whether the resource is a bucket or a key."""
    denying = [statement for _, statement, _ in by_resource if statement.effect == "Deny"]
    if by_identity:
        denying += [statement for _, statement, _ in by_identity if statement.effect == "Deny"]
    if denying:
        return Decision(Effect.EXPLICIT_DENY, denying[0].kind, tuple(denying))
    if request.same_account:
        direct = [statement for _, statement, grade in by_resource if grade is Grade.DIRECT]
        if direct:
            return Decision(Effect.ALLOW, kind, tuple(direct))
        # A key's policy must always allow, if only by delegating to the account; a bucket's need not.
        if by_identity and (kind != "key" or by_resource):
            return _allow("identity", by_identity)
        return Decision(Effect.IMPLICIT_DENY, "key" if kind == "key" and not by_resource else "identity")
    if request.principal.anonymous:
        return _allow(kind, by_resource) if by_resource else Decision(Effect.IMPLICIT_DENY, kind)
    if by_resource and by_identity:
        return _allow(kind, (*by_resource, *by_identity))
    return Decision(Effect.IMPLICIT_DENY, "identity" if by_resource else kind)


def _allow(kind: Kind, matches: Sequence[Match]) -> Decision:
    return Decision(Effect.ALLOW, kind, tuple(statement for _, statement, _ in matches))
