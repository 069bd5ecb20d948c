"""`s3warden policy test PATH...`: do requests get the verdicts that their tests expect, and do tests check enough."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from proxy.access.asking import ask
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.explaining import explain_answer
from proxy.cli.reports import Case, Problem, Report, RuleText, add_output_option, emit
from proxy.diagnostics import Diagnostic, Severity
from proxy.policy.case_files import load_cases
from proxy.policy.cases import CaseFile, Outcome, run_cases
from proxy.policy.coverage import Coverage, measure
from proxy.policy.mutate import Mutation, mutate

_RULES = {
    "surviving-mutant": RuleText(
        "No test notices a change of the policy.",
        Severity.WARNING,
        "A part of a policy was changed and all tests still passed: add one whose verdict depends on that part.",
    ),
    "not-exercised": RuleText(
        "No test exercises a part of the policy.",
        Severity.SUGGESTION,
        "Add a test whose request matches the statement, and one that fails on each condition alone.",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy test`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="test files, policies with tests beside, or folders")
    parser.add_argument(
        "--coverage", action="store_true", help="say which statements, conditions and values no test exercises"
    )
    parser.add_argument(
        "--threshold", metavar="N", type=_percent, help="fail below so many percent of coverage; implies --coverage"
    )
    parser.add_argument(
        "--mutate", action="store_true", help="change each effect, operator and value; fail if no test notices"
    )
    add_output_option(parser)


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"`{text}` is not between 0 and 100")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Run the tests; 1 for a failure, too little coverage or a surviving mutant, 3 when there are no tests."""
    missing = [path for path in arguments.paths if not Path(path).exists()]
    for path in missing:
        print(f"s3warden: cannot read `{path}`", file=sys.stderr)
    if missing:
        return Exit.ERROR
    files = load_cases(arguments.paths)
    now = time.time()
    outcomes = list(run_cases((case for file in files for case in file.cases), lambda written: ask(written, now)))
    failed = sum(not outcome.passed for outcome in outcomes)
    coverage = measure(outcomes) if arguments.coverage or arguments.threshold is not None else None
    mutation = mutate(outcomes) if arguments.mutate and not failed else None
    below = coverage is not None and arguments.threshold is not None and coverage.percent < arguments.threshold
    bad = bool(failed) or below or bool(mutation and mutation.survivors)
    emit(
        _report(files, outcomes, bad, coverage, mutation, _body(arguments, failed, coverage, mutation)),
        arguments.output,
    )
    if not outcomes:
        print("s3warden: there are no tests: a file `NAME.test.yaml` beside a policy has them", file=sys.stderr)
        return Exit.NOTHING
    return Exit.BAD_NEWS if bad else Exit.CLEAN


def _report(
    files: Sequence[CaseFile],
    outcomes: Sequence[Outcome],
    failed: bool,
    coverage: Coverage | None,
    mutation: Mutation | None,
    body: str,
) -> Report:
    tested = {policy.file: policy for file in files for policy in file.tested}
    problems = [_problem(each, False) for each in (coverage.missing if coverage else ())]
    problems += [_problem(each, True) for each in (mutation.survivors if mutation else ())]
    data: dict[str, object] = {}
    if coverage is not None:
        parts = {"statements": coverage.statements, "conditions": coverage.conditions, "values": coverage.values}
        counts = {name: {"exercised": done, "all": everything} for name, (done, everything) in parts.items()}
        data["coverage"] = {"percent": round(coverage.percent, 1), **counts}
    if mutation is not None:
        data["mutation"] = {"mutants": mutation.mutants, "survivors": len(mutation.survivors)}
    return Report(
        "policy test",
        {
            "policy": len(tested),
            "statement": sum(len(policy.statements) for policy in tested.values()),
            "test": len(outcomes),
        },
        failed,
        tuple(problems),
        tuple(_case(outcome) for outcome in outcomes),
        body,
        data=data,
        rules=_RULES,
    )


def _case(outcome: Outcome) -> Case:
    case = outcome.case
    text = ""
    if not outcome.passed:
        text = outcome.problem
        if outcome.answer is not None:
            text += "\n" + explain_answer(case.policies, outcome.answer)
    return Case(case.span.file, case.name, "passed" if outcome.passed else "failed", text, case.span)


def _problem(finding: Diagnostic, failing: bool) -> Problem:
    return Problem(
        finding.rule,
        "",
        finding.severity,
        finding.message,
        finding.span,
        finding.help,
        finding.snippet,
        failing=failing,
    )


def _body(arguments: argparse.Namespace, failed: int, coverage: Coverage | None, mutation: Mutation | None) -> str:
    lines = []
    if coverage is not None:
        parts = {"statements": coverage.statements, "conditions": coverage.conditions, "values": coverage.values}
        counts = ", ".join(f"{done} of {everything} {name}" for name, (done, everything) in parts.items())
        wanted = f", at least {arguments.threshold:g} % are wanted" if arguments.threshold is not None else ""
        lines.append(f"coverage {coverage.percent:.1f} % ({counts}){wanted}")
    if mutation is not None:
        killed = mutation.mutants - len(mutation.survivors)
        lines.append(f"mutants: {killed} of {mutation.mutants} were noticed by a test")
    elif arguments.mutate and failed:
        lines.append("mutants: not tried, since tests fail on the policies as they are")
    return "\n".join(lines)


COMMAND = Command(
    "policy test",
    "check that requests get the verdicts that tests expect",
    configure,
    run,
    "Run the tests in *.test.yaml files beside policies. Exit codes: 0 all passed, 1 a failed expectation, "
    "coverage below --threshold or a mutant that no test noticed, 2 usage or an unreadable or invalid file, "
    "3 there are no tests.",
)
