"""The proxy's own key towards the store: from the configuration, or from the AWS credential chain.

The chain (environment, files, container and instance roles, web identities) is botocore's. Its keys
expire, and fetching one takes network and time: it happens in a thread, well before the old one ends.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import asyncio
import logging

from proxy.auth.credential import Credential
from proxy.config import Config
from proxy.errors import ConfigError
from proxy.identity import credential_of

LOOK_SECONDS = 60.0
"""botocore renews a key up to 15 minutes before it expires; looking once a minute never misses that."""

_log = logging.getLogger("s3warden.credentials")


class UpstreamCredentials:
    """Holds the key in force."""

    def __init__(self, config: Config) -> None:
        """Take the key; raises `ConfigError` when the chain has none."""
        configured = config.upstream.credentials
        self._chain: _Chain | None = None
        if configured is not None:
            self._current = credential_of(configured)
        else:
            self._chain = _Chain(config)
            self._current = self._chain.fetch()

    def current(self) -> Credential:
        """Return the key to sign with now."""
        return self._current

    async def renew(self) -> None:
        """Ask the chain again; a key from the configuration stays as it is."""
        if self._chain is None:
            return
        try:
            self._current = await asyncio.to_thread(self._chain.fetch)
        except ConfigError as error:
            _log.error("the AWS credential chain gives no key, the old one stays in use:\n%s", error)


class _Chain:
    def __init__(self, config: Config) -> None:
        self._config = config
        try:
            from botocore.session import Session
        except ImportError:
            raise self._refused("the AWS credential chain needs boto3", 'install "s3warden[aws]"') from None
        self._session = Session()

    def fetch(self) -> Credential:
        """Return the chain's key as it is now; may block on the network."""
        from botocore.exceptions import BotoCoreError

        try:
            found = self._session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except BotoCoreError as error:
            raise self._refused(f"the AWS credential chain failed: {type(error).__name__}", "") from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise self._refused(
                "the AWS credential chain has no key", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role"
            )
        return Credential(frozen.access_key, frozen.secret_key, frozen.token)

    def _refused(self, message: str, help: str) -> ConfigError:
        return ConfigError([self._config.source.diagnostic(("upstream", "credentials"), message, help=help)])
