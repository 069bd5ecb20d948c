"""Marks on ETags come off again, and multipart ETags need none."""

import pytest

from proxy.envelope.etags import mark_etag, unmark_etag

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize("tag", [MD5, f"{MD5}-1", f"{MD5}-10000", "opaque", ""])
def test_a_marked_etag_is_the_backends_again_once_unmarked(tag):
    assert unmark_etag(mark_etag(tag)) == tag


def test_only_what_could_be_an_md5_is_marked():
    assert mark_etag(MD5) == f"{MD5}-0"
    assert mark_etag(f"{MD5}-3") == f"{MD5}-3"
