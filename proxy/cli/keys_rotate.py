"""`s3warden keys rotate NAME`: a new version of a key, made and put to use where its versions are told."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from proxy.cli.changing import (
    add_change_options,
    check_draft,
    difference,
    named_key,
    read_draft,
    reference_to,
    text_at,
    write_draft,
)
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
from proxy.config import Config, KeySettings
from proxy.config.edit import Draft
from proxy.config.keys import FIRST_VERSION, rsa_pair
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError, S3Error
from proxy.yamldoc import Value

_FILE = re.compile(r"\$\{file:([^{}]+)\}")
_OWN = ("material", "public", "private", "label")
_SERVICES = {
    "aws-kms": "kms:RotateKeyOnDemand makes fresh material under the same ARN",
    "vault": "transit/keys/NAME/rotate makes a new version",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys rotate`."""
    parser.add_argument("name", metavar="NAME", help="the key")
    add_change_options(parser)
    parser.add_argument(
        "--version-id",
        metavar="ID",
        type=version_id,
        help="the version to make, by default the next number; or one that is there, to be put in front",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="put the new version behind the others: it reads, and does not write yet",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--folder", metavar="FOLDER", type=Path, help="write the secret to a file there")
    place.add_argument("--env", action="store_true", help="print the secret as a line for the environment")


def run(arguments: argparse.Namespace) -> int:
    """Rotate the key; raises `ConfigError`."""
    path: Path = arguments.config
    before = read_draft(path)
    config = check_draft(before, path, os.environ)
    key = named_key(config, arguments.name)
    if key.type in _SERVICES:
        return _at_service(config, key, arguments)
    ids = [version.id for version in key.versions]
    version = arguments.version_id or _next(config, key)
    if version in ids:
        after = _promoted(config, key, before, version)
        check_draft(after, path, os.environ)
        return _finish(before, after, arguments)
    if key.type == "pkcs11":
        return _in_token(config, key, before, version, arguments)
    return _local(key, before, version, arguments)


def _local(key: KeySettings, before: Draft, version: str, arguments: argparse.Namespace) -> int:
    """Make material of our own, put it where the key's present material is, and name it in the configuration."""
    path: Path = arguments.config
    fresh = fresh_aes() if key.type == "aes" else fresh_rsa(rsa_pair(key.versions[0])[0].key_size)
    present = _present(before, key)
    wanted = [
        part.setting for part in fresh if key.type == "aes" or part.setting in present or part.setting == "public"
    ]
    if arguments.env or (arguments.folder is None and key.type == "aes" and "${env:" in present.get("material", "")):
        return _to_environment(key, before, version, fresh, arguments)
    folder = arguments.folder or _folder(present, path)
    stem = f"{key.name}-{version}"

    def drafted(where: Path) -> Draft:
        named = {part.setting: reference_to(where / f"{stem}.{part.ending}", path) for part in fresh}
        return _with_version(before, key, {"id": version, **{name: named[name] for name in wanted}}, arguments.prepare)

    with tempfile.TemporaryDirectory() as trial:
        write_secrets(Path(trial), stem, fresh)
        check_draft(drafted(Path(trial)), path, os.environ)
    if arguments.dry_run:
        return _finish(before, drafted(folder), arguments)
    written = write_secrets(folder, stem, fresh)
    try:
        code = _finish(before, drafted(folder), arguments)
    except BaseException:
        remove_secrets(written)
        raise
    print(
        "\n".join(f"s3warden: wrote {file}: keep it in a safe place, too" for file in written.values()), file=sys.stderr
    )
    for setting in written.keys() - set(wanted):
        print(f"s3warden: move the {setting} key away: this proxy only writes", file=sys.stderr)
    return code


def _to_environment(
    key: KeySettings, before: Draft, version: str, fresh: tuple[Fresh, ...], arguments: argparse.Namespace
) -> int:
    if key.type != "aes":
        raise _mistake(arguments.config, "an RSA key does not fit into a variable", "add --folder FOLDER")
    variable = variable_name(key.name, version)
    if variable in os.environ or f"${{env:{variable}}}" in before.text:
        raise _mistake(arguments.config, f"`{variable}` is in use", "choose another --version-id")
    item: dict[str, Value] = {"id": version, "material": f"${{env:{variable}}}"}
    after = _with_version(before, key, item, arguments.prepare)
    check_draft(after, arguments.config, {**os.environ, variable: fresh[0].text})
    if not arguments.dry_run:
        # Before the file, so that a secret that is named is never lost.
        print(export_line(variable, fresh[0].text), flush=True)
    return _finish(before, after, arguments, f"start the proxy again with {variable}: a reload cannot give it one")


def _in_token(config: Config, key: KeySettings, before: Draft, version: str, arguments: argparse.Namespace) -> int:
    label = f"{key.name}-{version}"
    after = _with_version(before, key, {"id": version, "label": label}, arguments.prepare)
    check_draft(after, arguments.config, os.environ)
    if not arguments.dry_run:
        _ask(config, key, label)
    return _finish(before, after, arguments)


def _at_service(config: Config, key: KeySettings, arguments: argparse.Namespace) -> int:
    for option in ("version_id", "prepare", "folder", "env"):
        if getattr(arguments, option):
            name = option.replace("_", "-")
            message = f"--{name} is for keys whose versions are told here, and `{key.name}` has its own"
            raise _mistake(arguments.config, message, f"leave --{name} out")
    print(f"{key.name}: {_SERVICES[key.type]}{' (not done)' if arguments.dry_run else ''}")
    if not arguments.dry_run:
        _ask(config, key)
    return Exit.CLEAN


def _ask(config: Config, key: KeySettings, label: str = "") -> None:
    from proxy.keys.registry import build_ring
    from proxy.keys.renewal import rotate_at_service

    build_ring(config)  # tells which package is missing
    try:
        asyncio.run(rotate_at_service(key, label))
    except S3Error as error:
        message = f"{error.code}: {error.detail or error.message}"
        remedy = "rotate it there, as somebody who may" if error.code == "AccessDenied" else ""
        raise ConfigError([config.source.diagnostic(("keys", key.name), message, help=remedy)]) from error


def _finish(before: Draft, after: Draft, arguments: argparse.Namespace, note: str = "") -> int:
    print(difference(before, after))
    if not arguments.dry_run:
        write_draft(before, after, arguments.config)
        taken_up = "a running proxy takes it up within two seconds, or at once with SIGHUP"
        print(f"s3warden: {note or taken_up}", file=sys.stderr)
    return Exit.CLEAN


def _with_version(draft: Draft, key: KeySettings, item: Mapping[str, Value], prepare: bool) -> Draft:
    """Add a version in front of those there are, or behind them."""
    place, new = ("keys", key.name, "versions"), dict(item)
    if isinstance(draft.value(place), list):
        put: Callable[[tuple[str, ...], Value], Draft] = draft.put_last if prepare else draft.put_first
        return put(place, new)
    own: dict[str, Value] = dict(_present(draft, key))
    old: Value = {"id": FIRST_VERSION, **(own or {"label": key.name})}
    settings = list(own)
    changed = draft.put(place, [old, new] if prepare else [new, old], instead=settings[0] if settings else "")
    for setting in settings[1:]:
        changed = changed.remove(("keys", key.name, setting))
    return changed


def _promoted(config: Config, key: KeySettings, draft: Draft, version: str) -> Draft:
    index = [each.id for each in key.versions].index(version)
    if index == 0:
        message = f"`{key.name}@{version}` is the version that writes already"
        raise ConfigError([config.source.diagnostic(("keys", key.name), message)])
    return draft.move_first(("keys", key.name, "versions"), index)


def _present(draft: Draft, key: KeySettings) -> dict[str, str]:
    """Return the settings of the version that writes, as they are written."""
    place: tuple[str | int, ...] = ("keys", key.name)
    if isinstance(draft.value((*place, "versions")), list):
        place = (*place, "versions", 0)
    return {name: text for name in _OWN if (text := text_at(draft, (*place, name))) is not None}


def _folder(present: Mapping[str, str], config: Path) -> Path:
    """Return the folder where the present secret is; beside the configuration if it is in none."""
    for text in present.values():
        if found := _FILE.fullmatch(text):
            return (config.absolute().parent / found[1]).parent
    return config.absolute().parent


def _next(config: Config, key: KeySettings) -> str:
    numbers = []
    for version in key.versions:
        with suppress(ValueError):
            numbers.append(int(version.id))
    if not numbers:
        message = f"the versions of `{key.name}` are not numbered"
        raise ConfigError([config.source.diagnostic(("keys", key.name), message, help="add --version-id ID")])
    return str(max(numbers) + 1)


def _mistake(path: Path, message: str, remedy: str) -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "usage", message, Span(str(path)), remedy)])


COMMAND = Command(
    "keys rotate",
    "make a new version of a key and put it to use",
    configure,
    run,
    "Make a new version of a key. Of a key whose material is in files or in the environment, the new one goes to the "
    "same place, and the configuration names it in front of the others. A token makes a key of its own. Keys of KMS "
    "and Vault are rotated there. What is stored stays under the version it has: see `keys rewrap`.",
)
