"""What the commands about stored objects share: naming one, and saying what is wrong with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.cli.exits import Exit
from proxy.errors import IntegrityError, S3Error


@dataclass(slots=True)
class Outcome:
    """How a command ended."""

    code: Exit = Exit.CLEAN


def add_object(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name an object."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration file")
    parser.add_argument("--version-id", metavar="ID", default="", help="a version other than the current one")
    parser.add_argument("bucket", metavar="BUCKET", help="the bucket")
    parser.add_argument("key", metavar="KEY", help="the object's key")


@contextmanager
def failed(bucket: str, key: str) -> Iterator[Outcome]:
    """Turn what goes wrong with an object into a line and an exit code."""
    from proxy.server.upstream import UpstreamError

    outcome = Outcome()
    name = f"{bucket}/{key}" if key else bucket
    try:
        yield outcome
    except IntegrityError as error:
        print(f"s3warden: {name} does not verify ({error.where}): {error}", file=sys.stderr)
        outcome.code = Exit.BAD_NEWS
    except OSError as error:
        print(f"s3warden: {error.filename or name}: {error.strerror or error}", file=sys.stderr)
        outcome.code = Exit.ERROR
    except (S3Error, UpstreamError) as error:
        detail = f" ({error.detail})" if isinstance(error, S3Error) and error.detail else ""
        print(f"s3warden: {name}: {error}{detail}", file=sys.stderr)
        outcome.code = Exit.ERROR
