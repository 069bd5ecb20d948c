"""How long to look for inputs that hurt: a moment in `make test`, longer in `make fuzz`.

FUZZ in the environment says how many times as many inputs are tried as in the tests.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FUZZ", "1"))

thorough = settings(
    max_examples=100 * TIMES,
    deadline=None,
    derandomize=TIMES == 1,  # a test run tries the same every time, a fuzz run something new
    suppress_health_check=list(HealthCheck),
)
