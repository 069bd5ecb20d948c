"""How long to look for inputs that hurt: a moment in `make test`, longer in `make fuzz`.

FUZZ in the environment says how many times as many inputs are tried as in the tests. Which ones these are follows
from a seed, so that a change fails for what it changes: another seed (`make fuzz SEED=2`) looks elsewhere.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FUZZ", "1"))

thorough = settings(
    max_examples=100 * TIMES,
    deadline=None,
    derandomize=TIMES == 1,  # a fuzz run has a seed of its own
    suppress_health_check=list(HealthCheck),
)
