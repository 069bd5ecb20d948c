"""Keys under the name that a path-cleaning store would give them.

To S3 a key is a string, and `a/../b`, `a//b` and `b` are three objects. Stores built on a file system
tend to make one of them, and then a policy about `b` is walked around by asking for `a/../b`. Unless the
configuration says that the store takes keys literally, such keys are judged under both names, and both
must be allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from proxy.access.questions import Question


def judged_cleaned(asked: Iterable[Question]) -> tuple[Question, ...]:
    """Return the questions, and for each about an unclean key the same about its cleaned name."""
    found = []
    for question in asked:
        found.append(question)
        target = question.target
        if target is not None and is_unclean(target.key):
            cleaned = clean_key(target.key)
            resource = f"{question.resource.removesuffix(target.key)}{cleaned}"
            if cleaned not in ("", target.key) and question.resource.endswith(target.key):
                found.append(replace(question, resource=resource))
    return tuple(found)


def is_unclean(key: str) -> bool:
    """Tell whether cleaning could change the key; cheap, and rarely true without reason."""
    return "//" in key or "/." in key or key[:1] in (".", "/")


def clean_key(key: str) -> str:
    """Return the key as a path is cleaned: no empty and no dot segments; a last slash stays.

    Keys that climb out of their bucket are refused before.
    """
    kept: list[str] = []
    for segment in key.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    ends_in_folder = bool(kept) and key.rpartition("/")[2] in ("", ".", "..")
    return "/".join(kept) + ("/" if ends_in_folder else "")
