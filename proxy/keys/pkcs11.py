"""AES keys in a PKCS#11 token, over python-pkcs11: the key never leaves the token.

The EDK is the Encryption SDK's raw AES form, with AES-GCM done by the token. Calls into a token go
through one thread and one session, since neither modules nor sessions promise more; a session that was
lost is opened again at the next call.

Source: PKCS #11 Specification 3.1, 6.10.3 "AES-GCM" and 5.6 "session management functions"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import pkcs11
from pkcs11.mechanisms import GCMParams

from proxy.config import Pkcs11
from proxy.envelope.context import Context, serialise_context
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import KEY_SIZE, NONCE_SIZE, PROVIDER, TAG_SIZE, Edk, aes_info_prefix
from proxy.errors import IntegrityError, S3Error
from proxy.keys.local import version_name
from proxy.keys.service import KeyUnavailableError, Provider
from proxy.keys.threads import Threads

_T = TypeVar("_T")


class Pkcs11Key:
    """An AES key in a token, each version an object of its own there."""

    provider: Provider = "pkcs11"
    is_remote = True
    can_unwrap = True

    def __init__(self, name: str, settings: Pkcs11, versions: Sequence[tuple[str, str]], entropy: Entropy) -> None:
        """`versions` are pairs of version and label, the one that writes first."""
        self.name = name
        self._settings = settings
        self._entropy = entropy
        self._labels: Mapping[bytes, str] = {
            aes_info_prefix(version_name(name, version)): label for version, label in versions
        }
        self._writer = next(iter(self._labels))
        self._threads = Threads(name, 1)
        self._session: pkcs11.Session | None = None
        self._keys: dict[str, pkcs11.SecretKey] = {}

    def names(self, edk: Edk) -> bool:
        """Tell whether a version that is configured wrapped `edk`."""
        return self._prefix(edk) is not None

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Encrypt in the token with the first version."""
        nonce = self._entropy.random(NONCE_SIZE)
        label, aad = self._labels[self._writer], serialise_context(context)
        sealed = await self._call(lambda: _encrypt(self._key(label), data_key, nonce, aad))
        if len(sealed) != len(data_key) + TAG_SIZE:
            raise KeyUnavailableError("answered with a ciphertext of another length")
        return Edk(PROVIDER, self._writer + nonce, sealed)

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Decrypt in the token; raises `IntegrityError` edk for another context or a changed ciphertext."""
        prefix = self._prefix(edk)
        if prefix is None:
            return None
        nonce, aad = edk.key_info[len(prefix) :], serialise_context(context)
        label = self._labels[prefix]
        if len(nonce) != NONCE_SIZE or len(edk.ciphertext) != KEY_SIZE + TAG_SIZE:
            raise self._does_not_open()
        return await self._call(lambda: self._open_sealed(label, edk.ciphertext, nonce, aad))

    async def check(self) -> str | None:
        """Look for every key object in the token."""
        for label in self._labels.values():
            try:
                await self._call(partial(self._key, label))
            except S3Error as error:
                return error.detail
        return None

    async def renew(self, label: str) -> None:
        """Make an AES key labelled `label` in the token, which never lets it out.

        Raises `S3Error` InvalidArgument if there is one.
        """
        await self._call(lambda: _make(self._settings, label))

    async def close(self) -> None:
        """End the session and its thread."""
        try:
            await self._threads.run(self._drop)
        finally:
            self._threads.close()

    def _prefix(self, edk: Edk) -> bytes | None:
        if edk.provider_id != PROVIDER:
            return None
        return next((prefix for prefix in self._labels if edk.key_info.startswith(prefix)), None)

    def _key(self, label: str) -> pkcs11.SecretKey:
        if self._session is None:
            self._session = _open(self._settings)
        found = self._keys.get(label)
        if found is None:
            attributes = {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                pkcs11.Attribute.LABEL: label,
            }
            objects = list(self._session.get_objects(attributes))
            if len(objects) != 1:
                count = "several AES keys" if objects else "no AES key"
                raise S3Error("KMS.NotFoundException", detail=f"the token has {count} labelled `{label}`")
            found = self._keys[label] = objects[0]
        return found

    def _open_sealed(self, label: str, sealed: bytes, nonce: bytes, aad: bytes) -> bytes:
        key = self._key(label)
        try:
            return _decrypt(key, sealed, nonce, aad)
        except (pkcs11.GeneralError, pkcs11.FunctionFailed) as error:
            # What SoftHSM and others answer to a wrong tag, as to any trouble of their own. So try something
            # that must work: if it does, the token is well and the data key is not.
            probe = self._entropy.random(NONCE_SIZE)
            _decrypt(key, _encrypt(key, bytes(KEY_SIZE), probe, b""), probe, b"")
            raise self._does_not_open() from error

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            session.close()

    async def _call(self, call: Callable[[], _T]) -> _T:
        return await self._threads.run(lambda: self._guarded(call))

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange) as error:
            raise self._does_not_open() from error
        except pkcs11.PKCS11Error as error:
            self._forget()
            raise KeyUnavailableError(f"answered {type(error).__name__}") from error
        except RuntimeError as error:  # a module that cannot be loaded
            raise KeyUnavailableError(f"cannot be asked: {error}") from error

    def _forget(self) -> None:
        """Drop a session that may be dead; that it cannot even be closed is no news then."""
        try:
            self._drop()
        except pkcs11.PKCS11Error:
            self._session = None

    def _does_not_open(self) -> IntegrityError:
        return IntegrityError("edk", f"the data key wrapped with `{self.name}` does not open")

    def __repr__(self) -> str:
        return f"Pkcs11Key({self.name!r})"


def _open(settings: Pkcs11, *, rw: bool = False) -> pkcs11.Session:
    token = pkcs11.lib(str(settings.module)).get_token(token_label=settings.token_label)
    try:
        return token.open(rw=rw, user_pin=settings.pin.reveal())
    except pkcs11.UserAlreadyLoggedIn:
        # Login counts for the whole process: another key of this token, or the rules before a reload.
        return token.open(rw=rw)


def _make(settings: Pkcs11, label: str) -> None:
    with _open(settings, rw=True) as session:
        same = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.LABEL: label}
        if list(session.get_objects(same)):
            raise S3Error("InvalidArgument", detail=f"the token has a key labelled `{label}` already")
        kept = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        session.generate_key(pkcs11.KeyType.AES, KEY_SIZE * 8, label=label, store=True, template=kept)


def _encrypt(key: pkcs11.SecretKey, data_key: bytes, nonce: bytes, aad: bytes) -> bytes:
    return bytes(
        key.encrypt(data_key, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, aad, TAG_SIZE * 8))
    )


def _decrypt(key: pkcs11.SecretKey, sealed: bytes, nonce: bytes, aad: bytes) -> bytes:
    return bytes(
        key.decrypt(sealed, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, aad, TAG_SIZE * 8))
    )
