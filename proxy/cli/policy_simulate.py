"""`s3warden policy simulate MATRIX`: principals by actions by resources by contexts, as a table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from proxy import yamldoc
from proxy.access.asking import ask
from proxy.cli.batch import add_batch_option, run_batch
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.explaining import explain_answer
from proxy.cli.policy_explain import existing, usage
from proxy.cli.reports import Case, Report, add_output_option, emit
from proxy.diagnostics import Span
from proxy.policy.simulate import Cell, Matrix, parse_matrix, simulate
from proxy.policy.written import load_mixed

_HEADINGS = ("principal", "action", "resource", "context", "verdict", "by")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy simulate`."""
    parser.add_argument("matrix", metavar="MATRIX", nargs="?", help="a YAML file with what to combine")
    parser.add_argument(
        "--policies", metavar="PATH", action="append", default=[], help="ask these policies instead; repeatable"
    )
    parser.add_argument("--expect", choices=("allow", "deny"), help="the verdict that every request must get")
    add_output_option(parser)
    add_batch_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Decide all cells, or lines with --batch."""
    if arguments.batch is not None:
        if arguments.matrix is not None or arguments.policies:
            raise usage("policies and requests are in the lines of --batch", "leave MATRIX and --policies out")
        return run_batch(arguments.batch)
    if arguments.matrix is None:
        raise usage("there is nothing to simulate", "name a MATRIX, or give --batch FILE")
    given = load_mixed(existing(arguments.policies)) if arguments.policies else None
    matrix = parse_matrix(yamldoc.load(arguments.matrix), given)
    if not matrix.policies.files:
        print("s3warden: there are no policies to ask", file=sys.stderr)
        return Exit.NOTHING
    now = time.time()
    cells = list(simulate(matrix, lambda written: ask(written, now)))
    wanted = arguments.expect != "deny"
    bad = any(cell.answer.allowed is not wanted for cell in cells)
    emit(_report(arguments, matrix, cells, bad), arguments.output)
    return Exit.BAD_NEWS if bad else Exit.CLEAN


def _report(arguments: argparse.Namespace, matrix: Matrix, cells: Sequence[Cell], bad: bool) -> Report:
    rows = [_row(cell) for cell in cells]
    allowed = sum(cell.answer.allowed for cell in cells)
    return Report(
        "policy simulate",
        {
            "policy": len(matrix.policies.files),
            "statement": sum(len(policy.statements) for policy in matrix.policies.files),
            "request": len(cells),
        },
        bad,
        cases=tuple(_case(arguments, matrix, cell) for cell in cells) if arguments.expect else (),
        body=_table(rows),
        markdown=_markdown(rows),
        data={
            "cells": [
                dict(zip(_HEADINGS, row, strict=True)) | {"by": list(cell.answer.sids)}
                for row, cell in zip(rows, cells, strict=True)
            ]
        },
        notes=(f"{allowed:,} allowed, {len(cells) - allowed:,} denied",),
    )


def _row(cell: Cell) -> tuple[str, ...]:
    answer = cell.answer
    return (cell.principal, cell.action, cell.resource, cell.context, answer.effect.value, ", ".join(answer.sids))


def _case(arguments: argparse.Namespace, matrix: Matrix, cell: Cell) -> Case:
    name = f"{cell.action} on {cell.resource} by {cell.principal}" + (f" ({cell.context})" if cell.context else "")
    if cell.answer.allowed is (arguments.expect == "allow"):
        return Case(arguments.matrix, name, "passed", span=Span(arguments.matrix))
    text = f"expected {arguments.expect}\n{explain_answer(matrix.policies, cell.answer)}"
    return Case(arguments.matrix, name, "failed", text, Span(arguments.matrix))


def _used(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """Return the columns that say anything."""
    return [column for column in range(len(_HEADINGS)) if any(row[column] for row in rows)]


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    columns = _used(rows)
    lines = [tuple(_HEADINGS[column].upper() for column in columns), *(tuple(row[c] for c in columns) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _markdown(rows: Sequence[tuple[str, ...]]) -> str:
    columns = _used(rows)
    lines = ["| " + " | ".join(_HEADINGS[column] for column in columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(row[column].replace("|", "\\|") for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


COMMAND = Command(
    "policy simulate",
    "show the verdicts on a matrix of requests",
    configure,
    run,
    "Decide every principal with every action on every resource in every context of a YAML file, and show a table. "
    "Exit codes: 0 everything is allowed (with --expect: everything is as expected), 1 something is not, 2 usage or "
    "an unreadable or invalid file, 3 no policies. With --batch always 0: errors are in the answers.",
)
