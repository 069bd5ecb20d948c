"""Upload forms are read at every split, and only well-formed ones with one file are taken."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.filepost import encode_multipart_formdata

from proxy.errors import S3Error
from proxy.s3.form import PRE_DATA_LIMIT, FormParser, PostForm, parse_boundary, parse_form

BOUNDARY = "----WebKitFormBoundaryAbC123"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FIELDS = [("key", "a/${filename}"), ("Policy", "eyJ9"), ("Content-Type", "text/plain"), ("x-amz-meta-empty", "")]
FILE = ('file"; filename="photo.jpg', b"\r\n--not the boundary\r\n\x00\xff\r")


def write_form(
    fields: Sequence[tuple[str, str | bytes]],
    file: tuple[str, bytes] | None = FILE,
    after: Sequence[tuple[str, str | bytes]] = (),
    end: str = "--\r\n",
) -> bytes:
    def part(name: str, value: str | bytes, more: str = "") -> bytes:
        content = value.encode() if isinstance(value, str) else value
        return (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
        )

    parts = [part(*field) for field in fields]
    if file:
        parts.append(part(*file, "\r\nContent-Type: image/jpeg"))
    parts += [part(*field) for field in after]
    return b"".join(parts) + f"--{BOUNDARY}{end}".encode()


def read(pieces: Sequence[bytes], length: int | None, content_type: str = TYPE) -> tuple[PostForm, bytes]:
    parser = FormParser(content_type, length)
    content = b"".join(piece for data in pieces for piece in parser.feed(data))
    parser.finish()
    assert parser.form is not None
    return parser.form, content


def refusal(body: bytes, length: int | None = None) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read([body], length)
    return caught.value


def test_fields_and_file_are_told_apart() -> None:
    body = write_form(FIELDS)
    form, content = read([body], len(body))
    assert dict(form.fields) == {
        "key": "a/${filename}",
        "policy": "eyJ9",
        "content-type": "text/plain",
        "x-amz-meta-empty": "",
    }
    assert (form.file_name, form.file_type, form.file_length) == ("photo.jpg", "image/jpeg", len(FILE[1]))
    assert content == FILE[1]


def test_every_split_in_two_gives_the_same_form() -> None:
    body = write_form(FIELDS)
    whole = read([body], len(body))
    for at in range(len(body)):
        assert read([body[:at], body[at:]], len(body)) == whole, at
    assert read([bytes([byte]) for byte in body], len(body)) == whole


@given(content=st.binary(max_size=200), noise=st.integers(0, len(BOUNDARY) + 4), size=st.integers(1, 50))
def test_content_that_begins_like_a_boundary_is_content(content: bytes, noise: int, size: int) -> None:
    content += f"\r\n--{BOUNDARY}".encode()[: noise - 1]
    body = write_form(FIELDS, ("file", content))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    form, read_content = read(pieces, len(body))
    assert (form.file_length, read_content) == (len(content), content)


def test_a_form_cut_anywhere_is_malformed() -> None:
    body = write_form(FIELDS)
    for length in range(len(body) - 2):
        assert refusal(body[:length]).code in {"MalformedPOSTRequest", "InvalidArgument"}, length


def test_large_pieces_of_the_file_are_passed_on_without_copying() -> None:
    parser = FormParser(TYPE, None)
    parser.feed(write_form([("key", "k")], ("file", b""), end="")[: -len(BOUNDARY) - 4])
    data = b"x" * 100_000
    [piece] = parser.feed(data)
    assert piece is data


def test_forms_of_urllib3_are_read() -> None:
    body, content_type = encode_multipart_formdata([("key", "k"), ("file", ("a b.bin", b"\x00" * 70_000, "x/y"))])
    form, content = read([body[:30_000], body[30_000:]], len(body), content_type)
    assert (form.file_name, form.file_length, content) == ("a b.bin", 70_000, b"\x00" * 70_000)


def test_a_whole_form_may_have_fields_after_the_file_and_end_as_it_likes() -> None:
    for end in ("--\r\n", "--", "--\r\nepilogue"):
        body = write_form(FIELDS, FILE, [("submit", "Upload"), ("key", "ignored")], end)
        form, content = parse_form(TYPE, body)
        assert (form.fields["key"], form.file_length, content) == ("a/${filename}", len(FILE[1]), FILE[1])
        assert "submit" not in form.fields


@pytest.mark.parametrize("end", ["--", "--\r\nepilogue"])
def test_a_streamed_form_must_end_as_the_length_of_its_file_was_computed(end: str) -> None:
    body = write_form(FIELDS, end=end)
    assert "last field" in refusal(body, len(body)).message


def test_a_streamed_form_must_have_the_file_last() -> None:
    body = write_form(FIELDS, FILE, [("submit", "Upload")])
    assert "last field" in refusal(body, len(body)).message


def test_no_more_of_the_file_is_given_out_than_was_announced() -> None:
    body = write_form(FIELDS, ("file", b"x" * 1000))
    parser = FormParser(TYPE, len(body) - 900)
    with pytest.raises(S3Error, match="MalformedPOSTRequest"):
        parser.feed(body)


def test_there_must_be_exactly_one_file() -> None:
    assert refusal(write_form(FIELDS, None)).code == "IncorrectNumberOfFilesInPostRequest"
    assert refusal(write_form(FIELDS, FILE, [("File", "x")])).code == "IncorrectNumberOfFilesInPostRequest"


def test_a_field_given_twice_is_refused_whatever_its_case() -> None:
    error = refusal(write_form([("key", "a"), ("KEY", "b")]))
    assert (error.code, error.extras["ArgumentName"]) == ("InvalidArgument", "key")


def test_a_clients_encryption_key_given_twice_is_not_shown() -> None:
    name = "x-amz-server-side-encryption-customer-key"
    error = refusal(write_form([("key", "a"), (name, "c2VjcmV0"), (name, "c2VjcmV0")]))
    assert (error.code, error.extras) == ("InvalidArgument", {"ArgumentName": name, "ArgumentValue": "(not shown)"})


def test_a_key_must_come_before_the_file() -> None:
    error = refusal(write_form([("policy", "x")], FILE, [("key", "k")]))
    assert (error.code, error.extras["ArgumentName"]) == ("InvalidArgument", "key")


@pytest.mark.parametrize("step", [1000, 10**9])
def test_fields_before_the_file_are_limited(step: int) -> None:
    def outcome(size: int) -> str:
        body = write_form([("key", "k"), ("note", "x" * size)])
        try:
            read([body[at : at + step] for at in range(0, len(body), step)], None)
        except S3Error as error:
            return error.code
        return "taken"

    frame = write_form([("key", "k"), ("note", "")]).index(b"\r\n\r\n" + FILE[1]) + 4
    assert outcome(PRE_DATA_LIMIT - frame) == "taken"
    assert outcome(PRE_DATA_LIMIT - frame + 1) == "MaxPostPreDataLengthExceededError"


def test_an_endless_field_or_header_is_not_collected() -> None:
    for start in (b"", b"Content-Disposition: form-data; name=", b'Content-Disposition: form-data; name="x"\r\n\r\n'):
        parser = FormParser(TYPE, None)
        parser.feed(f"--{BOUNDARY}\r\n".encode() + start)
        with pytest.raises(S3Error, match="MaxPostPreData"):
            parser.feed(b"x" * (PRE_DATA_LIMIT + 1))
    parser = FormParser(TYPE, None)
    parser.feed(write_form(FIELDS, end="\r\n"))
    with pytest.raises(S3Error, match="MaxPostPreData"):
        parser.feed(b"x" * (PRE_DATA_LIMIT + 1))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('form-data; name="file"; filename="a;b \\"c\\".txt"', 'a;b "c".txt'),
        ('form-data; name="file"; filename="C:\\dir\\x.txt"', "C:\\dir\\x.txt"),
        ("form-data; name=file; filename=plain.txt", "plain.txt"),
        ('Form-Data;name="FILE"', ""),
        ('form-data; name="file"; filename="grün.txt"', "grün.txt"),
    ],
)
def test_file_names_are_read_as_browsers_write_them(value: str, name: str) -> None:
    body = write_form([("key", "k")], None, end="\r\n")
    body += f"content-disposition: {value}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode()
    assert parse_form(TYPE, body)[0].file_name == name


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain",
        b"Content-Disposition: attachment; name=a",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; name=""',
        b'Content-Disposition: form-data; name="a"; name="b"',
        b'Content-Disposition: form-data; name="a',
        b"no colon",
        b'Content-Disposition: form-data; name="\xff"',
    ],
)
def test_a_part_without_a_proper_name_is_malformed(head: bytes) -> None:
    body = f"--{BOUNDARY}\r\n".encode() + head + f"\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode()
    assert refusal(body).code == "MalformedPOSTRequest"


def test_what_is_no_form_is_malformed() -> None:
    assert refusal(b"x" * 100).code == "MalformedPOSTRequest"
    assert refusal(f"--{BOUNDARY}xx".encode()).code == "MalformedPOSTRequest"
    assert refusal(write_form([("key", b"\xff")])).code == "MalformedPOSTRequest"
    assert refusal(write_form(FIELDS), 10).code == "MalformedPOSTRequest"
    with pytest.raises(S3Error, match="IncorrectNumberOfFiles"):
        parse_form(TYPE, write_form(FIELDS, None))


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "multipart/mixed; boundary=x", "multipart/form-dat"])
def test_another_content_type_is_not_a_form(content_type: str | None) -> None:
    with pytest.raises(S3Error) as caught:
        FormParser(content_type, 1)
    assert (caught.value.code, caught.value.status) == ("RequestIsNotMultiPartContent", 412)


@pytest.mark.parametrize("parameter", ["", "; boundary=", '; boundary=""', "; boundary=a; boundary=b", "; x"])
def test_a_form_needs_a_boundary(parameter: str) -> None:
    with pytest.raises(S3Error, match="MalformedPOSTRequest"):
        parse_boundary("multipart/form-data" + parameter)
    with pytest.raises(S3Error, match="MalformedPOSTRequest"):
        parse_boundary("multipart/form-data; boundary=" + "x" * 71)


def test_a_boundary_may_be_quoted_and_stand_anywhere() -> None:
    assert parse_boundary('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
