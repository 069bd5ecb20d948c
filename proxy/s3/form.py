r"""Browser uploads: multipart/form-data read as a stream, fields first, then one file.

Sans-I/O: the parser is fed what arrives and returns pieces of the file. Fields must stand before the
file, as S3 demands; those after it are ignored. Whether the form's policy allows the upload is not
known here.

How long the file is, nobody says in advance, but a store wants to know. `file_length` is computed from the
length of the whole request on the assumption that the file comes last and the form ends as every
browser ends it (`\r\n--boundary--\r\n`); a form for which that is wrong is refused when it shows, which is
before the last bytes of the file are given out by whoever holds them back. Forms that fit into memory are
better read whole with `parse_form`, which needs no assumption.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html, RFC 7578, RFC 2046 5.1.1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from proxy.errors import S3Error
from proxy.s3.checksums import Buffer
from proxy.s3.headers import shown

PRE_DATA_LIMIT = 20 * 1024
"""S3's limit on everything before the content of the file."""

_PARAMETER = re.compile(r';\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))\s*')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_CLOSING = len(b"--\r\n")


@dataclass(frozen=True, slots=True)
class PostForm:
    """The fields before the file, and what the form says about the file.

    `fields` maps lower-case names to values as sent, `${filename}` included. `file_name` is what the browser
    says, perhaps a whole path. `file_type` is the Content-Type of the file's part, which S3 does not use: an
    object gets the type that the field `content-type` names.
    """

    fields: Mapping[str, str]
    file_name: str
    file_type: str | None
    file_length: int | None
    """Bytes of the file, assuming that it comes last; None when the length of the request is not known."""


class _State(Enum):
    BOUNDARY = "first boundary"
    HEADERS = "headers of a part"
    VALUE = "value of a field"
    FILE = "file"
    AFTER = "boundary"
    SKIP = "field after the file"
    DONE = "end"


class FormParser:
    """Reads one form. `form` is None until the content of the file begins."""

    __slots__ = (
        "_delimiter",
        "_fields",
        "_file_seen",
        "_length",
        "_name",
        "_rest",
        "_state",
        "_taken",
        "form",
    )

    def __init__(self, content_type: str | None, content_length: int | None) -> None:
        """`content_length` is that of the whole request, None if unknown."""
        self._delimiter = b"\r\n--" + parse_boundary(content_type)
        self._length = content_length
        self._state = _State.BOUNDARY
        # The first boundary has no line before it; with this every boundary looks the same.
        self._rest = b"\r\n"
        self._taken = -2
        self._fields: dict[str, str] = {}
        self._name = ""
        self._file_seen = 0
        self.form: PostForm | None = None

    def feed(self, data: Buffer) -> list[bytes]:
        """Take the next bytes of the request, return the file's bytes in them.

        Raises `S3Error` MalformedPOSTRequest, MaxPostPreDataLengthExceededError,
        IncorrectNumberOfFilesInPostRequest or InvalidArgument.
        """
        self._rest = self._rest + data if self._rest else bytes(data)
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        # Before the file everything counts, after it only what is kept: the headers of one more part.
        if len(self._rest) + (self._taken if self.form is None else 0) > PRE_DATA_LIMIT:
            raise S3Error("MaxPostPreDataLengthExceededError", close=True)
        return pieces

    def finish(self) -> None:
        """Tell that the request has ended. Raises `S3Error` when the form has not, or had no file."""
        if self._state is not _State.DONE:
            raise S3Error("MalformedPOSTRequest", detail=f"form ended before its {self._state.value}")

    def _step(self, pieces: list[bytes]) -> bool:
        """Do one thing if enough bytes are there; tell whether to go on."""
        if self._state is _State.BOUNDARY:
            return self._take_first_boundary()
        if self._state is _State.AFTER:
            return self._take_after_boundary()
        if self._state is _State.HEADERS:
            return self._take_headers()
        if self._state is _State.VALUE:
            return self._take_value()
        if self._state is _State.DONE:
            self._rest = b""
            return False
        return self._take_content(pieces)

    def _drop(self, size: int) -> bytes:
        head, self._rest = self._rest[:size], self._rest[size:]
        self._taken += size
        return head

    def _take_first_boundary(self) -> bool:
        if len(self._rest) < len(self._delimiter):
            return False
        if self._drop(len(self._delimiter)) != self._delimiter:
            raise S3Error("MalformedPOSTRequest", detail="form does not begin with its boundary")
        self._state = _State.AFTER
        return True

    def _take_after_boundary(self) -> bool:
        if len(self._rest) < 2:
            return False
        mark = self._drop(2)
        if mark == b"--":
            if self.form is None:
                raise S3Error("IncorrectNumberOfFilesInPostRequest")
            self._state = _State.DONE
        elif mark == b"\r\n":
            self._state = _State.HEADERS
        else:
            raise S3Error("MalformedPOSTRequest", detail="boundary followed by something else")
        return True

    def _take_headers(self) -> bool:
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            return False
        headers = _parse_part_headers(self._drop(end + 4)[:end])
        parameters = _parse_disposition(headers.get("content-disposition", ""))
        self._name = parameters["name"].lower()
        if self.form is not None:
            if self._name == "file":
                raise S3Error("IncorrectNumberOfFilesInPostRequest", close=True)
            self._state = _State.SKIP
        elif self._name == "file":
            self._begin_file(parameters.get("filename", ""), headers.get("content-type"))
        else:
            self._state = _State.VALUE
        return True

    def _take_value(self) -> bool:
        end = self._rest.find(self._delimiter)
        if end < 0:
            return False
        value = self._drop(end)
        self._drop(len(self._delimiter))
        if self._name in self._fields:
            raise S3Error(
                "InvalidArgument",
                "A field of the form must be sent only once.",
                {"ArgumentName": self._name, "ArgumentValue": shown(self._name, _text(value))},
            )
        self._fields[self._name] = _text(value)
        self._state = _State.AFTER
        return True

    def _begin_file(self, name: str, file_type: str | None) -> None:
        if self._taken > PRE_DATA_LIMIT:
            raise S3Error("MaxPostPreDataLengthExceededError", close=True)
        if not self._fields.get("key"):
            raise S3Error(
                "InvalidArgument",
                "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the "
                "fields.",
                {"ArgumentName": "key", "ArgumentValue": ""},
            )
        length = None
        if self._length is not None:
            length = self._length - self._taken - len(self._delimiter) - _CLOSING
            if length < 0:
                raise S3Error("MalformedPOSTRequest", detail="request is too short for a file and a boundary")
        self.form = PostForm(MappingProxyType(self._fields), name, file_type, length)
        self._state = _State.FILE

    def _take_content(self, pieces: list[bytes]) -> bool:
        """Pass on (or skip) content up to the next delimiter, or up to what might begin one."""
        end = self._rest.find(self._delimiter)
        found = end >= 0
        if not found:
            end = len(self._rest) - _overlap(self._rest, self._delimiter)
        content = self._drop(end)
        if self._state is _State.FILE:
            self._file_seen += len(content)
            if content:
                pieces.append(content)
            self._check_length(found)
        if found:
            self._drop(len(self._delimiter))
            self._state = _State.AFTER
        return found

    def _check_length(self, complete: bool) -> None:
        expected = self.form.file_length if self.form else None
        if expected is None or (self._file_seen == expected if complete else self._file_seen <= expected):
            return
        raise S3Error(
            "MalformedPOSTRequest",
            "In a form of this size the file must be the last field, and the form must end with a line end.",
            close=True,
        )


def parse_form(content_type: str | None, body: bytes) -> tuple[PostForm, bytes]:
    """Read a whole form; return it with the file. `file_length` is exact, fields may follow the file."""
    parser = FormParser(content_type, None)
    content = b"".join(parser.feed(body))
    parser.finish()
    if parser.form is None:
        raise S3Error("IncorrectNumberOfFilesInPostRequest")
    form = parser.form
    return PostForm(form.fields, form.file_name, form.file_type, len(content)), content


def parse_boundary(content_type: str | None) -> bytes:
    """Return the boundary that a Content-Type names.

    Raises `S3Error` RequestIsNotMultiPartContent for another type, MalformedPOSTRequest without a boundary.
    """
    kind, _, _ = (content_type or "").partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise S3Error("RequestIsNotMultiPartContent")
    boundary = _parse_parameters((content_type or "")[len(kind) :]).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise S3Error("MalformedPOSTRequest", detail="missing or malformed boundary")
    return boundary.encode("ascii")


def _parse_part_headers(block: bytes) -> dict[str, str]:
    headers = {}
    for line in block.split(b"\r\n"):
        name, separator, value = line.partition(b":")
        if not separator:
            raise S3Error("MalformedPOSTRequest", detail="line without a colon among the headers of a part")
        headers[_text(name).strip().lower()] = _text(value).strip()
    return headers


def _parse_disposition(value: str) -> dict[str, str]:
    kind, _, _ = value.partition(";")
    parameters = _parse_parameters(value[len(kind) :])
    if kind.strip().lower() != "form-data" or not parameters.get("name"):
        raise S3Error("MalformedPOSTRequest", detail="part without a form-data name")
    return parameters


def _parse_parameters(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or match[1].lower() in parameters:
            raise S3Error("MalformedPOSTRequest", detail="malformed or doubled header parameter")
        # Only the quote is escaped by those who escape at all; a backslash may be part of a path.
        parameters[match[1].lower()] = match[3] if match[2] is None else match[2].replace('\\"', '"')
        at = match.end()
    return parameters


def _overlap(data: bytes, delimiter: bytes) -> int:
    """Return how many bytes at the end of `data` could be the beginning of `delimiter`."""
    start = data.find(b"\r", max(0, len(data) - len(delimiter) + 1))
    while start >= 0:
        if delimiter.startswith(data[start:]):
            return len(data) - start
        start = data.find(b"\r", start + 1)
    return 0


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise S3Error("MalformedPOSTRequest", detail="field or header of a part is not UTF-8") from error
