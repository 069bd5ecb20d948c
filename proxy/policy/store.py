"""Policies from files and folders, and which of them belong to a bucket.

A folder is read recursively: `*.yaml`, `*.yml` and `*.json`, without `*.test.yaml` and without names that
start with a dot. An empty folder is valid: it holds no policies.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from proxy import yamldoc
from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.index import PolicyGroup
from proxy.policy.parse import parse_policy

_ENDINGS = (".yaml", ".yml", ".json")
_TEST_ENDINGS = (".test.yaml", ".test.yml", ".test.json")
# Bucket names come from whoever sends requests: remember a bounded number of them.
_MAX_REMEMBERED = 4096


class PolicySet:
    """An immutable collection of policies of one kind. Replace it as a whole to reload."""

    __slots__ = ("_by_bucket", "_groups", "everything", "files", "revision")

    def __init__(self, files: Iterable[PolicyFile] = ()) -> None:
        self.files = tuple(files)
        digest = hashlib.sha256("\n".join(sorted(file.revision for file in self.files)).encode())
        self.revision = digest.hexdigest()
        """SHA-256 over the contents of all files; where they lie does not matter."""
        self.everything = PolicyGroup(self.files)
        """All policies together, as an identity has them."""
        self._by_bucket: dict[str, PolicyGroup] = {}
        self._groups: dict[tuple[int, ...], PolicyGroup] = {}

    def for_bucket(self, bucket: str) -> PolicyGroup:
        """Return the policies of `bucket`: by the wrapper's `bucket`, else by the ARNs of its resources."""
        group = self._by_bucket.get(bucket)
        if group is None:
            places = tuple(place for place, file in enumerate(self.files) if file.concerns(bucket))
            # Buckets with the same policies share a group and so its index.
            group = self._groups.get(places)
            if group is None:
                group = self._groups[places] = PolicyGroup(self.files[place] for place in places)
            if len(self._by_bucket) >= _MAX_REMEMBERED:
                self._by_bucket.clear()
                self._groups.clear()
            self._by_bucket[bucket] = group
        return group

    def keys_read(self, action: str | None = None) -> frozenset[str]:
        """Return the lower-case condition keys that any statement about `action` (or any) looks at."""
        return self.everything.keys_read(action)


def load_policies(paths: Iterable[Path | str], kind: Kind, mapped_keys: Collection[str] = ()) -> PolicySet:
    """Read and compile all policies in files and folders; one `ConfigError` has the mistakes of all."""
    policies: list[PolicyFile] = []
    findings: list[Diagnostic] = []
    seen: set[str] = set()
    for path in paths:
        for file in policy_files(path):
            real = os.path.realpath(file)
            if real in seen:
                continue
            seen.add(real)
            try:
                policies.append(parse_policy(yamldoc.load(file), kind, mapped_keys))
            except ConfigError as error:
                findings.extend(error.diagnostics)
    if findings:
        raise ConfigError(findings)
    return PolicySet(policies)


def policy_files(path: Path | str) -> list[Path]:
    """Return the policy files under a folder in a stable order, or the file itself whatever its name."""
    start = Path(path)
    if not start.is_dir():
        return [start]
    found = []
    for folder, subfolders, files in os.walk(start):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(_ENDINGS) and not name.endswith(_TEST_ENDINGS) and not name.startswith("."):
                found.append(Path(folder, name))
    return found
