"""The semantic diff: held against brute force over random pairs of policies, and the cases that are easy to miss."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.policy.clauses import Policies
from proxy.policy.diff import (
    ANY_POLICY,
    Assumptions,
    Change,
    Comparison,
    Evaluator,
    change_between,
    compare,
    with_unknown,
)
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.evaluate import AccessRequest, Effect
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal
from proxy.policy.search import Dimension, Relation, Roles, Search
from proxy.policy.store import PolicySet
from proxy.policy.variables import ContextValue

ACCOUNT, OTHER = "123456789012", "222222222222"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
BOTH = ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
TEXT_KEYS = ("s3:x-amz-acl", "s3:x-amz-storage-class")
Statement = dict[str, object]


def policy(statements: list[Statement], kind: Kind = "bucket", **wrapper: object) -> PolicyFile:
    document = {**wrapper, "policy": {"Version": "2012-10-17", "Statement": statements}}
    return parse_policy(yamldoc.parse(json.dumps(document), f"{kind}.json"), kind)


def about(*conditions: Statement, effect: str = "Allow", **parts: object) -> Statement:
    block: dict[str, dict[str, object]] = {}
    for condition in conditions:
        for operator, keys in condition.items():
            assert isinstance(keys, dict)
            block.setdefault(operator, {}).update(keys)
    made = {"Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": BOTH, **parts}
    return {**made, "Condition": block} if block else made


def buckets(*statements: Statement, **wrapper: object) -> Policies:
    return Policies(PolicySet([policy(list(statements), **wrapper)] if statements else []))


def identities(*statements: Statement, name: str = "id") -> Policies:
    plain = [{key: value for key, value in one.items() if key != "Principal"} for one in statements]
    return Policies(identity=((name, policy(plain, "identity")),) if statements else ())


def changes(found: Comparison) -> set[Change]:
    return {difference.change for difference in found.differences}


# Random policies: small enough for brute force, with every kind of element and operator.


def random_condition(random: Random) -> tuple[str, str, list[str]]:
    pick = random.choice
    key = pick([*TEXT_KEYS, "s3:max-keys", "aws:SourceIp", "aws:TagKeys", "aws:PrincipalArn", "s3:ResourceAccount"])
    if key in TEXT_KEYS:
        operator = pick(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"])
        texts = ["a*", "*b", "?", "a?"] if operator.endswith("Like") else ["a", "b", "A", "ab", "", "*"]
        values = [pick(texts) for _ in range(random.randint(1, 2))]
    elif key == "s3:max-keys":
        operator, values = pick(["NumericEquals", "NumericLessThan", "NumericGreaterThanEquals"]), [pick(["1", "2.5"])]
    elif key == "aws:SourceIp":
        operator, values = pick(["IpAddress", "NotIpAddress"]), [pick(["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"])]
    elif key == "aws:TagKeys":
        operator = pick(["ForAllValues:", "ForAnyValue:", ""]) + pick(["StringEquals", "StringNotEquals", "StringLike"])
        values = [pick(["a", "b", "a*"]) for _ in range(random.randint(1, 2))]
    elif key == "aws:PrincipalArn":
        operator, values = pick(["ArnLike", "ArnNotLike"]), [pick([ALICE, "arn:aws:iam::*:user/*"])]
    else:
        operator, values = pick(["StringEquals", "StringNotEquals"]), [pick([ACCOUNT, OTHER])]
    if random.random() < 0.15:
        return "Null", key, [pick(["true", "false"])]
    return operator + pick(["", "", "IfExists"]), key, values


def random_statement(random: Random, kind: Kind) -> Statement:
    pick = random.choice
    made: Statement = {"Effect": pick(["Allow", "Allow", "Deny"])}
    made[pick(["Action", "Action", "NotAction"])] = pick(["s3:*", "s3:Get*", "s3:ListBucket", ["s3:PutObject"]])
    made[pick(["Resource", "Resource", "NotResource"])] = pick(
        ["arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/k*", BOTH, "arn:aws:s3:::b*", "arn:aws:s3:::b/*/z"]
    )
    if kind == "bucket":
        named = [{"AWS": ACCOUNT}, {"AWS": ALICE}, {"AWS": [f"arn:aws:iam::{ACCOUNT}:role/p/R", ACCOUNT]}]
        element = "Principal" if made["Effect"] == "Allow" else pick(["Principal", "NotPrincipal"])
        made[element] = pick(["*", *named, {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s"}])
    block: dict[str, dict[str, object]] = {}
    for _ in range(random.randint(0, 2)):
        operator, key, values = random_condition(random)
        block.setdefault(operator, {})[key] = values
    return {**made, "Condition": block} if block else made


def random_pair(random: Random) -> tuple[Policies, Policies]:
    old = [random_statement(random, "bucket") for _ in range(random.randint(1, 3))]
    new = list(old)
    for _ in range(random.randint(1, 2)):
        place = random.randrange(len(new))
        new[place : place + random.randint(0, 1)] = [random_statement(random, "bucket")]
    first = Policies(PolicySet([policy(old)]))
    second = Policies(PolicySet([policy(new, **random.choice([{}, {}, {"bucket": "b*"}]))]))
    if random.random() < 0.5:
        return first, second
    granted = [random_statement(random, "identity") for _ in range(2)]
    replaced = random.choice([granted, [granted[0], random_statement(random, "identity")]])
    return (
        Policies(first.buckets, (("id", policy(granted, "identity")),)),
        Policies(second.buckets, (("id", policy(replaced, "identity")),)),
    )


CALLERS = [
    (Principal(), None),
    *((Principal(arn), arn) for arn in (ALICE, f"arn:aws:iam::{ACCOUNT}:user/q", f"arn:aws:iam::{OTHER}:user/q")),
    (Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s"), f"arn:aws:iam::{ACCOUNT}:role/p/R"),
    (Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/Q/t"), f"arn:aws:iam::{ACCOUNT}:role/Q"),
]
QUESTIONS = [
    ("s3:GetObject", "arn:aws:s3:::b/k1"),
    ("s3:PutObject", "arn:aws:s3:::b/k/z"),
    ("s3:ListBucket", "arn:aws:s3:::b"),
    ("s3:ListBucket", "arn:aws:s3:::bc"),
    ("s3:DeleteObject", "arn:aws:s3:::c/k"),
    ("s3:ListAllMyBuckets", "*"),
]
TEXTS: list[ContextValue | None] = [None, "", "a", "A", "b", "ab", "q", "*"]
VALUES: dict[str, list[ContextValue | None]] = {
    "s3:x-amz-acl": TEXTS,
    "s3:x-amz-storage-class": TEXTS,
    "s3:max-keys": [None, "", "x", "0", "1", "2", "2.5", "3"],
    "aws:sourceip": [None, "x", "9.9.9.9", "10.0.0.1", "10.1.2.3", "2001:db8::1", "::1"],
    "aws:tagkeys": [None, (), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("ab", "b"), ("c", "b", "a")],
}


def grid(random: Random, keys: list[str], attachable: str) -> Iterator[tuple[AccessRequest, tuple[str, ...]]]:
    """Yield requests over a rich grid; of too many combinations of values, a sample."""
    combinations = list(itertools.product(*(VALUES[key] for key in keys)))
    if len(combinations) > 120:
        combinations = random.sample(combinations, 120)
    for (principal, arn), (action, resource), owner in itertools.product(CALLERS, QUESTIONS, (ACCOUNT, OTHER)):
        tied: dict[str, ContextValue] = {"aws:resourceaccount": owner, "s3:resourceaccount": owner}
        if arn is not None and principal.account is not None:
            tied |= {"aws:principalarn": arn, "aws:principalaccount": principal.account}
        for values in combinations:
            context = {**tied, **{key: value for key, value in zip(keys, values, strict=True) if value is not None}}
            request = AccessRequest(principal, action, resource, owner, context)
            yield request, ()
            if arn is not None:
                yield request, (attachable,)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32))
def test_a_difference_that_brute_force_finds_is_found_and_every_one_reported_is_real(seed: int) -> None:
    random = Random(seed)
    old, new = random_pair(random)
    found = compare(old, new)
    reported = {(difference.change, action) for difference in found.differences for action in difference.actions}
    assert all("KMS" in reason for reason in found.missing), "nothing here is beyond the model"
    sides = [Evaluator(with_unknown(side, side, Assumptions())) for side in (old, new)]
    files = [file for side in (old, new) for file in (*side.buckets.files, *(file for _, file in side.identity))]
    reads = frozenset().union(*(statement.reads for file in files for statement in file.statements))
    attachable = "id" if old.identity else ANY_POLICY
    for request, attached in grid(random, [key for key in VALUES if key in reads], attachable):
        before, after = (side.decide(request, attached).effect for side in sides)
        if before is not after:
            assert (change_between(before, after), request.action) in reported, (request, attached)
    for difference in found.differences:
        before, after = (side.decide(difference.request, difference.attached) for side in sides)
        assert (before, after) == (difference.old, difference.new)
        assert difference.change is change_between(before.effect, after.effect)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_the_search_finds_what_walking_through_the_whole_product_finds(seed: int) -> None:
    random = Random(seed)
    count = random.randint(1, 6)
    deny, identity = random.getrandbits(count), random.getrandbits(count)
    account = random.getrandbits(count) & ~deny & ~identity
    roles = Roles(count, deny, identity & ~deny, account, key=random.random() < 0.3)
    dimensions = []
    for _ in range(random.randint(0, 4)):
        readers = random.getrandbits(count)
        masks = tuple(random.getrandbits(count) | ((1 << count) - 1) & ~readers for _ in range(random.randint(1, 3)))
        dimensions.append(Dimension(masks, readers))
    old, new = random.getrandbits(count), random.getrandbits(count)
    search = Search(roles, dimensions)
    for relation in Relation:
        wanted = set()
        for masks in itertools.product(*(dimension.masks for dimension in dimensions)):
            standing = -1
            for mask in masks:
                standing &= mask
            wanted.add((verdict(roles, relation, old & standing), verdict(roles, relation, new & standing)))
        state = search.start(relation, 0, old, new)
        got = set(search.outcomes(state)) if state is not None else set()
        assert got == {pair for pair in wanted if pair[0] is not pair[1]}


def verdict(roles: Roles, relation: Relation, clauses: int) -> Effect:
    """Say the rule of `evaluate.combine` once more, for bits."""
    if clauses & roles.deny:
        return Effect.EXPLICIT_DENY
    by_identity = bool(clauses & roles.identity) and relation is not Relation.ANONYMOUS
    by_resource = bool(clauses & ~roles.deny & ~roles.identity)
    direct = bool(clauses & ~roles.deny & ~roles.identity & ~roles.account)
    if relation is Relation.SAME:
        allowed = direct or (by_identity and (by_resource or not roles.key))
    else:
        allowed = by_resource and (by_identity or relation is Relation.ANONYMOUS)
    return Effect.ALLOW if allowed else Effect.IMPLICIT_DENY


A, B, C = ({"StringEquals": {key: value}} for key, value in zip((*TEXT_KEYS, "s3:if-none-match"), "123", strict=True))


def test_a_key_of_another_statement_decides_which_request_shows_the_difference() -> None:
    old = buckets(about(A), about(B, effect="Deny"))
    new = buckets(about(A), about(B, C, effect="Deny"))
    found = compare(old, new)
    gained = [difference for difference in found.differences if difference.change is Change.GAINS]
    contexts = [difference.request.context for difference in gained if difference.request.principal.anonymous]
    assert contexts == [{TEXT_KEYS[0]: "1", TEXT_KEYS[1]: "2"}]
    assert found.exhaustive
    assert Change.LOSES not in changes(found)


def test_the_same_policies_in_another_order_are_the_same() -> None:
    one, two = about(A), about(B, effect="Deny")
    assert compare(buckets(one, two), buckets(two, one)) == Comparison((), 0, ())


def test_a_rewriting_that_means_the_same_is_proven_to() -> None:
    old = buckets(about({"StringLike": {TEXT_KEYS[0]: ["a*", "b*"]}}))
    new = buckets(about({"StringLike": {TEXT_KEYS[0]: "a*"}}), about({"StringLike": {TEXT_KEYS[0]: ["b*", "ab*"]}}))
    found = compare(old, new)
    assert not found.differences
    assert found.exhaustive
    assert found.cells > 1


def test_an_empty_set_against_a_policy_is_what_the_policy_does() -> None:
    found = compare(buckets(), buckets(about(Action="s3:GetObject")))
    assert changes(found) == {Change.GAINS}
    assert {action for difference in found.differences for action in difference.actions} == {"s3:GetObject"}


def test_delegation_to_the_account_differs_from_naming_the_caller() -> None:
    found = compare(buckets(about(Principal={"AWS": ACCOUNT})), buckets(about(Principal={"AWS": ALICE})))
    gained = {label for one in found.differences if one.change is Change.GAINS for label in one.callers}
    assert gained == {f"{ALICE} (same account as the bucket)"}
    assert Change.LOSES in changes(found), "others of the account needed its delegation"


def test_removing_a_deny_shows_even_where_nothing_else_allows() -> None:
    found = compare(buckets(about(effect="Deny")), buckets(), Assumptions(unknown_identities=False))
    assert changes(found) == {Change.WEAKER}
    assert not Change.LOSES.more
    assert Change.WEAKER.more
    found = compare(buckets(about(effect="Deny")), buckets())
    assert Change.GAINS in changes(found), "an identity policy that is not given may allow it"


def test_a_policy_of_mode_report_decides_nothing() -> None:
    found = compare(buckets(about(), mode="report"), buckets(about()))
    assert Change.GAINS in changes(found)
    assert not compare(buckets(about(), mode="report"), buckets(about(A), mode="report")).differences


def test_not_resource_counts_in_the_buckets_that_its_file_is_about() -> None:
    statement = {**about(), "NotResource": "arn:aws:s3:::b/secret/*"}
    del statement["Resource"]
    other = about(Resource="arn:aws:s3:::c/*", Action="s3:GetObject")
    found = compare(buckets(statement), buckets(statement, other))
    gained = {arn for one in found.differences for arn in one.resources}
    # The second statement makes the file be about bucket `c`: NotResource now allows everything there.
    assert "arn:aws:s3:::c" in gained
    assert all(arn.startswith("arn:aws:s3:::c") for arn in gained)


def test_identity_policies_of_the_same_name_are_two_versions_of_one() -> None:
    get = about(Action="s3:GetObject", Resource="*")
    found = compare(identities(get), identities({**get, "Action": ["s3:GetObject", "s3:PutObject"]}))
    assert {(one.change, one.actions, one.attached) for one in found.differences} == {
        (Change.GAINS, ("s3:PutObject",), ("id",))
    }
    renamed = compare(identities(get), identities(get, name="other"))
    assert changes(renamed) == {Change.GAINS, Change.LOSES}


def test_identity_policies_that_meet_in_one_caller_are_seen_together() -> None:
    allow, deny = about(Resource="*"), about(A, effect="Deny", Resource="*")
    old = Policies(identity=(*identities(allow).identity, *identities(deny, name="guard").identity))
    new = Policies(
        identity=(*identities(allow).identity, *identities(about(A, B, effect="Deny"), name="guard").identity)
    )
    found = compare(old, new)
    (gained,) = (one for one in found.differences if one.change is Change.GAINS and len(one.request.context) == 1)
    assert set(gained.attached) == {"id", "guard"}


def test_an_action_is_asked_about_its_own_kind_of_resource() -> None:
    found = compare(buckets(about(effect="Deny")), buckets(about(effect="Deny", Resource="arn:aws:s3:::b/*")))
    lost = {action for one in found.differences for action in one.actions}
    assert "s3:ListBucket" in lost
    assert "s3:GetObject" not in lost, "nobody gets an object by the ARN of a bucket"


def test_possible_requests_have_only_keys_that_their_action_carries() -> None:
    prefix = {"StringEquals": {"s3:prefix": "x"}}
    old, new = buckets(), buckets(about(prefix, Action="s3:GetObject"))
    assert not compare(old, new, Assumptions(possible=True)).differences
    (gained,) = {one.unusual for one in compare(old, new).differences}
    assert gained == ("s3:prefix",)


HOME = "arn:aws:s3:::b/${aws:username}/*"


def test_what_does_not_depend_on_a_variable_is_settled_without_it() -> None:
    home = about(Resource=HOME)
    found = compare(buckets(home), buckets(home, about({"Bool": {"aws:SecureTransport": "false"}}, effect="Deny")))
    assert found.exhaustive
    assert changes(found) == {Change.LOSES, Change.STRONGER}
    assert compare(buckets(home, about(A)), buckets(about(A), home)).exhaustive


def test_a_difference_in_variables_is_shown_with_a_value() -> None:
    found = compare(buckets(about(Resource=HOME)), buckets(about(Resource=HOME.replace("/*", "/docs/*"))))
    assert changes(found) == {Change.LOSES}
    assert all(one.request.context["aws:username"] in one.request.resource for one in found.differences)
    assert not any(one.request.principal.anonymous for one in found.differences), "nobody has no name"


def test_a_difference_in_variables_that_cannot_be_shown_makes_the_answer_partial() -> None:
    # Equal for every name, which the model does not know.
    home = about(Resource=[HOME, HOME.replace("/*", "/a/*")])
    found = compare(buckets(about(Resource=HOME)), buckets(home))
    assert not found.differences
    assert not found.exhaustive
    assert "${aws:username}" in found.missing[0]


def test_a_variable_with_wildcards_beside_it_is_never_silently_complete() -> None:
    old = about({"StringLike": {"s3:prefix": "${aws:username}/*"}})
    new = about({"StringLike": {"s3:prefix": ["${aws:username}/*", "home/${aws:username}"]}})
    found = compare(buckets(old), buckets(new))
    assert found.differences or not found.exhaustive


def test_running_out_of_time_is_said() -> None:
    found = compare(buckets(about(A)), buckets(about(B)), Assumptions(seconds=0.0))
    assert not found.exhaustive


def test_kms_actions_without_key_policies_are_said_to_be_left_out() -> None:
    allow = about(Action=["s3:GetObject", "kms:Decrypt"], Resource="*")
    found = compare(identities(), identities(allow))
    assert any("KMS" in reason for reason in found.missing)


def test_key_policies_are_compared_too() -> None:
    key = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}
    old = Policies(keys=PolicySet([policy([key], "key")]))
    new = Policies(keys=PolicySet([policy([{**key, "Action": "kms:Decrypt"}], "key")]))
    found = compare(old, new)
    assert changes(found) == {Change.LOSES}
    lost = {action for one in found.differences for action in one.actions}
    assert "kms:Encrypt" in lost
    assert "kms:Decrypt" not in lost


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Effect.ALLOW, Effect.EXPLICIT_DENY, Change.LOSES),
        (Effect.IMPLICIT_DENY, Effect.ALLOW, Change.GAINS),
        (Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY, Change.WEAKER),
        (Effect.IMPLICIT_DENY, Effect.EXPLICIT_DENY, Change.STRONGER),
    ],
)
def test_a_change_has_a_direction(before: Effect, after: Effect, change: Change) -> None:
    assert change_between(before, after) is change
    assert change.more is (after is Effect.ALLOW or (after is Effect.IMPLICIT_DENY and before is Effect.EXPLICIT_DENY))
