"""What the configuration may and may not say about condition keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.access.context import AccessSettings
from proxy.config import Config, load_config
from proxy.config.keys import partition_of
from proxy.errors import ConfigError


def loaded(tmp_path: Path, values: str) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(
        'owner: "123456789012"\n'
        "upstream: {endpoint: http://127.0.0.1:1, region: cn-north-1, "
        "credentials: {access_key_id: AKIAUPSTREAM, secret_access_key: bbbbbbbb}}\n"
        f"condition_values: {values}\n"
    )
    return load_config(path)


def test_settings_come_from_the_configuration(tmp_path: Path) -> None:
    config = loaded(tmp_path, '{"aws:PrincipalOrgID": o-example, "aws:PrincipalOrgPaths": o-example/r-1}')
    settings = AccessSettings.of(config, {"alias/hr": "arn"})
    assert settings.condition_values == {
        "aws:principalorgid": "o-example",
        "aws:principalorgpaths": ("o-example/r-1",),
    }
    assert (settings.partition, settings.kms.partition, settings.region) == ("aws-cn", "aws-cn", "cn-north-1")
    assert settings.kms.key_arn("alias/hr") == "arn"
    assert settings.bucket("any").owner == settings.owner == "123456789012"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ('{"aws:PrincipalOrg": o}', "no condition key"),
        ('{"aws:SourceIp": 10.0.0.1}', "not the configuration's to give"),
        ('{"s3:x-amz-server-side-encryption": "aws:kms"}', "not the configuration's to give"),
        ('{"s3:AccessGrantScope": x}', "not the configuration's to give"),
        ('{"aws:SourceVpce": [vpce-1, vpce-2]}', "has one value"),
    ],
)
def test_a_key_that_is_not_the_configurations_to_give_is_refused(tmp_path: Path, values: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        AccessSettings.of(loaded(tmp_path, values))
    assert caught.value.diagnostics[0].span.line == 3


def test_a_key_of_another_place_is_known_by_its_name_there(tmp_path: Path) -> None:
    there = "arn:aws:kms:eu-central-1:999999999999:key/1234abcd"
    config = loaded(tmp_path, f"{{}}\nkeys: {{hr: {{type: aws-kms, key_arn: '{there}'}}}}")
    kms = AccessSettings.of(config).kms
    assert (kms.own_name(there), kms.key_arn(there)) == (config.keys["hr"].arn, there)


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_partition_of_a_region(region: str, partition: str) -> None:
    assert partition_of(region) == partition
