"""A key service in trouble harms what needs it and nothing else, is not pressed, and is taken up again."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Store
from tests.journeys.front import until
from tests.keys.transit import TOKEN, Transit
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy


class Silent:
    """Takes connections in place of a key service, and never answers."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self.listener.close()
        for each in self.taken:
            each.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    made = Silent()
    yield made
    made.close()


def vault(address: str) -> str:
    return f"  cloud: {{type: vault, address: {address}, token: {TOKEN}, key_name: hr, timeout_seconds: 0.3}}\n"


DIRECT = '  "cloud-*": {encryption: {mode: envelope, key: cloud, kek: {use: never}}}\n'


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        use()
    return str(caught.value.response["Error"]["Code"])


def readiness(running: Sealed) -> tuple[int, str]:
    try:
        answer = fetch(f"http://127.0.0.1:{running.admin}/readyz")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    return answer.status, json.dumps(json.load(answer))


def metrics(running: Sealed) -> str:
    return str(fetch(f"http://127.0.0.1:{running.admin}/metrics").read().decode())


def test_a_service_that_never_answers_is_given_up_and_left_alone(
    moto_store: Store, tmp_path: Path, silent: Silent
) -> None:
    with sealed_proxy(tmp_path, moto_store, keys=vault(silent.address), extra=DIRECT) as running:
        bucket, other, plain = running.bucket("cloud"), running.bucket(), running.bucket("plain")

        def put() -> object:
            return running.client.put_object(Bucket=bucket, Key="a", Body=b"x")

        for _ in range(5):
            assert code_of(put) == "ServiceUnavailable"
        pressed = len(silent.taken)
        for _ in range(20):
            assert code_of(put) == "ServiceUnavailable"
        # One try may be let through when its pause is over.
        assert len(silent.taken) <= pressed + 3, "nobody presses a service that does not answer"
        assert "Contents" not in running.direct.list_objects_v2(Bucket=bucket), "nothing went on without its key"
        for unharmed in (other, plain):
            running.client.put_object(Bucket=unharmed, Key="a", Body=b"x")
            assert running.client.get_object(Bucket=unharmed, Key="a")["Body"].read() == b"x"
        status, told = readiness(running)
        assert status == 503
        assert "key `cloud`" in told
        assert 's3warden_key_requests_total{op="wrap",provider="vault",result="unavailable"} 25.0' in metrics(running)
        assert TOKEN not in told + metrics(running) + running.log()


def test_a_service_that_comes_back_is_taken_up_again_by_itself(moto_store: Store, tmp_path: Path) -> None:
    with Transit() as transit, sealed_proxy(tmp_path, moto_store, keys=vault(transit.address), extra=DIRECT) as running:
        bucket = running.bucket("cloud")
        running.client.put_object(Bucket=bucket, Key="a", Body=b"x")

        def get() -> object:
            return running.client.get_object(Bucket=bucket, Key="a")["Body"].read()

        transit.status = 500
        for _ in range(6):
            assert code_of(get) == "ServiceUnavailable"
        transit.status = None
        assert until(lambda: readiness(running)[0] == 200, 30)
        assert get() == b"x"


def test_a_service_that_stumbles_is_asked_again_before_anybody_notices(moto_store: Store, tmp_path: Path) -> None:
    with Transit() as transit, sealed_proxy(tmp_path, moto_store, keys=vault(transit.address), extra=DIRECT) as running:
        bucket = running.bucket("cloud")
        real, answers = transit.serve, [(502, {"errors": []}), (503, {"errors": []})]

        def serve(path: str, token: str | None, asked: dict[str, str]) -> tuple[int, object]:
            return answers.pop() if answers and "encrypt" in path else real(path, token, asked)

        transit.serve = serve  # type: ignore[method-assign]  # two answers of a server in trouble, then its own
        running.client.put_object(Bucket=bucket, Key="a", Body=b"x")
        assert answers == []
        assert sum("encrypt" in path for path, _, _ in transit.seen) == 3
