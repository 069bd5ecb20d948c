"""As much of the WebDriver protocol as these tests need, over chromedriver.

Source: https://www.w3.org/TR/webdriver2/
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_OPTIONS = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


class Browser:
    """A headless Chromium for the length of a `with` block."""

    def __enter__(self) -> Browser:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._at = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._wait()
            # The certificate is of an authority that no browser knows.
            wanted = {"acceptInsecureCerts": True, "goog:chromeOptions": {"args": _OPTIONS}}
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._driver.terminate()
            raise
        self._session = f"/session/{made['sessionId']}"
        self.version = str(made["capabilities"]["browserVersion"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        self._call("POST", f"{self._session}/url", {"url": url})

    @property
    def url(self) -> str:
        """Where the browser is now."""
        return str(self._call("GET", f"{self._session}/url"))

    def run(self, script: str, *args: object) -> Any:
        """Run an asynchronous function's body in the page, and return what it returns."""
        wrapped = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments)"
        wrapped += ".then(done, (error) => done(`failed: ${error}`))"
        return self._call("POST", f"{self._session}/execute/async", {"script": wrapped, "args": args})

    def type(self, selector: str, text: str) -> None:
        """Type into an input; for a file's, `text` is its path."""
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        self._call("POST", f"{self._session}/element/{found[_ELEMENT]}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click, and wait for the page that comes of it."""
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        self._call("POST", f"{self._session}/element/{found[_ELEMENT]}/click", {})

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._at + path, data, method=method)  # noqa: S310  chromedriver
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  chromedriver
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:600]}") from error
