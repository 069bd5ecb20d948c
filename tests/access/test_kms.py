"""Names of KMS keys."""

from __future__ import annotations

import pytest

from proxy.access.kms import KmsNames
from proxy.errors import S3Error

ARN = "arn:aws:kms:eu-central-1:123456789012:key/abc"
NAMES = KmsNames("eu-central-1", "123456789012", aliases={"alias/hr": ARN})


@pytest.mark.parametrize("name", ["abc", "key/abc", ARN, "alias/hr", "arn:aws:kms:eu-central-1:123456789012:alias/hr"])
def test_every_form_of_a_name_becomes_the_same_arn(name: str) -> None:
    assert NAMES.key_arn(name) == ARN


def test_the_arn_of_another_key_stays_what_it_is() -> None:
    other = "arn:aws:kms:us-east-1:999999999999:key/mrk-1"
    assert NAMES.key_arn(other) == other


def test_the_partition_is_that_of_the_configuration() -> None:
    assert KmsNames("cn-north-1", "1", "aws-cn").key_arn("abc") == "arn:aws-cn:kms:cn-north-1:1:key/abc"


@pytest.mark.parametrize(
    "name",
    [
        "arn:aws:kms:eu-central-1:999999999999:alias/hr",
        "arn:aws:kms:us-east-1:123456789012:alias/hr",
        "arn:aws-cn:kms:eu-central-1:123456789012:alias/hr",
        "arn:aws:s3:eu-central-1:123456789012:alias/hr",
        "arn:aws:kms:alias/hr",
    ],
)
def test_an_alias_of_another_account_or_region_is_not_the_one_of_the_same_name_here(name: str) -> None:
    for ask in (NAMES.key_arn, NAMES.without_alias, NAMES.own_name):
        with pytest.raises(S3Error, match="aliases are not resolved"):
            ask(name)


def test_an_alias_is_at_home_where_its_key_is() -> None:
    elsewhere = "arn:aws:kms:us-east-1:999999999999:key/abc"
    names = KmsNames("eu-central-1", "123456789012", aliases={"alias/lent": elsewhere})
    for name in ("alias/lent", "arn:aws:kms:us-east-1:999999999999:alias/lent"):
        assert names.key_arn(name) == elsewhere


@pytest.mark.parametrize("name", ["alias/other", "alias/aws/s3", "arn:aws:kms:eu-central-1:1:alias/other"])
def test_an_alias_that_nobody_resolves_is_refused(name: str) -> None:
    with pytest.raises(S3Error, match="aliases are not resolved") as caught:
        NAMES.key_arn(name)
    assert caught.value.extras["ArgumentValue"] == name
