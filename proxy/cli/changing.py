"""What the commands share that change the configuration file: a checked draft, a diff, and an atomic write.

A draft is loaded as the proxy would load it before it replaces anything, so a command never leaves a
configuration behind that the proxy refuses. Values that are secret are hidden in the diff.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from proxy import yamldoc
from proxy.config import Config, KeySettings
from proxy.config.edit import Draft
from proxy.config.load import read_config
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.schemas import load_schema
from proxy.schemas.check import secret_paths
from proxy.yamldoc import DocPath

_REFERENCE = re.compile(r"\$\{(?:env|file):[^{}]+\}")


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that changes the configuration."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def read_draft(path: Path) -> Draft:
    """Read a configuration to be changed; raises `ConfigError`."""
    yamldoc.load(path)  # what cannot be read is told with a place
    with path.open(encoding="utf-8", newline="") as stream:
        return Draft(stream.read(), str(path))


def check_draft(draft: Draft, path: Path, environ: Mapping[str, str]) -> Config:
    """Load a draft as the proxy would load the file; raises `ConfigError`."""
    return read_config(yamldoc.parse(draft.text, draft.file), path.absolute(), environ)


def named_key(config: Config, name: str) -> KeySettings:
    """Return a key of the configuration; raises `ConfigError` if there is none of that name."""
    found = config.keys.get(name)
    if found is None:
        known = ", ".join(sorted(config.keys)) or "none"
        message = f"there is no key `{name}`"
        raise ConfigError([config.source.diagnostic(("keys",), message, help=f"the keys here: {known}")])
    return found


def difference(before: Draft, after: Draft) -> str:
    """Return a unified diff with secrets hidden, and without context: comments may hold some, too."""
    lines = difflib.unified_diff(
        _shown(before).splitlines(), _shown(after).splitlines(), before.file, after.file, lineterm="", n=0
    )
    return "\n".join(lines)


def write_draft(before: Draft, after: Draft, path: Path) -> None:
    """Replace the configuration, whole or not at all; raises `ConfigError`, also if somebody changed it meanwhile."""
    target = path.resolve()
    try:
        if read_draft(path) != before:
            raise _unwritable(path, "somebody else changed the file meanwhile", "run the command again")
        mode = target.stat().st_mode & 0o7777
        file, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(file, "w", encoding="utf-8", newline="") as stream:
                stream.write(after.text)
                stream.flush()
                os.fchmod(file, mode)
                os.fsync(file)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        remedy = "see --dry-run for what to change where the file is made"
        raise _unwritable(path, f"cannot write the configuration: {error.strerror}", remedy) from error


def text_at(draft: Draft, path: DocPath) -> str | None:
    """Return a text of the file as it is written there, references and all."""
    found = draft.value(path)
    return found if isinstance(found, str) else None


def reference_to(file: Path, config: Path) -> str:
    """Return how the configuration names a file: relative to its own folder where it lies below that."""
    folder, path = config.absolute().parent, file.absolute()
    return f"${{file:{path.relative_to(folder) if path.is_relative_to(folder) else path}}}"


def _shown(draft: Draft) -> str:
    places = secret_paths(draft.data, load_schema("config"))
    return draft.masked(place for place in places if not _REFERENCE.fullmatch(text_at(draft, place) or ""))


def _unwritable(path: Path, message: str, remedy: str) -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "unwritable", message, Span(str(path)), remedy)])
