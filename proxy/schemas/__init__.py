"""The JSON Schemas of the files people write: one copy for editors, command line and CI.

They are draft-07, which every editor reads. A number is a number there, although `proxy.yamldoc`
keeps every scalar as text: `proxy.schemas.check` bridges the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import TypeAlias, cast

Schema: TypeAlias = Mapping[str, object]

_SUFFIX = ".schema.json"


def schema_names() -> tuple[str, ...]:
    """Return the names of the schemas that ship, such as `config`, sorted."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def schema_text(name: str) -> str:
    """Return the schema called `name` as JSON text; raises `KeyError` for an unknown name."""
    if name not in schema_names():
        raise KeyError(name)
    return (resources.files(__name__) / f"{name}{_SUFFIX}").read_text("utf-8")


def load_schema(name: str) -> Schema:
    """Return the schema called `name`; raises `KeyError` for an unknown name."""
    return cast("Schema", json.loads(schema_text(name)))
