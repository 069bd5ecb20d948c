"""Authorize: ask the policies everything about a request, and look up what they need to know.

Two things are known only to the store: the tags of objects that exist, and whether the source of a copy
has any. They are asked for at most once per object and request, and only where a policy in force reads
them or the answer hangs on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from proxy.access.cleaned import judged_cleaned
from proxy.access.questions import (
    Question,
    Target,
    bucket_questions,
    needs_existing_tags,
    with_existing_tags,
)
from proxy.access.verdict import Answered, Authorized, Decide, Denied, SourceTagsNeeded, authorize
from proxy.policy.evaluate import AccessRequest, Decision, decide
from proxy.policy.index import NO_POLICIES
from proxy.s3.tagging import Tags
from proxy.server.exchange import Exchange
from proxy.server.metrics import Metrics
from proxy.server.rules import Caller, Rules
from proxy.server.store import Store


class Judge:
    """Decides requests by the rules each of them began with."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def judge(self, exchange: Exchange, asked: tuple[Question, ...]) -> Authorized:
        """Return what may go on; raises `S3Error` AccessDenied, or ServiceUnavailable without a needed look-up."""
        rules, caller = exchange.rules, exchange.caller
        if rules.config.upstream.keys == "cleaned":
            asked = judged_cleaned(asked)
        looked_up = None
        if rules.reads_existing_tags:
            looked_up = _LookedUp(self._store, rules)
            asked = tuple([await self._with_tags(question, rules, caller, looked_up) for question in asked])
        started = perf_counter()
        verdict = authorize(asked, decider(rules, caller))
        self._metrics.evaluated(perf_counter() - started)
        if isinstance(verdict, SourceTagsNeeded):
            looked_up = looked_up or _LookedUp(self._store, rules)
            tagged = bool(await looked_up.tags(_source_of(asked)))
            verdict = authorize(asked, decider(rules, caller), source_tagged=tagged)
        exchange.answers = verdict.answers
        self._count(verdict.answers)
        if isinstance(verdict, Authorized):
            exchange.refused = verdict.refused
            return verdict
        if isinstance(verdict, Denied):
            raise verdict.error(caller.identity)
        raise AssertionError("knowing the source's tags settles a copy")

    def may(self, exchange: Exchange, action: str, buckets: Iterable[str]) -> dict[str, bool]:
        """Tell for each bucket whether the caller may do a bucket action there."""
        rules, caller = exchange.rules, exchange.caller
        completed, claim = exchange.completed, exchange.claim
        if completed is None or claim is None:
            raise AssertionError("asked before authentication")
        asked = bucket_questions(
            action, buckets, completed.request, claim, caller.identity, exchange.connection, rules.access, exchange.time
        )
        decide_one = decider(rules, caller)
        return {question.bucket or "": decide_one(question).allowed for question in asked}

    async def _with_tags(self, question: Question, rules: Rules, caller: Caller, looked_up: _LookedUp) -> Question:
        keys = caller.policies.keys_read(question.action)
        if question.bucket is not None:
            keys = keys | rules.bucket_policies.for_bucket(question.bucket).keys_read(question.action)
        if question.target is None or not needs_existing_tags(keys, question):
            return question
        return with_existing_tags(question, await looked_up.tags(question.target))

    def _count(self, answers: Iterable[Answered]) -> None:
        for answer in answers:
            decision = answer.decision
            self._metrics.decided(decision.effect.value, decision.policy_kind)
            if decision.reported is not None:
                self._metrics.decided(decision.reported.effect.value, decision.reported.policy_kind, "report")


class _LookedUp:
    """Tags of stored objects, asked for at most once in a request."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._tagless = "tagging" in rules.config.upstream.lacks
        self._known: dict[Target, Tags] = {}

    async def tags(self, target: Target) -> Tags:
        """Return the tags of an object; none where the store has no tags at all."""
        if self._tagless:
            return ()
        if target not in self._known:
            self._known[target] = await self._store.tags(target)
        return self._known[target]


def decider(rules: Rules, caller: Caller) -> Decide:
    """Return the function that answers one question for one caller."""
    principal, own, for_bucket = caller.principal, caller.policies, rules.bucket_policies.for_bucket

    def answer(question: Question) -> Decision:
        request = AccessRequest(
            principal, question.action, question.resource, question.resource_account, question.context
        )
        return decide(request, NO_POLICIES if question.bucket is None else for_bucket(question.bucket), own)

    return answer


def _source_of(asked: Iterable[Question]) -> Target:
    """Return the object that a copy reads: the target of the question about reading its tags."""
    return next(q.target for q in asked if q.if_source_tagged and q.target and q.action.startswith("s3:Get"))
