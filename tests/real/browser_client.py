"""A browser: a page of another origin uploads with a presigned URL and with a form. It has steps of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config

from tests.journeys.clients.journey import BODY, LARGE, holds, same, target, walk
from tests.real.webdriver import Browser

STEPS = {
    "preflight": "is told by a preflight what it may do",
    "presigned_put": "uploads with fetch and a presigned URL",
    "presigned_get": "downloads with fetch and a presigned URL",
    "large": "uploads 11 MiB with a presigned URL",
    "refusal": "reads why an upload with fetch is refused",
    "form": "uploads with a form, and follows the redirect of its answer",
    "old_form": "uploads with a form that is signed with Version 2",
    "denied": "is told that a form's upload is denied",
    "conforming": "uploads with a form what the policy demands",
}

RULES = {
    "CORSRules": [
        {
            "AllowedOrigins": ["*"],
            "AllowedMethods": ["GET", "PUT", "POST"],
            "AllowedHeaders": ["content-type", "x-amz-server-side-encryption"],
            "ExposeHeaders": ["ETag"],
        }
    ]
}
SEND = """
const body = typeof args[1] === "number" ? new Uint8Array(args[1]).fill(7) : args[1];
const answer = await fetch(args[0], {method: body === null ? "GET" : "PUT", body, headers: args[2]});
return [answer.status, answer.headers.get("ETag"), await answer.text()];
"""


class Page(BaseHTTPRequestHandler):
    """The page that the test has written, and another one to be redirected to."""

    html = ""

    def do_GET(self) -> None:
        body = self.html.encode() if self.path == "/" else b"<!doctype html>done"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Chromium:
    def __init__(self, browser: Browser, origin: str) -> None:
        self.to = target()
        self.browser = browser
        self.origin = origin
        self.s3 = self.client("s3v4")
        self.bucket = self.to.bucket

    def client(self, version):
        return boto3.client(
            "s3",
            endpoint_url=self.to.endpoint,
            aws_access_key_id=self.to.access_key_id,
            aws_secret_access_key=self.to.secret_access_key,
            region_name=self.to.region,
            verify=self.to.authority_file,
            config=Config(signature_version=version, s3={"addressing_style": self.to.style}),
        )

    def body(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def send(self, url, body, headers=None):
        Page.html = "<!doctype html>"
        self.browser.open(self.origin)
        return self.browser.run(SEND, url, body, headers or {})

    def preflight(self):
        self.s3.put_bucket_cors(Bucket=self.bucket, CORSConfiguration=RULES)
        url = self.s3.generate_presigned_url("put_object", {"Bucket": self.bucket, "Key": "preflight"})
        holds(self.send(url, "x", {"x-amz-acl": "private"}), "failed: TypeError")
        same(self.send(url, "x")[0], 200)

    def presigned_put(self):
        wanted = {"Bucket": self.bucket, "Key": "strict/ü", "ServerSideEncryption": "AES256", "ContentType": "text/x"}
        url = self.s3.generate_presigned_url("put_object", wanted)
        headers = {"x-amz-server-side-encryption": "AES256", "Content-Type": "text/x"}
        status, etag, _ = self.send(url, BODY.decode(), headers)
        same((status, bool(etag)), (200, True))
        same(self.body("strict/ü"), BODY)

    def presigned_get(self):
        url = self.s3.generate_presigned_url("get_object", {"Bucket": self.bucket, "Key": "strict/ü"})
        status, _, text = self.send(url, None)
        same((status, text), (200, BODY.decode()))

    def large(self):
        url = self.s3.generate_presigned_url("put_object", {"Bucket": self.bucket, "Key": "large"})
        same(self.send(url, len(LARGE))[0], 200)
        same(self.body("large") == b"\7" * len(LARGE), True)

    def refusal(self):
        url = self.s3.generate_presigned_url("put_object", {"Bucket": self.bucket, "Key": "strict/denied"})
        status, _, text = self.send(url, "x")
        same(status, 403)
        holds(text, "<Code>AccessDenied</Code>")

    def submit(self, fields: Mapping[str, str], version: str = "s3v4") -> None:
        """Fill in the form as a person does."""
        conditions = [["starts-with", "$key", ""], *({name: value} for name, value in fields.items() if name != "key")]
        made = self.client(version).generate_presigned_post(self.bucket, "${filename}", dict(fields), conditions)
        inputs = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in (made["fields"] | dict(fields)).items()
        )
        Page.html = (
            f'<!doctype html><form action="{escape(made["url"])}" method="post" enctype="multipart/form-data">'
            f'{inputs}<input type="file" name="file"><button>Send</button></form>'
        )
        self.browser.open(self.origin)
        self.browser.type("input[type=file]", self.to.file("picked ü.txt", BODY))
        self.browser.click("button")
        deadline = time.monotonic() + 20
        while self.browser.run("return document.readyState !== 'complete' || document.forms.length > 0"):
            if time.monotonic() > deadline:
                raise TimeoutError("the form went nowhere")
            time.sleep(0.1)

    def form(self):
        self.submit({"key": "form/${filename}", "success_action_redirect": f"{self.origin}done", "x-amz-meta-a": "ü"})
        told = urlsplit(self.browser.url)
        same(told.path, "/done")
        same(parse_qs(told.query)["key"], ["form/picked ü.txt"])
        same(self.body("form/picked ü.txt"), BODY)

    def old_form(self):
        self.submit({"key": "old", "success_action_status": "201"}, "s3")
        holds(self.browser.run("return document.documentElement.outerHTML"), "PostResponse")
        same(self.body("old"), BODY)

    def denied(self):
        self.submit({"key": "strict/denied"})
        holds(self.browser.run("return document.documentElement.outerHTML"), "AccessDenied")

    def conforming(self):
        redirect = {"success_action_redirect": f"{self.origin}done"}
        self.submit({"key": "strict/form", "x-amz-server-side-encryption": "AES256", **redirect})
        same(urlsplit(self.browser.url).path, "/done")
        same(self.body("strict/form"), BODY)


if __name__ == "__main__":
    pages = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    with Browser() as chromium:
        walk(Chromium(chromium, f"http://localhost:{pages.server_port}/"), chromium.version, {}, STEPS)
