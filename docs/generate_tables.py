"""Write the tables of docs/reference/configuration.md and errors.md anew: `python docs/generate_tables.py`.

What stands between the tables is written by hand and is kept. A section that is missing is added at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from proxy.errors import CODES
from proxy.schemas import load_schema

FOLDER = Path(__file__).parent / "reference"
SCHEMA: Mapping[str, Any] = load_schema("config")

_TABLE = re.compile(r"^\| Setting \| .*?(?=^(?!\|))", re.MULTILINE | re.DOTALL)
_CODES = re.compile(r"^\| Code \| .*", re.MULTILINE | re.DOTALL)


def settings(schema: Mapping[str, Any] = SCHEMA, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted path, default, description) of every setting, `[]` for items and NAME for free keys."""
    for key, child in schema.get("properties", {}).items():
        yield from _setting(child, f"{path}.{key}" if path else key)
    rest = schema.get("additionalProperties")
    if isinstance(rest, Mapping) and "properties" in rest:
        yield from settings(rest, f"{path}.NAME")


def _setting(child: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    if "$ref" in child:
        child = SCHEMA["definitions"][child["$ref"].rsplit("/", 1)[1]]
    default = child.get("default", "")
    if default in ([], {}):
        shown = "none"
    else:
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else ""
    yield path, shown, child["description"]
    yield from settings(child, path)
    if "properties" in child.get("items", {}):
        yield from settings(child["items"], f"{path}[]")


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def setting_row(path: str, default: str, description: str) -> str:
    """Return the row of a setting."""
    return row(f"`{path}`", default, description)


def code_row(code: str) -> str:
    """Return the row of an error code."""
    status, text = CODES[code]
    return row(f"`{code}`", str(status), text)


def write_configuration(page: Path) -> None:
    """Replace the table of every section, which is named after the setting at the top."""
    sections: dict[str, list[str]] = {}
    for found in settings():
        sections.setdefault(re.split(r"[.\[]", found[0])[0], []).append(setting_row(*found))
    text = page.read_text()
    for name, rows in sections.items():
        table = "\n".join([row("Setting", "Default", "Meaning"), row("---", "---", "---"), *rows]) + "\n"
        heading = f"\n## {name}\n"
        if heading not in text:
            text += f"{heading}\n{table}"
            continue
        before, _, after = text.partition(heading)
        body, next_heading, others = (after + "\n").partition("\n## ")
        body = _TABLE.sub(lambda _, table=table: table, body + "\n", count=1).rstrip("\n") + "\n"
        text = before + heading + body + (next_heading + others).rstrip("\n") + ("\n" if next_heading else "")
    page.write_text(text.rstrip("\n") + "\n")


def write_errors(page: Path) -> None:
    """Replace the table of codes, which ends the page."""
    header = [row("Code", "Status", "Default message"), row("---", "---", "---")]
    table = "\n".join([*header, *map(code_row, CODES)]) + "\n"
    page.write_text(_CODES.sub(lambda _: table, page.read_text()))


if __name__ == "__main__":
    write_configuration(FOLDER / "configuration.md")
    write_errors(FOLDER / "errors.md")
