"""The proxy with limits that tests can reach; killed at the step that S3WARDEN_TEST_STEP names, if any."""

from __future__ import annotations

import os
import signal
import sys

from proxy.__main__ import main
from proxy.envelope import sizes
from proxy.server import relay
from proxy.server.envelope import copy_uploads, foreign_sources, holding, messages, steps, streamed_parts

LIMIT = 12 * 2**20
PART = 6 * 2**20
HELD = 2**20

if __name__ == "__main__":

    def reached(step: str) -> None:
        if step == os.environ.get("S3WARDEN_TEST_STEP"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.environ.get("S3WARDEN_TEST_STEP", "completed") in steps.STEPS
    for module in (copy_uploads, streamed_parts):
        module.reached = reached  # type: ignore[attr-defined]  # a name that it imported
    sizes.MAX_SINGLE_PLAIN = sizes.MAX_PART_PLAIN = sizes.MAX_PUT = LIMIT
    streamed_parts.PART = PART
    messages.MAX_OBJECT = messages.MAX_UNIT = foreign_sources.MAX_OBJECT = holding.MAX_OBJECT = HELD
    holding.MAX_HELD = HELD // 2
    relay.KEEPALIVE_SECONDS = 0.01
    sys.exit(main())
