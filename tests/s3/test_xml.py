"""XML in bounds: what two parsers could see differently is refused, what is written reads back."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.xml import DEPTH_LIMIT, ELEMENT_LIMIT, Element, error_xml, parse_xml, render_xml

XML_TEXT = st.text(
    st.one_of(
        st.sampled_from("\t\n\r<>&'\"]"),
        st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs"]),
        st.characters(min_codepoint=0x10000),
    ),
    max_size=20,
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
ATTRIBUTES = st.dictionaries(NAMES.filter(lambda name: not name.lower().startswith("xml")), XML_TEXT, max_size=2)


def elements() -> st.SearchStrategy[Element]:
    attributes = ATTRIBUTES.map(lambda found: tuple(found.items()))
    leaf = st.builds(Element, NAMES, XML_TEXT, st.just(()), attributes)
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            Element, NAMES, st.just(""), st.lists(inner, min_size=1, max_size=4).map(tuple), attributes
        ),
    )


def malformed(document: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        parse_xml(document)
    assert caught.value.code == "MalformedXML"
    return caught.value.detail


@given(elements())
def test_what_is_written_reads_back(element: Element) -> None:
    assert parse_xml(render_xml(element)) == element


@given(elements())
def test_what_is_written_is_read_alike_by_another_parser(element: Element) -> None:
    other = ET.fromstring(render_xml(element))  # noqa: S314 - our own output

    def same(left: Element, right: ET.Element) -> bool:
        return (
            (left.name, left.text, dict(left.attributes)) == (right.tag, right.text or "", right.attrib)
            and len(left.children) == len(right)
            and all(same(a, b) for a, b in zip(left.children, right, strict=True))
        )

    assert same(element, other)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_malformed(document: bytes) -> None:
    try:
        parse_xml(document)
    except S3Error as error:
        assert error.code == "MalformedXML"  # noqa: PT017 - both outcomes are fine


@given(elements(), st.data())
def test_a_truncated_document_is_malformed(element: Element, data: st.DataObject) -> None:
    document = render_xml(element)
    malformed(document[: data.draw(st.integers(0, len(document) - 1))])


def test_a_document_type_is_refused_before_any_entity_is_declared() -> None:
    laughs = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    assert "document type" in malformed(b'<!DOCTYPE x [<!ENTITY a0 "ha">' + laughs + b"]><x>&a9;</x>")
    assert "document type" in malformed(b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>')


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"   ",
        b"text",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a/>text",
        b"<a>&unknown;</a>",
        b"<a>&#0;</a>",
        b"<a>&#x1;</a>",
        b"<a>\x00</a>",
        b"<a>\xff</a>",
        b"<a b='1' b='2'/>",
        b"<a><?php x?></a>",
        b"<?xml version='1.0' encoding='latin-1'?><a>\xe9</a>",
        b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xc3\xa9</a>",
        b"<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16"),
        b"<a>text<b/></a>",
        b"<a><b/>text</a>",
        b"<Key>al<!-- -->lowed</Key>",
        b"<Key>allowed<!-- other --></Key>",
        b"<s:a xmlns:s='urn:x'/>",
        b"<a><s:b xmlns:s='urn:x'/></a>",
        b"<a xmlns='urn:x'><b xmlns='urn:y'/></a>",
        b"<a><b xmlns='urn:y'/></a>",
        b"<a " + b" ".join(b"a%d=''" % n for n in range(9)) + b"/>",
    ],
)
def test_what_parsers_could_see_differently_is_refused(document: bytes) -> None:
    malformed(document)


@pytest.mark.parametrize(
    "document",
    [
        b"<a>x</a>",
        b"\xef\xbb\xbf<a>x</a>",
        b"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n<a>x</a>\n",
        b"<!-- before --><a><![CDATA[x]]></a><!-- after -->",
        b"<a>&#120;</a>",
        b"<a xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>x</a>",
    ],
)
def test_harmless_ways_of_writing_are_read(document: bytes) -> None:
    element = parse_xml(document)
    assert (element.name, element.text) == ("a", "x")


def test_comments_and_white_space_between_elements_do_not_count() -> None:
    root = parse_xml(b"<a>\n <!-- one -->\n <b>1</b> <!-- two --><b>2</b>\n</a>")
    assert [each.text for each in root.all("b")] == ["1", "2"]
    assert root.text == ""


def test_white_space_in_a_value_is_kept() -> None:
    assert parse_xml(b"<a><Key> x\n</Key></a>").value("Key") == " x\n"


def test_a_value_that_is_there_twice_is_refused() -> None:
    root = parse_xml(b"<a><Key>1</Key><Key>2</Key><c><d/></c></a>")
    with pytest.raises(S3Error, match="MalformedXML"):
        root.value("Key")
    with pytest.raises(S3Error, match="MalformedXML"):
        root.value("c")
    assert root.value("nothing") is None


def test_depth_and_number_of_elements_are_bounded() -> None:
    assert parse_xml(b"<a>" * DEPTH_LIMIT + b"</a>" * DEPTH_LIMIT)
    malformed(b"<a>" * (DEPTH_LIMIT + 1) + b"</a>" * (DEPTH_LIMIT + 1))
    assert parse_xml(b"<a>" + b"<b/>" * (ELEMENT_LIMIT - 1) + b"</a>")
    malformed(b"<a>" + b"<b/>" * ELEMENT_LIMIT + b"</a>")
    malformed(b"<a>" * 100_000)


@pytest.mark.parametrize(
    "element",
    [
        Element("a", "\x00"),
        Element("a", "\ud800"),
        Element("a", "\ufffe"),
        Element("a b"),
        Element(""),
        Element("a", attributes=(("b c", "1"),)),
        Element("a", attributes=(("b", "\x01"),)),
    ],
)
def test_what_xml_does_not_have_is_not_written(element: Element) -> None:
    with pytest.raises(ValueError, match=r"."):
        render_xml(element)


def test_an_error_document_has_the_elements_of_s3_in_their_order() -> None:
    error = S3Error("NotImplemented", "a < b & c", {"Header": "x-amz-\x01\udcff"})
    document = error_xml(error, "/bkt/<key>", "REQ", "HOST")
    assert document == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NotImplemented</Code><Message>a &lt; b &amp; c</Message>'
        b"<Header>x-amz-\xef\xbf\xbd\xef\xbf\xbd</Header><Resource>/bkt/&lt;key&gt;</Resource>"
        b"<RequestId>REQ</RequestId><HostId>HOST</HostId></Error>"
    )
