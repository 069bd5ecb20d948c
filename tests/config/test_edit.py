"""A configuration is changed in one place, and everything else stays as somebody wrote it."""

from __future__ import annotations

import json

import pytest

from proxy import yamldoc
from proxy.config.edit import Draft
from proxy.errors import ConfigError
from proxy.yamldoc import Value

BLOCK = """\
# ours
owner: "123456789012"   # an account
keys:
  # for people
  hr:
    type: aes
    versions:
      # newest first
      - {id: "2", material: "${env:HR_2}"}  # since May
      - id: "1"
        material: '${env:HR_1}'

  # for operations
  ops: {type: aes, material: "${env:OPS}"}  # alone
  pem:
    type: rsa
    private: |
      -----BEGIN-----
      line
buckets: {}
"""
FLOW = """\
owner: "123456789012"
keys: {hr: {type: aes, versions: [{id: "2", material: "${env:HR_2}"}, {id: "1", material: "${env:HR_1}"}]},
       ops: {type: aes, material: "${env:OPS}"}, pem: {type: rsa, private: "x"}}
buckets: {}
"""
JSON = json.dumps(yamldoc.parse(FLOW).data)
FORMS = pytest.mark.parametrize(
    "text",
    [BLOCK, BLOCK.replace("\n", "\r\n"), "\ufeff" + BLOCK, FLOW, JSON, json.dumps(json.loads(JSON), indent=2)],
    ids=["block", "crlf", "bom", "flow", "json", "pretty json"],
)
NEW: Value = {"id": "3", "material": "${file:hr-3.key}"}


def kept(before: str, after: str) -> list[str]:
    """Return the lines of `before` that are not in `after`."""
    there = after.splitlines()
    return [line for line in before.splitlines() if line not in there]


@FORMS
def test_a_version_goes_in_front(text: str) -> None:
    after = Draft(text, "f").put_first(("keys", "hr", "versions"), NEW)
    versions = after.value(("keys", "hr", "versions"))
    assert isinstance(versions, list)
    assert (versions[0], len(versions)) == (NEW, 3)
    if "#" in text:
        assert kept(text, after.text) == []
        assert '      - {id: "3", material: "${file:hr-3.key}"}' in after.text.splitlines()


@FORMS
def test_a_version_goes_behind_the_others(text: str) -> None:
    after = Draft(text, "f").put_last(("keys", "hr", "versions"), NEW)
    assert after.value(("keys", "hr", "versions", 2)) == NEW
    assert "#" not in text or kept(text, after.text) == []


@FORMS
def test_a_version_moves_to_the_front_with_its_own_lines(text: str) -> None:
    after = Draft(text, "f").move_first(("keys", "hr", "versions"), 1)
    assert after.value(("keys", "hr", "versions", 0, "id")) == "1"
    assert "#" not in text or sorted(after.text.splitlines()) == sorted(text.splitlines())


@FORMS
@pytest.mark.parametrize("key", ["hr", "ops", "pem"])
def test_a_key_is_disabled_and_enabled_again(text: str, key: str) -> None:
    off = Draft(text, "f").put(("keys", key, "enabled"), "false")
    assert off.value(("keys", key, "enabled")) == "false"
    on = off.put(("keys", key, "enabled"), "true")
    assert on.value(("keys", key, "enabled")) == "true"
    assert on.remove(("keys", key, "enabled")).data == Draft(text, "f").data


@FORMS
def test_a_key_is_added_and_taken_out(text: str) -> None:
    before = Draft(text, "f")
    more = before.put(("keys", "new"), {"type": "aes", "material": "${env:NEW}"})
    assert more.value(("keys", "new", "material")) == "${env:NEW}"
    assert more.remove(("keys", "new")).text == text
    assert "#" not in text or kept(text, more.text) == []


@FORMS
@pytest.mark.parametrize("path", [("keys", "hr"), ("keys", "pem"), ("keys", "hr", "versions", 0), ("owner",)])
def test_what_is_taken_out_takes_nothing_else_along(text: str, path: tuple[str | int, ...]) -> None:
    before = Draft(text, "f")
    after = before.remove(path)
    assert after.value(path) != before.value(path)
    assert "#" not in text or [line for line in after.text.splitlines() if line not in text.splitlines()] == []


@FORMS
def test_material_becomes_one_of_several_versions(text: str) -> None:
    versions: Value = [NEW, {"id": "1", "material": "${env:OPS}"}]
    after = Draft(text, "f").put(("keys", "ops", "versions"), versions).remove(("keys", "ops", "material"))
    assert after.value(("keys", "ops")) == {"type": "aes", "versions": versions}
    after = Draft(text, "f").put(("keys", "pem", "private"), "-----\nshort\n")
    assert after.value(("keys", "pem")) == {"type": "rsa", "private": "-----\nshort\n"}


def test_the_first_key_makes_the_section() -> None:
    for text in ("owner: x\n", "owner: x", "owner: x\nkeys:\n", "keys: {}\nowner: x\n"):
        after = Draft(text, "f").put(("keys", "hr"), {"type": "aes", "material": "${env:HR}"})
        assert after.data == {"owner": "x", "keys": {"hr": {"type": "aes", "material": "${env:HR}"}}}
    assert Draft("owner: x\n", "f").put(("keys", "hr"), {"type": "aes"}).text == "owner: x\nkeys:\n  hr: {type: aes}\n"


def test_the_last_key_takes_the_section_along() -> None:
    after = Draft("owner: x\nkeys:\n  hr:\n    type: aes\n", "f").remove(("keys", "hr"))
    assert after.text == "owner: x\n"


@pytest.mark.parametrize(
    "text",
    [
        'keys:\n  hr:\n    versions:\n      -\n        # odd\n        id: "2"\n      - id: "1"\n',
        "keys: text\n",
        "keys:\n  hr: {versions: {}}\n",
    ],
)
def test_a_form_that_cannot_be_changed_safely_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Draft(text, "f").put_last(("keys", "hr", "versions"), {"id": "# 3"}).remove(("keys", "hr", "versions", 0))
    assert "change the file by hand" in str(caught.value)
