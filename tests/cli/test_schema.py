"""`schema` prints the very files that the loaders use."""

from __future__ import annotations

import json

import jsonschema
import pytest

from proxy.cli.main import main
from proxy.schemas import load_schema, schema_names, schema_text


@pytest.mark.parametrize("name", schema_names())
def test_a_schema_is_printed_as_it_ships(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    printed = capsys.readouterr().out
    assert printed == schema_text(name)
    assert json.loads(printed) == load_schema(name)


@pytest.mark.parametrize("name", schema_names())
def test_a_schema_is_draft_7_which_every_editor_reads(name: str) -> None:
    assert load_schema(name)["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(dict(load_schema(name)))


def test_an_unknown_schema_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        schema_text("nonsense")
