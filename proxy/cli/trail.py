"""Where the `audit` commands find a trail: named files, or those of a configuration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.audit.chain import Place, records
from proxy.audit.database import Search, database_places
from proxy.audit.journal import journal_files, journal_places
from proxy.config import load_config
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

_SEARCHED = ("since", "until", "key", "principal", "bucket", "object", "outcome", "action", "request_id")


@dataclass(frozen=True, slots=True)
class Trail:
    """A trail to be read: a journal, a database, or both."""

    journal: Path | None
    store: Path | None
    secrets: tuple[bytes, ...]

    def found(self, search: Search) -> Iterator[dict[str, object]]:
        """Yield the records that are looked for, from the database where there is one."""
        if self.store is not None:
            yield from records(database_places(self.store, search))
        elif self.journal is not None:
            yield from (record for record in records(self.lines()) if search.fits(record))

    def lines(self) -> Iterator[Place]:
        """Yield the lines of the journal; raises OSError where there is none."""
        if self.journal is None or not journal_files(self.journal):
            raise FileNotFoundError(2, "No such file or directory", str(self.journal))
        yield from journal_places(self.journal)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the trail is."""
    parser.add_argument("--config", metavar="FILE", help="the configuration whose trail it is")
    parser.add_argument("--path", metavar="FILE", type=Path, help="the JSON lines, with what rotation moved away")
    parser.add_argument("--store", metavar="FILE", type=Path, help="the SQLite file")
    parser.add_argument(
        "--secret-file",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a secret of the chain; may be repeated",
    )


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which records are looked for."""
    parser.add_argument("--since", metavar="TIME", help="from this time on, in UTC: 2026-11-23 or 2026-11-23T12:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    parser.add_argument("--key", metavar="ARN", help="the key")
    parser.add_argument("--principal", metavar="ARN", help="who used it")
    parser.add_argument("--bucket", metavar="NAME", help="the bucket")
    parser.add_argument("--object", metavar="KEY", help="the object")
    parser.add_argument("--action", metavar="ACTION", help="what was done, such as kms:Decrypt")
    parser.add_argument("--outcome", choices=("allowed", "denied", "failed"), help="how it ended")
    parser.add_argument("--request-id", metavar="ID", help="the request")


def trail_of(arguments: argparse.Namespace) -> Trail:
    """Return the trail that the arguments name; raises `ConfigError`."""
    secrets = tuple(_secret(path) for path in arguments.secret_file)
    if arguments.config is None:
        if arguments.path is None and arguments.store is None:
            raise _mistake("name a trail: --config, --path or --store", "s3warden audit")
        return Trail(arguments.path, arguments.store, secrets)
    config = load_config(arguments.config)
    if config.audit is None:
        raise ConfigError([config.source.diagnostic((), "there is no `audit` in this configuration")])
    own = tuple(secret.reveal().encode() for secret in config.audit.secret)
    return Trail(arguments.path or config.audit.path, arguments.store or config.audit.store, secrets or own)


def search_of(arguments: argparse.Namespace) -> Search:
    """Return what the arguments look for."""
    return Search(**{name: getattr(arguments, name) for name in _SEARCHED})


def unreadable(error: OSError) -> ConfigError:
    """Say that a trail cannot be read."""
    return _mistake(f"cannot read the trail: {error.strerror or error}", str(error.filename or "trail"))


def _secret(path: Path) -> bytes:
    try:
        # As the configuration reads `${file:...}`: a line end at the end is not part of the secret.
        return path.read_text("utf-8").rstrip("\r\n").encode()
    except OSError as error:
        raise unreadable(error) from error


def _mistake(message: str, place: str) -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "unreadable", message, Span(place))])
