"""The page of operations says what the operations table says."""

from __future__ import annotations

import runpy
from pathlib import Path

GENERATOR = Path(__file__).parents[1] / "docs" / "generate_operations.py"


def test_the_page_of_operations_is_what_its_generator_writes() -> None:
    generator = runpy.run_path(str(GENERATOR))
    page = generator["PAGE"].read_text()
    assert page == generator["render"](), "run `python docs/generate_operations.py`"
