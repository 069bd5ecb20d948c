"""Where the files are that come with the product: in the wheel, or in the tree it runs from."""

from __future__ import annotations

from pathlib import Path

import proxy


def policies_folder() -> Path:
    """Return the folder with `buckets`, `identity` and `library` in it."""
    package = Path(proxy.__file__).parent
    installed = package / "shipped_policies"
    return installed if installed.is_dir() else package.parent / "policies"


def rules_folder() -> Path:
    """Return the folder with a page for every lint rule, `S3W014.md`."""
    package = Path(proxy.__file__).parent
    installed = package / "shipped_rules"
    return installed if installed.is_dir() else package.parent / "docs" / "rules"
