"""The schema that editors read and the values the code reads are the same settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from proxy.config import model
from proxy.schemas import load_schema

SCHEMA: Mapping[str, Any] = load_schema("config")

SECTIONS = {
    "listen": model.Listen,
    "admin": model.Admin,
    "limits": model.Limits,
    "auth": model.AuthSettings,
    "upstream": model.Upstream,
    "audit": model.Audit,
    "decision_log": model.DecisionLog,
    "log": model.Log,
}
DERIVED = {"path", "source", "warnings"}


def defaults(of: type) -> dict[str, object]:
    return {f.name: f.default for f in dataclasses.fields(of) if f.default is not dataclasses.MISSING}


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_has_the_settings_and_defaults_its_schema_says(name: str) -> None:
    properties = SCHEMA["properties"][name]["properties"]
    assert {field.name for field in dataclasses.fields(SECTIONS[name])} == set(properties)
    for key, default in defaults(SECTIONS[name]).items():
        wanted = properties[key].get("default")
        if wanted == "-":
            wanted = None
        if isinstance(wanted, list):
            wanted = tuple(wanted)
        if not dataclasses.is_dataclass(default):
            assert default == wanted, key


def test_the_whole_has_the_sections_its_schema_says() -> None:
    fields = {field.name for field in dataclasses.fields(model.Config)}
    assert fields - DERIVED == set(SCHEMA["properties"])


def test_the_schema_is_valid_draft_7_and_explains_every_setting() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)

    def settings(schema: Mapping[str, Any], path: str) -> None:
        for key, child in schema.get("properties", {}).items():
            target = SCHEMA["definitions"][child["$ref"].rsplit("/", 1)[1]] if "$ref" in child else child
            assert target.get("description", "").endswith("."), f"{path}.{key} has no description"
            settings(target, f"{path}.{key}")
            settings(target.get("items", {}), f"{path}.{key}[]")
        if isinstance(schema.get("additionalProperties"), Mapping):
            settings(schema["additionalProperties"], f"{path}.*")

    settings(SCHEMA, "")
