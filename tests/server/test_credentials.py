"""The proxy's own key comes from the configuration, or from the chain of AWS."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, load_config
from proxy.errors import ConfigError
from proxy.server.credentials import UpstreamCredentials

CONFIG = """
upstream:
  endpoint: http://127.0.0.1:1
  credentials: {credentials}
owner: "123456789012"
"""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which the chain finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return monkeypatch


def config(folder: Path, credentials: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(credentials=credentials))
    return load_config(path)


async def test_a_configured_key_stays_as_it_is(tmp_path: Path) -> None:
    text = "{access_key_id: AKIAUP, secret_access_key: up-secret, session_token: up-token}"
    held = UpstreamCredentials(config(tmp_path, text))
    before = held.current()
    assert (before.access_key_id, before.secret_access_key, before.session_token) == ("AKIAUP", "up-secret", "up-token")
    await held.renew()
    assert held.current() is before


async def test_the_chain_is_asked_again(tmp_path: Path, aws: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIAONE\naws_secret_access_key = one\n")
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    held = UpstreamCredentials(config(tmp_path, "{source: aws}"))
    assert (held.current().access_key_id, held.current().secret_access_key) == ("AKIAONE", "one")
    await held.renew()
    assert held.current().access_key_id == "AKIAONE"


def test_a_chain_without_a_key_refuses_to_start(tmp_path: Path, aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the AWS credential chain has no key") as caught:
        UpstreamCredentials(config(tmp_path, "{source: aws}"))
    assert "config.yaml:4" in str(caught.value)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    held = UpstreamCredentials(config(tmp_path, "{access_key_id: AKIAUP, secret_access_key: up-secret}"))
    assert "up-secret" not in repr(held.current())
