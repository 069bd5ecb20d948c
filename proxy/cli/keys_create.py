"""`s3warden keys create NAME`: a new local key, told to the proxy by its configuration or by lines to copy."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

from proxy.cli.changing import check_draft, difference, read_draft, reference_to, write_draft
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.key_material import (
    Fresh,
    export_line,
    fresh_aes,
    fresh_rsa,
    remove_secrets,
    variable_name,
    version_id,
    write_secrets,
)
from proxy.config.edit import Draft
from proxy.config.keys import FIRST_VERSION
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys create`."""
    parser.add_argument("name", metavar="NAME", type=_name, help="name of the key: letters, digits, `_` and `-`")
    parser.add_argument("--type", choices=("aes", "rsa"), default="aes", help="what key to make (default aes)")
    parser.add_argument(
        "--version-id", metavar="ID", type=version_id, default=FIRST_VERSION, help="the version to make (default 1)"
    )
    parser.add_argument(
        "--bits", type=int, choices=(2048, 3072, 4096), default=4096, help="size of an RSA key (default 4096)"
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        help="write the key to files there, readable by you alone, instead of printing it",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="write the key into this configuration instead of telling how"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --config: show what would change, change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Make the key; raises `ConfigError` when a file is there already or cannot be written."""
    fresh = fresh_rsa(arguments.bits) if arguments.type == "rsa" else fresh_aes()
    if arguments.config is not None:
        return _configured(arguments, fresh)
    if arguments.dry_run:
        raise _mistake("--dry-run", "nothing is changed without --config")
    return _told(arguments, fresh)


def _configured(arguments: argparse.Namespace, fresh: tuple[Fresh, ...]) -> int:
    """Write the secret to a file, or tell it for the environment, and name it in the configuration."""
    path: Path = arguments.config
    before = read_draft(path)
    if arguments.name in check_draft(before, path, os.environ).keys:
        raise _mistake(str(path), f"there is a key `{arguments.name}` already", "see `keys rotate`")
    stem = f"{arguments.name}-{arguments.version_id}"

    def drafted(settings: dict[str, str]) -> Draft:
        if arguments.version_id == FIRST_VERSION:
            return before.put(("keys", arguments.name), {"type": arguments.type, **settings})
        versions = [{"id": arguments.version_id, **settings}]
        return before.put(("keys", arguments.name), {"type": arguments.type, "versions": [*versions]})

    def named(folder: Path) -> dict[str, str]:
        return {part.setting: reference_to(folder / f"{stem}.{part.ending}", path) for part in fresh}

    if arguments.folder is None and arguments.type == "aes":
        variable = variable_name(arguments.name, arguments.version_id)
        if variable in os.environ or f"${{env:{variable}}}" in before.text:
            raise _mistake(str(path), f"`{variable}` is in use", "choose another --version-id, or --folder")
        after = drafted({"material": f"${{env:{variable}}}"})
        check_draft(after, path, {**os.environ, variable: fresh[0].text})
        if not arguments.dry_run:
            print(export_line(variable, fresh[0].text), flush=True)
        return _finish(before, after, arguments)
    folder = arguments.folder or path.absolute().parent
    with tempfile.TemporaryDirectory() as trial:
        write_secrets(Path(trial), stem, fresh)
        check_draft(drafted(named(Path(trial))), path, os.environ)
    written = {} if arguments.dry_run else write_secrets(folder, stem, fresh)
    try:
        return _finish(before, drafted(named(folder)), arguments)
    except BaseException:
        remove_secrets(written)
        raise


def _finish(before: Draft, after: Draft, arguments: argparse.Namespace) -> int:
    print(difference(before, after))
    if not arguments.dry_run:
        write_draft(before, after, arguments.config)
        print("s3warden: keep the secret in a safe place, too: nobody can read without it", file=sys.stderr)
    return Exit.CLEAN


def _told(arguments: argparse.Namespace, fresh: tuple[Fresh, ...]) -> int:
    """Print the lines to copy."""
    stem = f"{arguments.name}-{arguments.version_id}"
    written = {} if arguments.folder is None else write_secrets(arguments.folder, stem, fresh)
    settings = []
    for part in fresh:
        if part.setting in written:
            settings.append(f'{part.setting}: "${{file:{written[part.setting]}}}"')
        elif arguments.type == "aes":
            variable = variable_name(arguments.name, arguments.version_id)
            print(export_line(variable, part.text))
            settings.append(f'{part.setting}: "${{env:{variable}}}"')
        else:
            print(f"# {stem}.{part.ending}\n{part.text}", end="")
            settings.append(f'{part.setting}: "${{file:{stem}.{part.ending}}}"')
    print("# for the configuration")
    print(f"keys:\n  {arguments.name}:\n    type: {arguments.type}")
    if arguments.version_id == FIRST_VERSION:
        print("\n".join(f"    {line}" for line in settings))
    else:
        print(f'    versions:\n      - id: "{arguments.version_id}"')
        print("\n".join(f"        {line}" for line in settings))
        print("      # the versions there are, after it")
    return Exit.CLEAN


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a key's name")
    return text


def _mistake(place: str, message: str, remedy: str = "") -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "usage", message, Span(place), remedy)])


COMMAND = Command(
    "keys create",
    "make a local key, and tell the proxy of it",
    configure,
    run,
    "Make an AES or RSA key. Keep what is printed in a safe place too: without it nobody can read what was encrypted "
    "under it.",
)
