"""What key policies are asked when an object is encrypted, decrypted or wrapped anew.

The question about a key is put beside those about the object, and starts from what was known there:
who calls, from where, when. It is asked for every object, also where a bucket key makes a call to the
key service unnecessary, and always with the object's own ARN in the encryption context.

A key without a policy is open to whoever may access the object, unless an identity policy denies it;
a key with one must allow, as at AWS.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html "permissions",
https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from proxy.access.context import ContextValue
from proxy.access.questions import Question
from proxy.envelope.context import ARN_NAME
from proxy.policy.evaluate import AccessRequest, Decision, Effect, decide
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.principals import Principal

KeyAction: TypeAlias = Literal["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
"""What S3 needs of KMS: GenerateDataKey to write, Decrypt to read and to write parts, ReEncrypt* for
UpdateObjectEncryption."""

# Pairs of the stored format itself.
_OWN_PAIRS = "s3w"
# About the bucket, not about the key; names of the key's own would have to be looked up under them.
_ABOUT_THE_BUCKET = ("s3:", "s3w:", "aws:resourcetag/", "aws:resourceaccount")


def key_question(
    action: KeyAction, key_arn: str, asked: Question, encryption_context: Mapping[str, str], caller_account: str | None
) -> Question:
    """Return the question whether a key may be used for what `asked` is about.

    `encryption_context` is what the data key is bound to: the client's pairs and the object's ARN.
    """
    _, _, _, region, owner, _ = key_arn.split(":", 5)
    context: dict[str, ContextValue] = {
        name: value for name, value in asked.context.items() if not name.startswith(_ABOUT_THE_BUCKET)
    }
    context["aws:resourceaccount"] = owner
    context["kms:viaservice"] = f"s3.{region}.amazonaws.com"
    if caller_account is not None:
        context["kms:calleraccount"] = caller_account
    # INVARIANT: `AWS:S3:ARN` is not the object's name, whoever wrote it, and must not be compared as if it were.
    pairs = {
        name: value
        for name, value in encryption_context.items()
        if not name.startswith(_OWN_PAIRS) and (name == ARN_NAME or name.lower() != ARN_NAME)
    }
    for name in pairs:
        # Names of pairs are told apart by case, condition keys are not: show every value of either.
        values = tuple(value for other, value in pairs.items() if other.lower() == name.lower())
        context[f"kms:encryptioncontext:{name.lower()}"] = values[0] if len(values) == 1 else values
    if pairs:
        context["kms:encryptioncontextkeys"] = tuple(pairs)
    return Question(action, key_arn, None, owner, context)


def decide_key(
    question: Question, principal: Principal, key_policy: PolicyGroup | None, identity_policies: PolicyGroup
) -> Decision:
    """Decide a question about a key; `key_policy` None is a key without a policy."""
    request = AccessRequest(principal, question.action, question.resource, question.resource_account, question.context)
    if key_policy is not None:
        return decide(request, key_policy, identity_policies)
    decision = decide(request, NO_POLICIES, identity_policies)
    return decision if decision.effect is Effect.EXPLICIT_DENY else Decision(Effect.ALLOW, "key")
