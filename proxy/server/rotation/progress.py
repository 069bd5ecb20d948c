"""How far a rewrap is: a small file that is replaced whole, so that a run that was killed goes on where it was.

What the file says is only ever behind what was done, and what was done already is left alone when it is met
again. So a lost or older file costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

FORMAT = 1
MAX_AGAIN = 1000
"""Objects to look at again that a file holds; beyond them it stays where it is, and all after is looked at again."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is done: a file of another task is refused."""

    bucket: str
    prefix: str = ""
    to: str = ""


@dataclass(slots=True)
class Progress:
    """The place up to which all is done, but for the keys in `again`."""

    task: Task
    path: Path | None = None
    """None keeps nothing."""
    after: tuple[str, str] = ("", "")
    """Key and, where versions are listed, version."""
    tally: Counter[str] = field(default_factory=Counter)
    again: list[str] = field(default_factory=list)
    """Objects that failed, or were written meanwhile."""
    ended: bool = False

    def advance(self, after: tuple[str, str], tally: Counter[str], again: list[str]) -> None:
        """Note that everything up to `after` was looked at; raises `ConfigError` when that cannot be written."""
        self.tally.update(tally)
        if len(self.again) + len(again) <= MAX_AGAIN:
            self.again += again
            self.after = after
        self._save()

    def end(self) -> None:
        """Note that the run got to its end."""
        self.ended = True
        self._save()

    def _save(self) -> None:
        if self.path is None:
            return
        task = {"bucket": self.task.bucket, "prefix": self.task.prefix, "to": self.task.to}
        state = {"after": list(self.after), "tally": dict(self.tally), "again": self.again, "ended": self.ended}
        raw = json.dumps({"v": FORMAT, **task, **state}, indent=1) + "\n"
        try:
            file, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with open(file, "w", encoding="utf-8") as stream:
                    stream.write(raw)
                    stream.flush()
                    os.fsync(file)
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            raise _unusable(self.path, f"cannot write the progress: {error.strerror}") from error


def resume(path: Path | None, task: Task) -> Progress:
    """Go on from a file, or begin where there is none or its run got to its end; raises `ConfigError`."""
    if path is None or not path.exists():
        return Progress(task, path)
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["v"] != FORMAT:
            raise ValueError
        written = Task(str(found["bucket"]), str(found["prefix"]), str(found["to"]))
        key, version = found["after"]
        tally = Counter({str(name): int(count) for name, count in found["tally"].items()})
        again = [str(each) for each in found["again"]]
        ended = bool(found["ended"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unusable(path, "this is no file of an earlier run", "remove it, or name another file") from error
    if written != task:
        what = f"`{written.bucket}`, prefix `{written.prefix}`, key `{written.to}`"
        raise _unusable(path, f"this file is of another run: bucket {what}", "name another file")
    return Progress(task, path) if ended else Progress(task, path, (str(key), str(version)), tally, again)


def _unusable(path: Path, message: str, remedy: str = "") -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "progress", message, Span(str(path)), remedy)])
