"""Mutants: would the tests notice if a policy said something else?

Every statement's effect is turned round, every operator is replaced by its opposite, every value by one
that means something else. A mutant that leaves all tests green survives: nothing checks that part.

Statements of `mode: report` have no mutants, since they decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.policy.cases import Case, Outcome, problem
from proxy.policy.conditions import OPERATORS, Condition, Operator, compile_condition
from proxy.policy.document import Kind, PolicyFile, Statement
from proxy.policy.evaluate import combine
from proxy.policy.index import Match
from proxy.policy.principals import Grade
from proxy.policy.values import read_date, read_network, read_number
from proxy.policy.variables import Template, literal_template, parse_template
from proxy.policy.written import Answer, Asked

_OPPOSITES: Mapping[str, str] = MappingProxyType(
    {
        "numericlessthan": "numericgreaterthanequals",
        "numericlessthanequals": "numericgreaterthan",
        "numericgreaterthan": "numericlessthanequals",
        "numericgreaterthanequals": "numericlessthan",
        "datelessthan": "dategreaterthanequals",
        "datelessthanequals": "dategreaterthan",
        "dategreaterthan": "datelessthanequals",
        "dategreaterthanequals": "datelessthan",
    }
)
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one statement."""

    original: Statement
    changed: Statement
    message: str
    """What was changed, in words."""
    span: Span


@dataclass(frozen=True, slots=True)
class Mutation:
    """How many mutants there were, and which of them no test noticed."""

    mutants: int
    survivors: tuple[Diagnostic, ...]


def mutate(outcomes: Sequence[Outcome]) -> Mutation:
    """Try all mutants of the policies that the tests are about. All tests must pass on the originals."""
    runs = [_Run.of(outcome, outcome.answer) for outcome in outcomes if outcome.answer is not None]
    about: dict[str, list[_Run]] = {}
    files: dict[str, PolicyFile] = {}
    for run in runs:
        for policy in run.case.tested:
            files[policy.file] = policy
            about.setdefault(policy.file, []).append(run)
    for outcome in outcomes:
        files |= {policy.file: policy for policy in outcome.case.tested}
    count, survivors = 0, []
    for name, policy in files.items():
        for statement in policy.statements if policy.mode == "enforce" else ():
            named = [(run, run.grades(statement)) for run in about.get(name, ())]
            concerned = [(run, grades) for run, grades in named if any(grades)]
            for mutant in mutants(statement):
                count += 1
                if not any(run.kills(mutant, grades) for run, grades in concerned):
                    survivors.append(_survivor(policy, mutant))
    return Mutation(count, tuple(survivors))


def _survivor(policy: PolicyFile, mutant: Mutant) -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        "surviving-mutant",
        f"no test fails when {mutant.message}",
        mutant.span,
        "add a test whose verdict depends on it",
        policy.document.line(mutant.span.line),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One question of a case with the statements that match it."""

    asked: Asked
    kind: Kind
    files: frozenset[str]
    """Names of the policies that were asked."""
    by_resource: tuple[Match, ...]
    by_identity: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """A case that passed, ready to be decided again with one statement changed."""

    case: Case
    answer: Answer
    steps: tuple[_Step, ...]

    @classmethod
    def of(cls, outcome: Outcome, answer: Answer) -> _Run:
        steps = []
        for asked in outcome.asked:
            resource, identity = outcome.case.policies.groups(asked)
            request = asked.request
            wanted = (request.action, request.resource, request.principal, request.context)
            files = frozenset(policy.file for group in (resource, identity) for policy in group.files)
            found = (tuple(group.enforced.matches(*wanted)) for group in (resource, identity))
            steps.append(_Step(asked, resource.kind, files, *found))
        return cls(outcome.case, answer, tuple(steps))

    def grades(self, statement: Statement) -> tuple[Grade, ...]:
        """Tell for each question how the statement concerns it, conditions aside."""
        return tuple(
            _grade(statement, step.asked) if statement.policy in step.files else Grade.NONE for step in self.steps
        )

    def kills(self, mutant: Mutant, grades: Sequence[Grade]) -> bool:
        """Tell whether the case fails with the statement changed."""
        decisions = []
        for step, grade, (asked, before) in zip(self.steps, grades, self.answer.decisions, strict=True):
            if not grade:
                decisions.append((asked, before))
                continue
            holds = all(condition.holds(asked.request.context) for condition in mutant.changed.conditions)
            changed = (0, mutant.changed, grade) if holds else None
            by_resource, by_identity = step.by_resource, step.by_identity
            if mutant.original.kind == "identity":
                by_identity = _swap(by_identity, mutant.original, changed)
            else:
                by_resource = _swap(by_resource, mutant.original, changed)
            decisions.append((asked, combine(asked.request, step.kind, by_resource, by_identity)))
        return bool(problem(self.case, Answer(tuple(decisions))))


def _swap(matches: Iterable[Match], original: Statement, changed: Match | None) -> tuple[Match, ...]:
    kept = tuple(match for match in matches if match[1] is not original)
    return kept if changed is None else (*kept, changed)


def _grade(statement: Statement, asked: Asked) -> Grade:
    request = asked.request
    if not statement.actions.matches(request.action.lower()):
        return Grade.NONE
    if not statement.resources.matches(request.resource, request.context):
        return Grade.NONE
    return Grade.DIRECT if statement.principals is None else statement.principals.grade(request.principal)


def mutants(statement: Statement) -> Iterator[Mutant]:
    """Yield all mutants of a statement."""
    name = f"`{statement.sid}`" if statement.sid else f"statement {statement.index + 1}"
    other: Literal["Allow", "Deny"] = "Deny" if statement.effect == "Allow" else "Allow"
    turned = replace(statement, effect=other)
    yield Mutant(statement, turned, f"{name} says {other} instead of {statement.effect}", statement.span)
    for place, condition in enumerate(statement.conditions):
        for changed, message in _conditions(condition):
            conditions = (*statement.conditions[:place], changed, *statement.conditions[place + 1 :])
            mutant = replace(statement, conditions=conditions)
            yield Mutant(statement, mutant, f"{message} in {name}", condition.span)


def _conditions(condition: Condition) -> Iterator[tuple[Condition, str]]:
    opposite = _opposite(condition.operator)
    if opposite is not None:
        changed = _compiled(condition, opposite, condition.templates)
        yield changed, f"`{condition.written}` on `{condition.key}` becomes `{opposite.name}`"
    for place, template in enumerate(condition.templates):
        other = _other_value(condition.operator, template)
        templates = (*condition.templates[:place], other, *condition.templates[place + 1 :])
        changed = _compiled(condition, condition.operator, templates)
        yield changed, f"`{template.source}` for `{condition.key}` becomes `{other.source}`"


def _compiled(condition: Condition, operator: Operator, templates: Sequence[Template]) -> Condition:
    return compile_condition(
        operator,
        condition.quantifier,
        condition.if_exists and operator.family != "Null",
        condition.key,
        templates,
        written=condition.written,
        span=condition.span,
    )


def _opposite(operator: Operator) -> Operator | None:
    """Return the operator that is true where this one is false; None for those whose values do that."""
    name = operator.name.lower()
    if name in _OPPOSITES:
        return OPERATORS[_OPPOSITES[name]]
    if "not" in name:
        return OPERATORS[name.replace("not", "", 1)]
    for start in ("string", "arn", "numeric", "date"):
        if name.startswith(start):
            return OPERATORS.get(f"{start}not{name.removeprefix(start)}")
    return OPERATORS.get(f"not{name}")


def _other_value(operator: Operator, template: Template) -> Template:
    """Return a value that the operator can read and that means something else."""
    text = template.source
    if operator.family in ("Bool", "Null"):
        return literal_template("false" if text.lower() == "true" else "true")
    if operator.family == "Numeric":
        return literal_template(str((read_number(text) or 0) + 1))
    if operator.family == "Date":
        return literal_template(str(int(read_date(text) or 0) + _DAY))
    if operator.family == "IpAddress":
        return literal_template(_other_network(text))
    if operator.family == "Binary":
        return literal_template("bXV0YW50" if text != "bXV0YW50" else "")
    return parse_template(f"{text}-mutant", wildcards=operator.wildcards, variables=bool(template.variables))


def _other_network(text: str) -> str:
    """Return a documentation range of the same family that is not this one. Source: RFC 5737, RFC 3849."""
    network = read_network(text)
    if network is not None and network[0] == 6:
        return "2001:db8:ffff::/48" if not text.startswith("2001:db8:ffff") else "2001:db8::/48"
    return "203.0.113.0/24" if not text.startswith("203.0.113.") else "198.51.100.0/24"
