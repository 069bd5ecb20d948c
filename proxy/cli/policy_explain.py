"""`s3warden policy explain PATH...`: the verdict on one request, what decided it, and what nearly did."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from proxy.access.asking import ask
from proxy.cli.batch import add_batch_option, run_batch
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.explaining import decision_data, explain_answer
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError, S3Error
from proxy.policy.names import find_key, suggest_key
from proxy.policy.variables import ContextValue
from proxy.policy.written import ANONYMOUS_NAMES, Direct, Http, Written, judge, load_mixed
from proxy.policy.written_file import TLS_VERSIONS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy explain`."""
    parser.add_argument("paths", metavar="PATH", nargs="*", help="policy files or folders with policies")
    parser.add_argument(
        "--identity", metavar="PATH", action="append", default=[], help="an identity policy of the caller; repeatable"
    )
    parser.add_argument("--principal", metavar="ARN", help="who asks; `anonymous` for nobody")
    parser.add_argument("--action", metavar="NAME", help="the action, such as s3:PutObject")
    parser.add_argument("--resource", metavar="ARN", help="what it is about")
    parser.add_argument("--http", metavar="'METHOD PATH'", help="a raw request instead: 'PUT /bucket/key'")
    parser.add_argument(
        "--header", metavar="'NAME: VALUE'", action="append", default=[], help="a header of the raw request; repeatable"
    )
    parser.add_argument("--body", metavar="FILE", help="the XML body of the raw request")
    parser.add_argument("--tls", choices=TLS_VERSIONS, default="1.3", help="TLS of the raw request (default 1.3)")
    parser.add_argument("--source-ip", metavar="IP", default="192.0.2.1", help="the client of the raw request")
    parser.add_argument(
        "--context", metavar="KEY=VALUE", action="append", default=[], help="a condition key; twice is a list"
    )
    parser.add_argument("--resource-account", metavar="ID", help="the bucket's owner (default: the caller's account)")
    parser.add_argument("--expect", choices=("allow", "deny"), help="the verdict that exits with 0 (default allow)")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="the format (default text)")
    add_batch_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Explain one request, or decide many with --batch."""
    if arguments.batch is not None:
        if arguments.paths or arguments.identity:
            raise usage("policies are in the lines of --batch", "leave PATH and --identity out")
        return run_batch(arguments.batch)
    written = _written(arguments)
    policies = load_mixed(existing(arguments.paths), existing(arguments.identity))
    if not policies.files:
        print("s3warden: there are no policies to ask", file=sys.stderr)
        return Exit.NOTHING
    try:
        asked = ask(written, time.time())
    except S3Error as error:
        raise usage(f"the proxy refuses this request before any policy is asked: {error}", "") from error
    answer = judge(policies, asked)
    if arguments.output == "json":
        print(json.dumps({**decision_data(answer), "explanation": explain_answer(policies, answer)}, indent=2))
    else:
        print(explain_answer(policies, answer))
        statements = sum(len(policy.statements) for policy in policies.files)
        print(f"asked: policies {len(policies.files)}, statements {statements}", file=sys.stderr)
    return verdict(answer.allowed, arguments.expect)


def verdict(allowed: bool, expect: str | None) -> int:
    """Return the exit code for a verdict."""
    return Exit.CLEAN if allowed is (expect != "deny") else Exit.BAD_NEWS


def existing(paths: list[str]) -> list[Path]:
    """Return paths; raises `ConfigError` for one that is not there."""
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        raise ConfigError(
            [Diagnostic(Severity.ERROR, "unreadable", "there is no such file", Span(path)) for path in missing]
        )
    return [Path(path) for path in paths]


def usage(message: str, help: str) -> ConfigError:
    """Make the error for arguments that make no sense together."""
    return ConfigError([Diagnostic(Severity.ERROR, "usage", message, Span("command line"), help)])


def _written(arguments: argparse.Namespace) -> Written:
    if arguments.principal is None:
        raise usage("nobody asks", "give --principal, an ARN or `anonymous`")
    caller = None if arguments.principal in ANONYMOUS_NAMES else arguments.principal
    what = _http(arguments) if arguments.http is not None else _question(arguments)
    return Written(caller, what, read_context(arguments.context), arguments.resource_account)


def _question(arguments: argparse.Namespace) -> Direct:
    if arguments.action is None or arguments.resource is None:
        raise usage("nothing is asked", "give --action and --resource, or --http")
    return Direct(arguments.action, arguments.resource)


def _http(arguments: argparse.Namespace) -> Http:
    if arguments.action is not None or arguments.resource is not None:
        raise usage("--http says action and resource itself", "leave --action and --resource out")
    method, _, target = arguments.http.strip().partition(" ")
    if not target.startswith("/"):
        raise usage(f"`{arguments.http}` is no request", "write --http 'PUT /bucket/key'")
    headers = []
    for text in arguments.header:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise usage(f"`{text}` is no header", "write --header 'NAME: VALUE'")
        headers.append((name.strip(), value.strip()))
    tls = None if arguments.tls == "none" else arguments.tls
    body = "" if arguments.body is None else _read(arguments.body)
    return Http(method, target, tuple(headers), body, tls=tls, source_ip=arguments.source_ip)


def _read(name: str) -> str:
    try:
        return Path(name).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise usage(f"cannot read `{name}`: {error.strerror}", "") from error


def read_context(given: list[str]) -> dict[str, ContextValue]:
    """Read `KEY=VALUE`, twice the same key being a list; raises `ConfigError`."""
    found: dict[str, ContextValue] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise usage(f"`{text}` is no condition key with a value", "write --context KEY=VALUE")
        if find_key(name) is None:
            raise usage(f"unknown condition key `{name}`", suggest_key(name))
        before = found.get(name.lower())
        if before is None:
            found[name.lower()] = value
        else:
            found[name.lower()] = (*((before,) if isinstance(before, str) else before), value)
    return found


COMMAND = Command(
    "policy explain",
    "say what policies decide about a request, and why",
    configure,
    run,
    "Decide one request, written as a question or as raw HTTP, and say which statements decided and which came "
    "nearest. Exit codes: 0 allowed, 1 denied (--expect deny turns it round), 2 usage or an unreadable or invalid "
    "file, 3 no policies. With --batch always 0: errors are in the answers.",
)
