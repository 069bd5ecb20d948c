"""A command, killed as if by kill -9 when it reaches a step of rotation: `S3WARDEN_TEST_STEP` is `STEP:TIMES`."""

from __future__ import annotations

import os
import signal
import sys

from proxy.__main__ import main
from proxy.server.rotation import steps

WANTED, _, TIMES = os.environ["S3WARDEN_TEST_STEP"].partition(":")
assert WANTED in steps.STEPS
seen: list[str] = []


def reached(step: str) -> None:
    seen.append(step)
    if step == WANTED and seen.count(step) == int(TIMES):
        os.kill(os.getpid(), signal.SIGKILL)


steps.reached = reached
sys.exit(main())
