"""Keys of a transit engine of HashiCorp Vault or OpenBao, over hvac.

The encryption context is given as associated data, so the key has to be of an AEAD type, as the default
`aes256-gcm96` is. The engine keeps versions by itself and writes them into its ciphertexts; they are
repeated in the EDK's key info, `<name>@v<version>`, so that it shows what an old version still holds.

Sources: https://developer.hashicorp.com/vault/api-docs/secret/transit (encrypt, decrypt) and
https://developer.hashicorp.com/vault/api-docs/system/capabilities-self, as OpenBao 2.7 answers them
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from http.client import NO_CONTENT
from typing import Any

import hvac
import requests
from hvac import exceptions

from proxy.config import Vault
from proxy.envelope.context import Context, serialise_context
from proxy.envelope.keyring import KEY_SIZE, Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.service import KeyUnavailableError, Provider
from proxy.keys.threads import Threads

PROVIDER_ID = "s3w-vault"
THREADS = 8
MAX_REASON = 300
"""Characters of what a server says is wrong that go into the log."""
_STRANGE = "answered with something else than the transit engine would"
# `vault:v2:` and base64; OpenBao kept the word.
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,9}):[A-Za-z0-9+/=]+")


class VaultKey:
    """A key of a transit engine, whatever versions of it there are."""

    provider: Provider = "vault"
    is_remote = True
    can_unwrap = True

    def __init__(self, name: str, settings: Vault, seconds: float) -> None:
        self.name = name
        self._settings = settings
        self._info_prefix = f"{name}@v".encode()
        self._threads = Threads(name, THREADS)
        self._client = hvac.Client(
            url=settings.address,
            token=settings.token.reveal(),
            namespace=settings.namespace,
            verify=True if settings.ca is None else str(settings.ca),
            timeout=seconds,
            # A redirect could lead the token, and the data keys, to somebody else.
            allow_redirects=False,
        )

    def names(self, edk: Edk) -> bool:
        """Tell whether some version of this key wrapped `edk`."""
        return edk.provider_id == PROVIDER_ID and edk.key_info.startswith(self._info_prefix)

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Encrypt with the newest version that the engine has.

        Raises `S3Error` KMS.KMSInvalidStateException for a key that is of no use here: RSA, say, or a derived one.
        """
        try:
            answer = await self._call(lambda: self._transit("encrypt", {"plaintext": _base64(data_key)}, context))
        except exceptions.InvalidRequest as error:
            raise self._cannot("encrypt", error) from error
        ciphertext = str(answer.get("ciphertext", ""))
        match = _CIPHERTEXT.fullmatch(ciphertext)
        if match is None:
            raise KeyUnavailableError("answered without a ciphertext")
        return Edk(PROVIDER_ID, self._info_prefix + match[1].encode(), ciphertext.encode())

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Decrypt; raises `IntegrityError` edk for another context or a changed ciphertext."""
        if not self.names(edk):
            return None
        ciphertext = edk.ciphertext.decode("ascii", "replace")
        match = _CIPHERTEXT.fullmatch(ciphertext)
        if match is None or self._info_prefix + match[1].encode() != edk.key_info:
            raise self._does_not_open()
        try:
            answer = await self._call(lambda: self._transit("decrypt", {"ciphertext": ciphertext}, context))
        except exceptions.InvalidRequest as error:
            # A changed data key and one of a version that the engine retired are answered alike but for the words.
            raise self._does_not_open(f": {_reason(error)}") from error
        try:
            data_key = base64.b64decode(str(answer.get("plaintext", "")), validate=True)
        except binascii.Error as error:
            raise self._does_not_open() from error
        if len(data_key) != KEY_SIZE:
            raise self._does_not_open()
        return data_key

    async def check(self) -> str | None:
        """Ask what the token may do with the key, which uses no key; a sealed server and an expired token show."""
        paths = [f"{self._settings.mount}/{verb}/{self._settings.key_name}" for verb in ("encrypt", "decrypt")]

        def ask() -> Mapping[str, Any]:
            return _data(self._client.adapter.post("/v1/sys/capabilities-self", json={"paths": paths}))

        try:
            answer = await self._call(ask)
        except (S3Error, exceptions.InvalidRequest) as error:
            said = error.detail if isinstance(error, S3Error) else _reason(error)
            return f"the token for {self._settings.address} is not valid, or may not ask for its rights: {said}"
        rights = [answer.get(path) for path in paths]
        # A proxy that only writes has one of the two, and so has one that only reads.
        if any(isinstance(each, list) and {"update", "root"} & set(map(str, each)) for each in rights):
            return None
        return f"the token for {self._settings.address} may neither encrypt nor decrypt with it"

    async def renew(self, label: str) -> None:
        """Ask the engine for a new version; the token needs `update` on `keys/NAME/rotate`. No use for a label."""
        path = f"/v1/{self._settings.mount}/keys/{self._settings.key_name}/rotate"

        def rotate() -> Mapping[str, Any]:
            answer = self._client.adapter.post(path)
            if not isinstance(answer, dict) and answer.status_code != NO_CONTENT:
                raise KeyUnavailableError(_STRANGE)  # a redirect, which nobody followed
            return {}

        try:
            await self._call(rotate)
        except exceptions.InvalidRequest as error:
            raise self._cannot("rotate", error) from error

    async def close(self) -> None:
        """Let go of the threads and connections."""
        self._threads.close()
        self._client.adapter.close()

    def _transit(self, verb: str, body: dict[str, str], context: Context) -> Mapping[str, Any]:
        body["associated_data"] = _base64(serialise_context(context))
        # hvac's own method would create a key that is not there; this verb does not with the rights of the guide.
        path = f"/v1/{self._settings.mount}/{verb}/{self._settings.key_name}"
        return _data(self._client.adapter.post(path, json=body))

    async def _call(self, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            return await self._threads.run(call)
        except exceptions.InvalidRequest:
            raise
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            detail = f"Vault refused the use of the key `{self.name}`: {_reason(error)}"
            raise S3Error("AccessDenied", detail=detail) from error
        except exceptions.InvalidPath as error:
            detail = f"Vault has no key for `{self.name}`: {_reason(error)}"
            raise S3Error("KMS.NotFoundException", detail=detail) from error
        except exceptions.VaultError as error:
            raise KeyUnavailableError(f"answered {type(error).__name__}") from error
        except requests.RequestException as error:
            raise KeyUnavailableError(f"cannot be asked: {type(error).__name__}") from error
        except (AttributeError, TypeError, ValueError) as error:
            # hvac trips over errors that are not shaped like the server's own: some gateway answered.
            raise KeyUnavailableError(_STRANGE) from error

    def _cannot(self, verb: str, error: exceptions.VaultError) -> S3Error:
        detail = f"Vault does not {verb} with the key `{self.name}`: {_reason(error)}"
        return S3Error("KMS.KMSInvalidStateException", detail=detail)

    def _does_not_open(self, reason: str = "") -> IntegrityError:
        return IntegrityError("edk", f"the data key wrapped with `{self.name}` does not open{reason}")

    def __repr__(self) -> str:
        return f"VaultKey({self.name!r})"


def _data(answer: object) -> Mapping[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise KeyUnavailableError(_STRANGE)
    return data


def _reason(error: exceptions.VaultError) -> str:
    """Return what the server said, on one line."""
    said = error.errors if isinstance(error.errors, list) else []
    return " ".join(", ".join(map(str, said)).split())[:MAX_REASON] or type(error).__name__


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
