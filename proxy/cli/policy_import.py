"""`s3warden policy import`: an AWS policy in JSON, from a file or from a bucket, becomes a policy file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from proxy import yamldoc
from proxy.cli.batch import unreadable
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.policy_explain import usage
from proxy.config import load_config
from proxy.diagnostics import render_all
from proxy.errors import ConfigError, S3Error
from proxy.policy.names import MAPPED_KEYS
from proxy.policy.parse import guess_kind, read_policy
from proxy.policy.translate import to_yaml
from proxy.s3.address import check_bucket_name

STDIN = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy import`."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="JSON as AWS has it; `-` is standard input")
    parser.add_argument("--from-bucket", metavar="BUCKET", help="read the policy that the upstream has for a bucket")
    parser.add_argument("--config", metavar="FILE", type=Path, help="the proxy's configuration, for --from-bucket")
    parser.add_argument("--bucket", metavar="PATTERN", default="", help="the `bucket` of the policy file")
    parser.add_argument("--to", metavar="FILE", help="write to a file, which must not be there yet")


def run(arguments: argparse.Namespace) -> int:
    """Translate; 1 when the result is no policy that the proxy takes."""
    name, source = _source(arguments)
    written = to_yaml(source, name, bucket=arguments.bucket)
    emit(written, arguments.to)
    return report_problems(written, arguments.to or name)


def _source(arguments: argparse.Namespace) -> tuple[str, str]:
    if (arguments.file is None) is (arguments.from_bucket is None):
        raise usage("one source is wanted", "name a FILE, or give --from-bucket and --config")
    if arguments.file is not None:
        return read_source(arguments.file)
    if arguments.config is None:
        raise usage("nobody says where the bucket is", "give --config with the proxy's configuration")
    try:
        check_bucket_name(arguments.from_bucket)
    except S3Error as error:
        raise usage(f"`{arguments.from_bucket}` is no bucket's name", "") from error
    # The server brings aiohttp, which no other command should wait for.
    from proxy.server.bucket_policy import NoBucketPolicyError, fetch_bucket_policy

    config = load_config(arguments.config)
    label = f"s3://{arguments.from_bucket}"
    try:
        return label, fetch_bucket_policy(config, arguments.from_bucket).decode()
    except (NoBucketPolicyError, UnicodeDecodeError) as error:
        raise usage(f"no policy from {label}: {error}", "") from error


def read_source(name: str) -> tuple[str, str]:
    """Return label and text of a file, or of standard input; raises `ConfigError`."""
    try:
        if name == STDIN:
            return "<stdin>", sys.stdin.buffer.read().decode("utf-8-sig")
        return name, Path(name).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise unreadable(name, error) from error
    except UnicodeDecodeError as error:
        raise usage(f"`{name}` is not UTF-8 text", "") from error


def emit(text: str, file: str | None) -> None:
    """Print a translation, or write it to a new file; raises `ConfigError`."""
    if file is None:
        sys.stdout.write(text)
        return
    try:
        with Path(file).open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise usage(f"`{file}` is there already", "remove it, or write to another file") from error
    except OSError as error:
        raise unreadable(file, error) from error
    print(f"wrote {file}", file=sys.stderr)


def report_problems(written: str, label: str) -> int:
    """Say on standard error what the proxy would refuse in a policy; returns the exit code."""
    try:
        document = yamldoc.parse(written, label)
        _, findings = read_policy(document, guess_kind(document), MAPPED_KEYS)
    except ConfigError as error:
        findings = list(error.diagnostics)
    if findings:
        print(render_all(findings), file=sys.stderr)
    return Exit.BAD_NEWS if findings else Exit.CLEAN


COMMAND = Command(
    "policy import",
    "make a policy file from AWS's JSON",
    configure,
    run,
    "Translate an AWS policy in JSON to YAML; comments become its description. Exit codes: 0 translated, 1 "
    "translated but the proxy would refuse it (said on standard error), 2 usage or unreadable input.",
)
