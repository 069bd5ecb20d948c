"""The policy document inside a browser's upload form: what its signer allowed to be uploaded.

Not to be confused with bucket policies: this one limits the fields of one form until it expires.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from proxy.errors import S3Error
from proxy.s3.headers import NOT_SHOWN, SECRET_VALUES

_UNCOVERED = frozenset({"x-amz-signature", "awsaccesskeyid", "signature", "policy", "file"})
"""Fields that need no condition, as they are the signature or cannot be known when it is made."""

_FORBIDDEN = "Invalid according to Policy: "


@dataclass(frozen=True, slots=True)
class Condition:
    """One demand on a field: `operator` is `eq` or `starts-with`, `field` is lower-case without `$`."""

    operator: str
    field: str
    value: str
    text: str
    """As written, for the error."""

    def holds(self, value: str) -> bool:
        """Tell whether a field's value meets the demand."""
        if self.operator == "eq":
            return value == self.value
        if self.field == "content-type" and "," in value:
            # S3 reads this one as a list, of which each must match.
            return all(part.strip().startswith(self.value) for part in value.split(","))
        return value.startswith(self.value)


@dataclass(frozen=True, slots=True)
class FormPolicy:
    """A parsed policy document. `expiration` is in epoch seconds, `size` the allowed range in bytes."""

    expiration: float
    conditions: tuple[Condition, ...]
    size: tuple[int, int] | None


def parse_form_policy(encoded: str) -> FormPolicy:
    """Read the Base64 text of the form's `policy` field. Raises `S3Error` InvalidPolicyDocument."""
    try:
        document = json.loads(b64decode("".join(encoded.split()), validate=True).decode())
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _invalid("Invalid JSON.") from error
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON: expected an object.")
    expiration = _parse_expiration(document.get("expiration"))
    written = document.get("conditions")
    if not isinstance(written, list):
        raise _invalid("Policy missing conditions.")
    if unknown := document.keys() - {"expiration", "conditions"}:
        raise _invalid(f"Unexpected: '{sorted(unknown)[0]}'")
    conditions: list[Condition] = []
    size: tuple[int, int] | None = None
    for item in written:
        if isinstance(item, list) and item and item[0] == "content-length-range":
            lower, upper = _parse_range(item)
            size = (lower, upper) if size is None else (max(lower, size[0]), min(upper, size[1]))
        else:
            conditions.append(_parse_condition(item))
    return FormPolicy(expiration, tuple(conditions), size)


def _parse_expiration(written: object) -> float:
    if written is None:
        raise _invalid("Policy missing expiration.")
    try:
        moment = datetime.fromisoformat(str(written))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _invalid(f"Invalid 'expiration' value: '{written}'")
    return moment.timestamp()


def _parse_range(item: list[object]) -> tuple[int, int]:
    bounds = [number for number in map(_whole_number, item[1:]) if number is not None]
    if len(item) != 3 or len(bounds) != 2:
        raise _invalid("Invalid content-length-range: expected two whole numbers.")
    return bounds[0], bounds[1]


def _whole_number(written: object) -> int | None:
    if isinstance(written, bool) or not isinstance(written, int | str):
        return None
    text = str(written)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _parse_condition(item: object) -> Condition:
    text = _as_written(item)
    if isinstance(item, dict):
        if len(item) != 1:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((field, value),) = item.items()
        operator = "eq"
        text = _as_written(["eq", f"${field}", value])
    elif isinstance(item, list) and len(item) == 3:
        operator, field, value = item
        if not (isinstance(operator, str) and operator.lower() in {"eq", "starts-with"}):
            raise _invalid(f"Invalid Condition: unknown operation in {text}.")
        if not (isinstance(field, str) and field.startswith("$")):
            raise _invalid(f"Invalid Condition: the field must start with '$' in {text}.")
        operator, field = operator.lower(), field[1:]
    else:
        raise _invalid("Invalid Condition: expected an object or a list of three.")
    if not isinstance(value, str):
        raise _invalid(f"Invalid Condition: the value must be a string in {text}.")
    return Condition(operator, field.lower(), value, text)


def _as_written(item: object) -> str:
    """Return a condition for an error, without the value that it demands of a client's encryption key."""
    text = json.dumps(item, ensure_ascii=False)
    return NOT_SHOWN if any(name in text.lower() for name in SECRET_VALUES) else text


def check_form(policy: FormPolicy, fields: Mapping[str, str], bucket: str, now: float) -> None:
    """Hold the fields of a form against its policy, both ways.

    `fields` have lower-case names and `${filename}` already filled in; `bucket` is the one posted to.
    The size of the file is left to whoever reads it. Raises `S3Error` AccessDenied.
    """
    if now >= policy.expiration:
        raise S3Error("AccessDenied", f"{_FORBIDDEN}Policy expired.")
    covered = set()
    for condition in policy.conditions:
        # A form cannot say where it is posted to: `bucket` is always that of the request.
        value = bucket if condition.field == "bucket" else fields.get(condition.field)
        if value is None or not condition.holds(value):
            raise S3Error("AccessDenied", f"{_FORBIDDEN}Policy Condition failed: {condition.text}")
        covered.add(condition.field)
    extra = [
        name for name in fields if name not in covered and name not in _UNCOVERED and not name.startswith("x-ignore-")
    ]
    if extra:
        raise S3Error("AccessDenied", f"{_FORBIDDEN}Extra input fields: {', '.join(extra)}")


def check_size(size: int, allowed: tuple[int, int] | None) -> None:
    """Check a file's size against `content-length-range`. Raises `S3Error` EntityTooSmall or EntityTooLarge."""
    if allowed is None:
        return
    lower, upper = allowed
    if size < lower:
        raise S3Error("EntityTooSmall", extras={"ProposedSize": str(size), "MinSizeAllowed": str(lower)})
    if size > upper:
        raise S3Error("EntityTooLarge", extras={"ProposedSize": str(size), "MaxSizeAllowed": str(upper)})


def _invalid(problem: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {problem}")
