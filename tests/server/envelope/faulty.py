"""The proxy, killed as if by kill -9 when it reaches the step that S3WARDEN_TEST_STEP names."""

from __future__ import annotations

import os
import signal
import sys

from proxy.__main__ import main
from proxy.server import uploads
from proxy.server.envelope import completing, part_copying, spilling, steps, uploading


def reached(step: str) -> None:
    if step == os.environ["S3WARDEN_TEST_STEP"]:
        os.kill(os.getpid(), signal.SIGKILL)


assert os.environ["S3WARDEN_TEST_STEP"] in steps.STEPS
for module in (completing, part_copying, spilling, uploading, uploads):
    module.reached = reached  # type: ignore[attr-defined]  # a name that it imported
sys.exit(main())
