"""The operations table: every row is told apart, and agrees with the AWS SDK's own service model."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import botocore.serialize
import botocore.session
import pytest
from botocore.model import OperationModel, Shape, StructureShape

from proxy.s3.address import Domains
from proxy.s3.head import RequestHead, parse_head
from proxy.s3.headers import Headers
from proxy.s3.operation import COMMON_HEADERS, HEADER_FAMILIES, Operation
from proxy.s3.operations import BY_WIRE_FORM, OPERATIONS
from proxy.s3.request import identify

DOMAINS = Domains.of(["s3.example.test"])
MODEL = botocore.session.get_session().get_service_model("s3")
NOT_IN_MODEL = {"PostObject", "CorsPreflight"}
# Without the one key that marks it, it has the wire form of ListBuckets.
MARKED_BY_OPTIONAL = {"ListDirectoryBuckets"}
# No row takes these; a request that carries one is refused.
REFUSED_HEADERS = {
    "x-amz-object-lock-event-hold",
    "x-amz-object-lock-event-hold-duration-days",
    "x-amz-object-lock-event-hold-duration-years",
    "x-amz-write-offset-bytes",
}


def resolved(name: str) -> str:
    return OPERATIONS[name].alias_of or name


def minimal_head(row: Operation) -> RequestHead:
    """A request with what the row needs and nothing else."""
    path = {"service": "/", "bucket": "/my-bucket", "object": "/my-bucket/my-key"}[row.scope]
    if row.name == "WriteGetObjectResponse":
        path = "/WriteGetObjectResponse"
    query = {row.subresource: ""} if row.subresource else {}
    query |= dict(row.fixed_query) | dict.fromkeys(row.required_query, "1")
    headers = [(name, "other-bucket/key") for name in row.required_headers]
    if row.body == "form":
        headers.append(("content-type", "multipart/form-data; boundary=b"))
    return parse_head(row.method, f"{path}?{urlencode(query)}", Headers.of(headers))


def value_of(shape: Shape, path: str) -> object:
    """Make a value that a shape accepts; structures get all their members."""
    match shape.type_name:
        case "structure":
            assert isinstance(shape, StructureShape)
            return {name: value_of(member, f"{path}.{name}") for name, member in shape.members.items()}
        case "list":
            return [value_of(shape.member, path)]
        case "map":
            return {"key": "value"}
        case "integer" | "long":
            return 1
        case "boolean":
            return True
        case "timestamp":
            return "2026-11-23T00:00:00Z"
        case "blob":
            return b"data"
        case _:
            return next(iter(getattr(shape, "enum", ())), "value")


def parameters(model: OperationModel, *, optional: bool) -> dict[str, object]:
    shape = model.input_shape
    if shape is None:
        return {}
    chosen = {
        name: value_of(member, name)
        for name, member in shape.members.items()
        if name in shape.required_members or (optional and member.serialization.get("location") is not None)
    }
    fixed = {"Bucket": "my-bucket", "Key": "folder/my key", "CopySource": "other-bucket/key", "RequestRoute": "r"}
    return chosen | {name: value for name, value in fixed.items() if name in chosen}


def serialised(name: str, *, optional: bool) -> RequestHead:
    """The request that botocore's own serializer makes for an operation."""
    model = MODEL.operation_model(name)
    serializer = botocore.serialize.create_serializer("rest-xml", include_validation=False)
    request = serializer.serialize_to_request(parameters(model, optional=optional), model)
    path, _, fixed = request["url_path"].partition("?")
    pairs = []
    for key, value in request["query_string"].items():
        pairs += [(key, each) for each in value] if isinstance(value, list) else [(key, str(value))]
    query = "&".join(piece for piece in (fixed, urlencode(pairs)) if piece)
    headers = [(key, str(value)) for key, value in request["headers"].items() if key.lower() not in REFUSED_HEADERS]
    return parse_head(request["method"], f"{path}?{query}" if query else path, Headers.of(headers))


def known_headers(model: OperationModel) -> Iterator[str]:
    if model.input_shape is not None:
        for member in model.input_shape.members.values():
            if member.serialization.get("location") == "header":
                yield member.serialization["name"].lower()


def test_the_table_holds_every_operation_of_the_service_model_and_two_more() -> None:
    assert set(OPERATIONS) == set(MODEL.operation_names) | NOT_IN_MODEL
    assert len(OPERATIONS) == 118


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_row_is_recognised_by_its_own_markers(name: str) -> None:
    row = OPERATIONS[name]
    assert identify(minimal_head(row), DOMAINS).operation.name == resolved(name)


@pytest.mark.parametrize("name", sorted(set(MODEL.operation_names) - MARKED_BY_OPTIONAL))
def test_what_botocore_sends_with_required_parameters_only_is_recognised(name: str) -> None:
    assert identify(serialised(name, optional=False), DOMAINS).operation.name == resolved(name)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_what_botocore_sends_with_all_parameters_is_recognised_and_accepted(name: str) -> None:
    head = serialised(name, optional=True)
    request = identify(head, DOMAINS)
    assert request.operation.name == resolved(name)
    assert request.address.bucket == ("my-bucket" if OPERATIONS[name].scope != "service" else None)
    assert request.address.key == ("folder/my key" if OPERATIONS[name].scope == "object" else None)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_method_path_and_query_are_those_of_the_service_model(name: str) -> None:
    row, model = OPERATIONS[name], MODEL.operation_model(name)
    assert row.method == model.http["method"]
    url = urlsplit(model.http["requestUri"])
    scope = "object" if "{Key+}" in url.path else "bucket" if "{Bucket}" in url.path else "service"
    assert row.scope == scope
    fixed = {piece for piece in url.query.split("&") if piece and not piece.startswith("x-id=")}
    assert {row.subresource, *("=".join(pair) for pair in row.fixed_query)} - {""} == fixed
    members = model.input_shape.members if model.input_shape else {}
    query = {m.serialization["name"] for m in members.values() if m.serialization.get("location") == "querystring"}
    extra = {"GetObjectTorrent": {"versionId"}, "ListParts": {"encoding-type"}}.get(name, set())
    assert query == set(row.required_query + row.optional_query) - extra


@pytest.mark.parametrize("name", [name for name in MODEL.operation_names if OPERATIONS[name].support == "forward"])
def test_every_header_of_the_service_model_is_taken_but_the_refused_ones(name: str) -> None:
    row = OPERATIONS[name]
    amazon = {h for h in known_headers(MODEL.operation_model(name)) if h.startswith("x-amz-")}
    taken = {h for h in amazon if h in row.headers or h.startswith(HEADER_FAMILIES)}
    assert amazon - taken == amazon & REFUSED_HEADERS
    grants = {"x-amz-grant-write"}  # the model leaves it out for objects; the family is judged as one
    assert {h for h in row.headers if not h.startswith(HEADER_FAMILIES)} - COMMON_HEADERS - amazon <= grants


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_the_kind_of_body_is_that_of_the_service_model(name: str) -> None:
    shape = MODEL.operation_model(name).input_shape
    expected = "none"
    if shape is not None:
        payload = shape.serialization.get("payload")
        if payload:
            expected = {"blob": "stream", "structure": "xml", "string": "json"}[shape.members[payload].type_name]
        elif any("location" not in member.serialization for member in shape.members.values()):
            expected = "xml"
    assert OPERATIONS[name].body == expected


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_the_kind_of_answer_is_that_of_the_service_model(name: str) -> None:
    shape = MODEL.operation_model(name).output_shape
    expected = "empty"
    if shape is not None:
        payload = shape.serialization.get("payload")
        if payload:
            kind = shape.members[payload]
            stream = kind.type_name == "blob" or kind.serialization.get("eventstream")
            expected = "stream" if stream else {"structure": "xml", "string": "json"}[kind.type_name]
        elif any(m.serialization.get("location") not in ("header", "headers") for m in shape.members.values()):
            expected = "xml"
    assert OPERATIONS[name].answer == expected


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_a_checksum_is_demanded_where_the_service_model_demands_it(name: str) -> None:
    demanded = (MODEL.operation_model(name).http_checksum or {}).get("requestChecksumRequired", False)
    assert OPERATIONS[name].checksum_required == demanded


def test_one_wire_form_never_has_two_rows_with_the_same_markers() -> None:
    for form, rows in BY_WIRE_FORM.items():
        markers = [(frozenset(row.required_query), frozenset(row.required_headers)) for row in rows]
        assert len(set(markers)) == len(markers), form


def test_more_specific_rows_are_tried_first() -> None:
    names = [row.name for row in BY_WIRE_FORM["PUT", "object", ""]]
    assert names == ["UploadPartCopy", "UploadPart", "CopyObject", "PutObject"]


def test_a_version_has_its_own_action_only_where_a_version_can_be_named() -> None:
    for row in OPERATIONS.values():
        if row.versioned_actions and row.name != "DeleteObjects":  # there it is in the body
            assert "versionId" in row.optional_query, row.name
            assert len(row.versioned_actions) == len(row.actions)


def test_every_row_that_is_forwarded_asks_for_actions_except_preflights() -> None:
    without = {row.name for row in OPERATIONS.values() if not row.actions}
    assert without == {"CorsPreflight"}
    foreign = {row.name for row in OPERATIONS.values() if any(not a.startswith("s3:") for a in row.actions)}
    assert foreign == {row.name for row in OPERATIONS.values() if row.support == "refuse"}


def test_aliases_point_to_a_row_of_the_same_wire_form() -> None:
    aliases = {row.name: row.alias_of for row in OPERATIONS.values() if row.alias_of}
    assert set(aliases) == {
        "GetBucketLifecycle",
        "PutBucketLifecycle",
        "GetBucketNotification",
        "PutBucketNotification",
    }
    for name, target in aliases.items():
        row, other = OPERATIONS[name], OPERATIONS[target]
        assert (row.method, row.scope, row.subresource) == (other.method, other.scope, other.subresource)
        assert row.actions == other.actions


def test_extra_actions_hang_on_headers_their_operation_takes() -> None:
    for row in OPERATIONS.values():
        taken = OPERATIONS["PutObject"].headers if row.name == "PostObject" else row.headers
        for extra in row.extra_actions:
            assert set(extra.headers) <= taken
            assert bool(extra.headers) != bool(extra.element)
