"""DeleteObjects: keys out of the body, a body without some, their errors in the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.deletes import DeleteBatch, Deletion, Refusal, merge_refusals, parse_deletes, without
from proxy.s3.xml import parse_xml

KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF), min_size=1, max_size=20).filter(
    lambda key: ".." not in key
)


def test_keys_versions_conditions_and_quiet_are_read() -> None:
    batch = parse_deletes(
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a &amp; b</Key></Object>'
        b"<Object><Key>c</Key><VersionId>null</VersionId></Object><Object><Key>d</Key><VersionId/></Object>"
        b'<Object><ETag>"x"</ETag><Key>e</Key><Size>3</Size></Object><Quiet>true</Quiet></Delete>'
    )
    assert batch == DeleteBatch(
        (
            Deletion("a & b"),
            Deletion("c", "null"),
            Deletion("d"),
            Deletion("e", None, (("ETag", '"x"'), ("Size", "3"))),
        ),
        quiet=True,
    )


@given(
    st.lists(
        st.builds(Deletion, KEYS, st.none() | KEYS, st.just(()) | st.just((("ETag", '"a"'), ("Size", "1")))),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_a_batch_that_is_written_reads_back(deletions: list[Deletion], quiet: bool) -> None:
    batch = DeleteBatch(tuple(deletions), quiet)
    assert parse_deletes(batch.render()) == batch


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete/>",
        b"<Remove><Object><Key>a</Key></Object></Remove>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key><VersionId>1</VersionId><VersionId>2</VersionId></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Force>1</Force></Object></Delete>",
        b"<Delete><Prefix>a</Prefix></Delete>",
        b"<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
        b"<Delete><Object><Key>a<b/></Key></Object></Delete>",
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
    ],
)
def test_a_body_that_could_be_read_otherwise_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        parse_deletes(body)


def test_a_thousand_keys_pass_and_impossible_keys_do_not() -> None:
    assert len(parse_deletes(b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1000 + b"</Delete>").deletions) == 1000
    with pytest.raises(S3Error, match="InvalidURI"):
        parse_deletes(b"<Delete><Object><Key>../other/a</Key></Object></Delete>")


def test_refused_deletions_leave_the_batch_and_appear_in_the_answer() -> None:
    batch = DeleteBatch((Deletion("a"), Deletion("b", "v1"), Deletion("b"), Deletion("b", "v1")), quiet=True)
    refusals = [Refusal(Deletion("b", "v1"), "AccessDenied", "Access <Denied>")]
    rest = without(batch, refusals)
    assert rest == DeleteBatch((Deletion("a"), Deletion("b")), quiet=True)
    answer = merge_refusals(b"<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>", refusals)
    root = parse_xml(answer)
    assert [each.name for each in root.children] == ["Deleted", "Error"]
    error = root.children[1]
    assert [(each.name, each.text) for each in error.children] == [
        ("Key", "b"),
        ("VersionId", "v1"),
        ("Code", "AccessDenied"),
        ("Message", "Access <Denied>"),
    ]


def test_when_everything_is_refused_the_answer_is_made_without_the_store() -> None:
    root = parse_xml(merge_refusals(None, [Refusal(Deletion("a"), "AccessDenied", "Access Denied")]))
    assert root.name == "DeleteResult"
    assert [each.value("Key") for each in root.all("Error")] == ["a"]


@pytest.mark.parametrize("answer", [b"", b"<Error><Code>SlowDown</Code></Error>", b"<DeleteResult>"])
def test_an_answer_that_is_not_understood_becomes_an_internal_error(answer: bytes) -> None:
    with pytest.raises(S3Error, match="InternalError"):
        merge_refusals(answer, [])
