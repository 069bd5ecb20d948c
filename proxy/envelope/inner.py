"""Headers of the messages below the capsule: content, parts and trailers, wrapped by the object's own keys.

They differ in the key, its name and what the context says they are for; all have exactly one form.
"""

from __future__ import annotations

from proxy.envelope.entropy import Entropy, SystemEntropy
from proxy.envelope.keyring import PROVIDER, AesKeyring
from proxy.envelope.message import DataKey, Header, OpeningKey, SealingKey, open_header
from proxy.errors import IntegrityError

USE_NAME = "s3w-n"
"""The context pair that says what a message is for: `body`, or a part number in five digits."""
_UNUSED = SystemEntropy()


def seal_inner_header(
    wrapping_key: bytes, edk_name: str, use: str, frame_length: int, entropy: Entropy
) -> tuple[bytes, SealingKey]:
    """Make the header of a message whose data key is wrapped by one of the object's own keys."""
    data_key = DataKey(entropy)
    context = {USE_NAME: use}
    edk = AesKeyring(PROVIDER, edk_name, wrapping_key, entropy).wrap(data_key.plaintext, context)
    return data_key.seal_header(context, (edk,), frame_length)


def open_inner_header(header: Header, wrapping_key: bytes, edk_name: str, use: str, size: int) -> OpeningKey:
    """Verify such a header, which must be for `use` and have exactly the form this format gives it."""
    if header.size != size or header.context != {USE_NAME: use} or len(header.edks) != 1:
        raise IntegrityError("header", "the header has another form than this format gives it")
    data_key = AesKeyring(PROVIDER, edk_name, wrapping_key, _UNUSED).unwrap(header.edks[0], header.context)
    if data_key is None:
        raise IntegrityError("header", "the data key is wrapped with another key than this format uses")
    return open_header(header, data_key)
