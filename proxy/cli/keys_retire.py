"""`s3warden keys retire NAME[@VERSION]`: out of the configuration with a key, if nothing depends on it any more."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from pathlib import Path

from proxy.cli.changing import add_change_options, check_draft, difference, named_key, read_draft, write_draft
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.stored import failed, labels_of
from proxy.config import Config, KeySettings
from proxy.config.edit import Draft
from proxy.errors import ConfigError, IntegrityError, S3Error
from proxy.server.rotation.session import session
from proxy.server.rotation.usage import Usage, usage_of

_VAULT_VERSION = re.compile(r"v[1-9][0-9]{0,9}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys retire`."""
    parser.add_argument("key", metavar="KEY", help="a key, or a version of one: hr, hr@1")
    add_change_options(parser)
    parser.add_argument(
        "--bucket",
        metavar="NAME",
        action="append",
        help="look into this bucket alone; by default into all of the store's; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look at everything that is stored, and take the key out; raises `ConfigError`."""
    path: Path = arguments.config
    before = read_draft(path)
    config = check_draft(before, path, os.environ)
    name, _, version = arguments.key.partition("@")
    key = named_key(config, name)
    after = _without(config, key, version, before)
    if after is not None:
        check_draft(after, path, os.environ)  # names the buckets that are written under it
    try:
        found = asyncio.run(_usages(config, arguments.bucket))
    except (S3Error, IntegrityError) as error:
        raise failed(error) from error
    if _depends(found, labels_of(config, arguments.key)):
        print(f"{arguments.key} stays: see `keys rewrap`")
        return Exit.BAD_NEWS
    plain = sum(usage.plain for usage in found.values())
    print(f"nothing in {len(found)} buckets depends on {arguments.key}")
    if plain:
        print(f"s3warden: {plain} objects that this proxy did not encrypt were not looked into", file=sys.stderr)
    if after is None:
        print(f"raise min_decryption_version of the key in Vault above {version[1:]}: that retires it there")
        return Exit.CLEAN
    print(difference(before, after))
    if not arguments.dry_run:
        write_draft(before, after, path)
        print("s3warden: its secret was not deleted; backups of what it encrypted still need it", file=sys.stderr)
    return Exit.CLEAN


def _without(config: Config, key: KeySettings, version: str, before: Draft) -> Draft | None:
    """Return the configuration without the key, or version; None where its versions are not told here."""

    def refuse(message: str, remedy: str) -> ConfigError:
        return ConfigError([config.source.diagnostic(("keys", key.name), message, help=remedy)])

    if not version:
        if key.enabled:
            # A client may name the key in a request at any moment, also while the store is looked through.
            message = f"`{key.name}` is enabled, so something may be written under it at any moment"
            raise refuse(message, "run `keys disable` first, and see that every proxy has taken it up")
        return before.remove(("keys", key.name))
    if key.type == "vault" and _VAULT_VERSION.fullmatch(version):
        return None
    ids = [each.id for each in key.versions]
    if version not in ids:
        raise refuse(f"`{key.name}` has no version `{version}`", f"its versions: {', '.join(ids) or 'none told here'}")
    if ids[0] == version:
        raise refuse(f"`{key.name}@{version}` is the version that writes", "run `keys rotate` first")
    return before.remove(("keys", key.name, "versions", ids.index(version)))


def _depends(found: dict[str, Usage], labels: tuple[str, ...]) -> bool:
    """Print what depends on a key; what cannot be told may."""
    depends = False
    for bucket, usage in found.items():
        for name, counts in usage.dependents(labels).items():
            depends = True
            print(f"{bucket}: {name}: {', '.join(f'{count} {what}' for what, count in counts.items())}")
        for key, problem in usage.damaged.items():
            depends = True
            print(f"{bucket}: `{key}`, {problem}: nobody knows what it depends on")
    return depends


async def _usages(config: Config, buckets: list[str] | None) -> dict[str, Usage]:
    async with session(config) as opened:
        found = {}
        # Every bucket, whatever its mode is today: it may have been another one when something was written.
        for name in buckets or await opened.depot.buckets():
            bound = config.bucket(name).encryption.bind_as or name
            found[name] = await usage_of(opened.depot, config.upstream.state, name, bound)
        return found


COMMAND = Command(
    "keys retire",
    "take a key that nothing depends on out of the configuration",
    configure,
    run,
    "Look through all buckets of the store: objects, older versions, bucket keys and their older versions, uploads "
    "under way. If nothing depends on the key, or version, take it out of the configuration. Its secret is left alone.",
)
