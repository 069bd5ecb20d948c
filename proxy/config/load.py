"""From a file and the environment to a `Config`, or to findings that say what to write instead.

The JSON Schema says what has the right form; what it cannot say (that a file exists, that two keys are
the same) is checked in `proxy.config.read`. Every mistake of a file is shown at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from proxy import yamldoc
from proxy.config.model import Config
from proxy.config.node import Findings, Node
from proxy.config.read import read_root
from proxy.config.secrets import resolve
from proxy.config.source import Source, without_values
from proxy.errors import ConfigError
from proxy.schemas import load_schema
from proxy.schemas.check import secret_paths, type_scalars, violations


def load_config(path: Path | str, environ: Mapping[str, str] | None = None) -> Config:
    """Load and check the configuration at `path`; raises `ConfigError` with every finding.

    `environ` is where `${env:NAME}` looks, by default the process's own. Relative paths in the file
    are relative to its folder.
    """
    try:
        document = yamldoc.load(path)
    except ConfigError as error:
        raise ConfigError(without_values(found) for found in error.diagnostics) from None
    return read_config(document, Path(path).absolute(), os.environ if environ is None else environ)


def read_config(document: yamldoc.Document, path: Path, environ: Mapping[str, str]) -> Config:
    """Make a `Config` of a parsed file; raises `ConfigError` with every finding."""
    schema = load_schema("config")
    resolved = resolve(document.data, environ, path.parent)
    secrets = secret_paths(document.data, schema)
    # A reference is no secret, and seeing it helps.
    source = Source(document, secrets - resolved.paths)
    data = type_scalars(resolved.data, schema, lambda at: document.is_plain(at) or at in resolved.paths)
    # A reference that did not resolve is reported once, as that.
    broken = {violation.path for violation in resolved.violations}
    misfits = (v for v in violations(data, schema, resolved.paths | secrets) if v.path not in broken)
    if problems := [*resolved.violations, *misfits]:
        raise ConfigError(source.diagnostic(v.path, v.message, help=v.help, at_key=v.at_key) for v in problems)
    findings = Findings(source, path.parent, [], [])
    config = read_root(Node(data, (), findings), path)
    if findings.errors:
        raise ConfigError(findings.errors)
    return config
