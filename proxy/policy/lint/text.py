"""Checks of the text itself: what another reader, human or YAML, would read differently.

Source for the invisible characters: Unicode TR 36 and "Trojan Source" (CVE-2021-42574). Source for what
YAML readers make of plain scalars: https://yaml.org/type/.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from proxy.diagnostics import Diagnostic, Span
from proxy.policy.lint.rules import BY_NAME
from proxy.policy.lint.subject import Check, Subject
from proxy.yamldoc import DocPath, Document, Value

_HIDDEN = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_WORD = re.compile(r"\w+")
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET")
_MANGLED = (
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"), "a date"),
    (re.compile(r"[0-9]{12}"), "a number"),
    (re.compile(r"[-+]?0[0-9_]+"), "an octal number"),
    (re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"), "a number to the base of 60"),
    (re.compile(r"(?i:yes|no|on|off|y|n)"), "a boolean"),
)


def hidden_characters(subject: Subject) -> Iterator[Diagnostic]:
    """S3W039: anywhere in the file, comments included."""
    document = subject.document
    if document.text.isascii():
        return
    rule = BY_NAME["hidden-characters"]
    for number, line in enumerate(document.text.splitlines(), 1):
        for match in _HIDDEN.finditer(line):
            char = match[0]
            name = unicodedata.name(char, "no name")
            span = Span(document.file, number, match.start() + 1, 1)
            message = f"the invisible character U+{ord(char):04X} ({name})"
            remedy = "delete it; what is shown here may not be what is read"
            yield Diagnostic(rule.severity, rule.id, message, span, remedy, line)


def lookalike_characters(subject: Subject) -> Iterator[Diagnostic]:
    """S3W040: words of several scripts, and letters that are only a variant of plain ones."""
    if subject.document.text.isascii():
        return
    for text, path, is_key in _texts(subject.document.data, ()):
        for word in () if text.isascii() else _WORD.findall(text):
            reason = _lookalike(word)
            if reason:
                remedy = "write it with plain letters; copy it from a place that you trust"
                yield subject.found("lookalike-characters", path, f"`{word}` {reason}", remedy, at_key=is_key)


def _lookalike(word: str) -> str:
    if word.isascii():
        return ""
    scripts = {script for char in word for script in _SCRIPTS if unicodedata.name(char, "").startswith(script)}
    if len(scripts) > 1:
        foreign = next(char for char in word if not char.isascii() and unicodedata.name(char, "").split()[0] in scripts)
        return f"mixes scripts: `{foreign}` is {unicodedata.name(foreign, 'unnamed')}"
    plain = unicodedata.normalize("NFKC", word)
    return f"is written with variants of plain letters: it looks like `{plain}`" if plain.isascii() else ""


def mangled_scalars(subject: Subject) -> Iterator[Diagnostic]:
    """S3W038: plain scalars that are text here and something else to other tools."""
    for text, path, is_key in _texts(subject.document.data, ()):
        if is_key or not subject.document.is_plain(path):
            continue
        for shape, what in _MANGLED:
            if shape.fullmatch(text):
                message = f"other tools read `{text}` as {what}"
                yield subject.found("mangled-scalar", path, message, f'quote it: "{text}"')
                break


def _texts(value: Value, path: DocPath) -> Iterator[tuple[str, DocPath, bool]]:
    """Yield every text with its path, and whether it is a key."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield key, (*path, key), True
            yield from _texts(child, (*path, key))
    elif isinstance(value, list):
        for place, child in enumerate(value):
            yield from _texts(child, (*path, place))
    else:
        yield value, path, False


def is_json(document: Document) -> bool:
    """Tell whether a document is JSON rather than YAML, by how it starts: JSON has no comments."""
    return document.text.lstrip("\ufeff \t\r\n").startswith("{")


CHECKS: tuple[Check, ...] = (hidden_characters, lookalike_characters, mangled_scalars)
