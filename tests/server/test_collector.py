"""What the collector looks at while requests are served. Run in a process of its own: it is set for all of it."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import gc, weakref
import proxy.server.app
from proxy.server.collector import settle

class Knot:
    def __init__(self):
        self.itself = self

settle()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
assert len(gc.get_objects()) < 1_000, len(gc.get_objects())
gone = weakref.ref(Knot())
made = 0
while gone() is not None and made < 1_000_000:
    Knot()
    made += 1
print(made < 1_000_000)
"""


def test_what_was_loaded_is_not_looked_at_again_and_new_cycles_are_still_collected() -> None:
    answer = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert (answer.stdout, answer.stderr) == ("True\n", "")
