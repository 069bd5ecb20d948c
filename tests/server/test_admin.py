"""The operator's listener over real sockets: who may ask what, and what is answered."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.config import Secret
from proxy.server.admin import AdminListener
from proxy.server.control import Control, Fleet
from proxy.server.health import Health
from proxy.server.metrics import Metrics
from proxy.server.reload import ReloadOutcome

TOKEN = "op3rator-t0ken"


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Awaitable[Answer]]


class Operated:
    """A worker that is operated, and its listener."""

    def __init__(self) -> None:
        self.health = Health()
        self.outcome = ReloadOutcome(True, "r2")
        self.control = Control(Metrics("1.2.3"), self.health, self._reload)

    async def _reload(self) -> ReloadOutcome:
        return self.outcome


@pytest.fixture
def operated() -> Operated:
    return Operated()


async def listen(operated: Operated, token: str | None) -> tuple[AdminListener, Ask]:
    listener = AdminListener(Fleet([operated.control]), Secret(token) if token else None, "1.2.3")
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    await listener.start(bound)

    async def ask(method: str, path: str, **headers: str) -> Answer:
        fields = {"Host": f"127.0.0.1:{port}", "Connection": "close"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode("latin-1") + b"\r\n")
        raw_head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        writer.close()
        first, *lines = raw_head.decode().split("\r\n")
        return Answer(int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body)

    return listener, ask


@pytest.fixture
async def ask(operated: Operated) -> AsyncIterator[Ask]:
    listener, asked = await listen(operated, None)
    yield asked
    await listener.stop()


@pytest.fixture
async def ask_guarded(operated: Operated) -> AsyncIterator[Ask]:
    listener, asked = await listen(operated, TOKEN)
    yield asked
    await listener.stop()


async def test_readiness_names_every_check(ask: Ask, operated: Operated):
    async def ill() -> str:
        return "no connection to store:443"

    answer = await ask("GET", "/readyz")
    assert (answer.status, answer.json()) == (200, {"ready": True, "workers": [{"serving": "ok"}]})
    operated.health.register("upstream", ill)
    answer = await ask("GET", "/readyz")
    assert answer.status == 503
    assert answer.json()["workers"] == [{"serving": "ok", "upstream": "no connection to store:443"}]


async def test_a_draining_process_is_alive_and_not_ready(ask: Ask, operated: Operated):
    operated.health.draining = True
    assert (await ask("GET", "/livez")).status == 200
    assert (await ask("GET", "/readyz")).status == 503


async def test_metrics_are_what_prometheus_reads(ask: Ask):
    answer = await ask("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    assert families["s3warden_build_info"].samples[0].labels["version"] == "1.2.3"


async def test_the_version_is_told(ask: Ask):
    assert (await ask("GET", "/version")).json()["version"] == "1.2.3"


async def test_a_reload_is_waited_for_and_its_outcome_told(ask: Ask, operated: Operated):
    answer = await ask("POST", "/-/reload")
    assert (answer.status, answer.json()) == (200, {"ok": True, "revision": "r2", "message": ""})
    operated.outcome = ReloadOutcome(False, "r2", "policies/a.yaml:3:7: error")
    answer = await ask("POST", "/-/reload")
    assert answer.status == 422
    assert answer.json()["message"] == "policies/a.yaml:3:7: error"


async def test_a_reload_needs_post_and_other_paths_are_unknown(ask: Ask):
    assert (await ask("GET", "/-/reload")).status == 405
    assert (await ask("GET", "/")).status == 404


@pytest.mark.parametrize("path", ["/metrics", "/version", "/-/reload"])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \xff",
    ],
)
async def test_with_a_token_nothing_is_told_without_it(ask_guarded: Ask, path: str, authorization: str | None):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await ask_guarded("POST" if path == "/-/reload" else "GET", path, **headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN.encode() not in answer.body


async def test_with_the_token_all_is_told_under_any_name(ask_guarded: Ask):
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "proxy.internal:9001"}
    assert (await ask_guarded("GET", "/metrics", **headers)).status == 200
    assert (await ask_guarded("POST", "/-/reload", **headers)).status == 200
    assert "workers" in (await ask_guarded("GET", "/readyz", **headers)).json()


async def test_probes_need_no_token_and_get_the_bare_verdict(ask_guarded: Ask):
    assert (await ask_guarded("GET", "/livez")).json() == {"live": True}
    assert (await ask_guarded("GET", "/readyz")).json() == {"ready": True}


async def test_without_a_token_a_web_page_cannot_reload_or_read(ask: Ask):
    assert (await ask("POST", "/-/reload", Origin="https://evil.example")).status == 403
    assert (await ask("GET", "/metrics", Host="rebound.example:9001")).status == 403
    assert (await ask("GET", "/metrics", Host="localhost:9001")).status == 200
    assert (await ask("GET", "/metrics", Host="[::1]:9001")).status == 200
    assert (await ask("POST", "/-/reload", Host="localhost:9001", Origin="http://localhost:9001")).status == 200


async def test_it_does_not_start_where_others_could_reach_it_without_a_token(operated: Operated):
    listener = AdminListener(Fleet([operated.control]), None, "1.2.3")
    with socket.socket() as bound:
        bound.bind(("0.0.0.0", 0))  # noqa: S104  the very thing that is refused
        with pytest.raises(ValueError, match="needs a token"):
            await listener.start(bound)
    await listener.stop()
