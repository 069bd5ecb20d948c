"""The proxy and the scripted store around which it stands, with what tests ask about both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hostile.rawclient import Heard, RawClient, as_bytes, talk
from tests.hostile.scripted import Script, ScriptedStore, well_behaved
from tests.journeys.front import Seen, until
from tests.journeys.signing import sign_v4
from tests.journeys.walking import ALICE, Walk, bucket_policy, identity, walking
from tests.journeys.wire import Answer, Wire

OPEN = ("arn:aws:s3:::open", "arn:aws:s3:::open/*")


@dataclass
class Arena:
    walk: Walk
    store: ScriptedStore

    @property
    def endpoint(self) -> str:
        return self.walk.endpoint

    @property
    def host(self) -> str:
        return self.walk.host

    @property
    def requests(self) -> list[Seen]:
        """What reached the store."""
        return self.store.requests

    def play(self, script: Script) -> None:
        self.store.play(script)

    def rest(self) -> None:
        """Let the store behave again."""
        self.play(well_behaved)

    def talk(self, data: bytes, expected: int | None = 1, *, seconds: float = 20.0) -> Heard:
        return talk(self.endpoint, data, expected, seconds=seconds)

    def client(self, *, buffer: int | None = None) -> RawClient:
        return RawClient(self.endpoint, buffer=buffer)

    def signed(self, wire: Wire, payload: str | None = None) -> bytes:
        """Alice's request, as bytes."""
        return as_bytes(sign_v4(wire, ALICE, self.host, payload), self.host)

    def ask(self, wire: Wire, payload: str | None = None) -> Answer:
        """Send a request of Alice's and return its answer."""
        return self.talk(self.signed(wire, payload)).answer

    def decision(self, answer: Answer) -> dict[str, Any]:
        return self.walk.decision(answer)

    def last_decision(self) -> dict[str, Any]:
        decisions = self.walk.decisions()
        return decisions[-1] if decisions else {}

    def decided(self, **expected: object) -> bool:
        """Tell whether the log gets a line with these values."""

        def look() -> bool:
            return any(all(line.get(k) == v for k, v in expected.items()) for line in self.walk.decisions()[-200:])

        return until(look)

    def assert_well(self) -> None:
        """The proxy still serves, nothing is left under way, and nothing was a surprise to it."""
        self.rest()
        answer = self.ask(Wire("GET", "/bucket/still-here"))
        assert (answer.status, answer.body) == (200, b"hello")
        assert "Traceback" not in self.walk.log(), self.walk.log()
        assert until(lambda: self.in_flight() == 0), "requests are left under way"

    def in_flight(self) -> int:
        found = re.search(r"^s3warden_requests_in_flight(?:{[^}]*})? (\d+)", self.walk.metrics(), re.MULTILINE)
        assert found, self.walk.metrics()
        return int(found[1])

    def rss(self) -> int:
        """Return the resident memory of the proxy in bytes."""
        status = Path(f"/proc/{self.walk.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.walk.pid}/fd").iterdir()))


@contextmanager
def besieged(folder: Path, *, idle_seconds: float = 15.0, **settings: Any) -> Iterator[Arena]:
    """Run both. Everybody may do everything in the bucket `open`; Alice may do so everywhere."""
    everything = bucket_policy({"Effect": "Allow", "Action": "s3:*", "Resource": list(OPEN)})
    upstream = {"idle_seconds": 1.0, "connect_seconds": 2.0}
    limits = {"idle_seconds": idle_seconds, **settings.pop("limits", {})}
    with (
        ScriptedStore().running() as store,
        walking(
            folder,
            store.store,
            identities=[identity("user/alice", ALICE, "full.yaml")],
            buckets={"open": everything},
            upstream={**upstream, **settings.pop("upstream", {})},
            limits=limits,
            **settings,
        ) as walk,
    ):
        yield Arena(walk, store)
