"""From the answers to all questions to one verdict, and to the words of a refusal.

A request is allowed when every question is. A batch delete is allowed as a whole and lists the entries
that are not. The caller learns which principal, action, resource and kind of policy only when it belongs
to the account that owns the bucket, as at AWS; to others a refusal says nothing.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.access.questions import Question
from proxy.errors import S3Error
from proxy.identity import Identity
from proxy.per_request import per_request
from proxy.policy.evaluate import Decision, Effect
from proxy.s3.deletes import DeleteBatch, Refusal

PLAIN_REFUSAL = "Access Denied"

Decide: TypeAlias = Callable[[Question], Decision]


@per_request(frozen=True, slots=True)
class Answered:
    """A question and what the policies say to it."""

    question: Question
    decision: Decision

    @property
    def allowed(self) -> bool:
        """Tell whether the policies allow it."""
        return self.decision.allowed


@per_request(frozen=True, slots=True)
class Authorized:
    """The request may go on; `refused` are the entries of a batch delete that may not, by their number."""

    answers: tuple[Answered, ...]
    refused: dict[int, Answered]


@dataclass(frozen=True, slots=True)
class Denied:
    """The request must not go on, because of `reason`."""

    answers: tuple[Answered, ...]
    reason: Answered

    def error(self, identity: Identity | None) -> S3Error:
        """Return the answer to the client."""
        return S3Error("AccessDenied", refusal(self.reason, identity))


@dataclass(frozen=True, slots=True)
class SourceTagsNeeded:
    """All depends on whether the source of the copy has tags: look, and ask again with `source_tagged`."""

    answers: tuple[Answered, ...]
    reason: Answered


Verdict: TypeAlias = Authorized | Denied | SourceTagsNeeded


def authorize(questions: Sequence[Question], decide: Decide, *, source_tagged: bool | None = None) -> Verdict:
    """Ask all questions and combine the answers.

    `source_tagged` is None as long as nobody has looked whether the source of a copy has tags; once it is known to
    have none, nothing is asked about them. All other questions are asked even after a refusal, so that the log shows
    everything that was missing.
    """
    if source_tagged is False:
        questions = [question for question in questions if not question.if_source_tagged]
    answers = tuple([Answered(question, decide(question)) for question in questions])
    refused: dict[int, Answered] = {}
    undecided: Answered | None = None
    for answer in answers:
        if answer.allowed:
            continue
        question = answer.question
        if question.entry is not None:
            refused.setdefault(question.entry, answer)
        elif not question.if_source_tagged or source_tagged:
            return Denied(answers, answer)
        elif source_tagged is None and undecided is None:
            undecided = answer
    if undecided is not None:
        return SourceTagsNeeded(answers, undecided)
    return Authorized(answers, refused)


def refusals(authorized: Authorized, batch: DeleteBatch, identity: Identity | None) -> tuple[Refusal, ...]:
    """Return the entries of a batch delete that are refused, as its answer reports them."""
    return tuple(
        Refusal(batch.deletions[entry], "AccessDenied", refusal(answer, identity))
        for entry, answer in sorted(authorized.refused.items())
    )


def refusal(answer: Answered, identity: Identity | None) -> str:
    """Word a refusal for the caller, as much of it as the caller may know."""
    question, decision = answer.question, answer.decision
    if identity is None or identity.account != question.resource_account:
        return PLAIN_REFUSAL
    subject = f"User: {identity.arn} is not authorized to perform: {question.action}"
    if not question.resource.endswith(":*"):
        subject += f' on resource: "{question.resource}"'
    identity_based = decision.policy_kind == "identity"
    if decision.effect is not Effect.EXPLICIT_DENY:
        kind = "identity-based" if identity_based else "resource-based"
        return f"{subject} because no {kind} policy allows the {question.action} action"
    kind = "an identity-based" if identity_based else "a resource-based"
    return f"{subject} with an explicit deny in {kind} policy{_statement(decision)}"


def _statement(decision: Decision) -> str:
    sid = next((statement.sid for statement in decision.statements if statement.sid), None)
    return f' (statement "{sid}")' if sid else ""
