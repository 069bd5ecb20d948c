"""`s3warden policy library`: ready policies with their tests, to look at and to copy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from proxy import yamldoc
from proxy.cli.batch import unreadable
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.policy_explain import usage
from proxy.cli.shipped import policies_folder
from proxy.errors import S3Error
from proxy.policy.case_files import test_files
from proxy.policy.names import did_you_mean
from proxy.policy.store import policy_files
from proxy.s3.address import check_bucket_name

EXAMPLE_BUCKET = "example-bucket"
_SCHEMA = "# yaml-language-server: $schema="


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy library`."""
    parser.add_argument(
        "what", choices=("list", "show", "copy"), help="list all, show some, or copy some with their tests"
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="policies, as `list` names them")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path(), help="where to copy to (default: here)")
    parser.add_argument("--bucket", metavar="NAME", help=f"write this bucket for `{EXAMPLE_BUCKET}`")


def run(arguments: argparse.Namespace) -> int:
    """List, show or copy."""
    library = {path.stem: path for path in policy_files(policies_folder() / "library")}
    if arguments.what == "list":
        _list(library)
        return Exit.CLEAN
    for name in arguments.names:
        if name not in library:
            raise usage(f"there is no policy `{name}` in the library", did_you_mean(name, library))
    if not arguments.names:
        raise usage("no policy is named", "s3warden policy library list")
    if arguments.bucket is not None:
        try:
            check_bucket_name(arguments.bucket)
        except S3Error as error:
            raise usage(f"`{arguments.bucket}` is no bucket's name", "") from error
    paths = [library[name] for name in arguments.names]
    if arguments.what == "show":
        print("\n".join(_text(path, arguments.bucket).rstrip("\n") for path in paths))
    else:
        _copy([file for path in paths for file in (path, *test_files(path))], arguments.to, arguments.bucket)
    return Exit.CLEAN


def _list(library: dict[str, Path]) -> None:
    width = max(map(len, library))
    for name, path in library.items():
        print(f"{name.ljust(width)}  {_summary(path)}")
    print(f"{len(library)} policies", file=sys.stderr)


def _summary(path: Path) -> str:
    """Return what a policy does: its description up to what it does not cover."""
    data = yamldoc.load(path).data
    description = data.get("description", "") if isinstance(data, dict) else ""
    text = description if isinstance(description, str) else ""
    return " ".join(text.partition("Does not cover:")[0].split())


def _text(path: Path, bucket: str | None) -> str:
    """Return a file without the schema's place, which is another where it goes to."""
    text = path.read_text("utf-8")
    if text.startswith(_SCHEMA):
        text = text.partition("\n")[2].removeprefix("#\n")
    return text if bucket is None else text.replace(EXAMPLE_BUCKET, bucket)


def _copy(files: Sequence[Path], folder: Path, bucket: str | None) -> None:
    taken = [folder / file.name for file in files if (folder / file.name).exists()]
    if taken:
        raise usage(f"`{taken[0]}` is there already", "remove it, or copy to another folder with --to")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file.name).write_text(_text(file, bucket), encoding="utf-8")
            print(folder / file.name)
    except OSError as error:
        raise unreadable(str(folder), error) from error
    if bucket is None:
        print(f"s3warden: put your bucket's name where `{EXAMPLE_BUCKET}` stands", file=sys.stderr)


COMMAND = Command(
    "policy library",
    "list, show or copy ready policies",
    configure,
    run,
    "Ready policies for encryption, TLS, signatures, ACLs and overwriting, each with its tests. Exit codes: 0, or 2 "
    "for an unknown name or a file that cannot be written.",
)
