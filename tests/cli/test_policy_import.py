"""Policies come in from AWS's JSON and from buckets, and go out again."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from proxy.cli.main import main
from tests.conftest import Store

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Tls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::imported", "arn:aws:s3:::imported/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}
TEXT = json.dumps(POLICY, indent=4) + "\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("p.json").write_text(TEXT)
    return tmp_path


def test_json_comes_back_byte_by_byte_through_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "import", "p.json", "--to", "p.yaml", "--bucket", "imported"]) == 0
    assert Path("p.yaml").read_text().startswith("bucket: imported\npolicy:\n")
    assert main(["policy", "export", "p.yaml"]) == 0
    captured = capsys.readouterr()
    assert captured.out == TEXT
    assert captured.err == "wrote p.yaml\n"


def test_standard_input_and_output_serve_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"// why\n" + TEXT.encode())))
    assert main(["policy", "import", "-"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("description: why\npolicy:\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(written.encode())))
    assert main(["policy", "export", "-", "--comments", "--indent", "0"]) == 0
    assert capsys.readouterr().out == "// why\n" + json.dumps(POLICY) + "\n"


def test_what_the_proxy_would_refuse_is_translated_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.json").write_text(TEXT.replace("s3:*", "s3:GetObjct"))
    assert main(["policy", "import", "p.json"]) == 1
    captured = capsys.readouterr()
    assert "s3:GetObjct" in captured.out
    assert "did you mean `s3:GetObject`?" in captured.err


def test_what_aws_would_understand_otherwise_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "import", "p.json", "--bucket", "imported"]) == 0
    text = capsys.readouterr().out.replace("aws:SecureTransport", "s3w:Envelope")
    Path("p.yaml").write_text("mode: report\n" + text)
    assert main(["policy", "export", "p.yaml"]) == 0
    err = capsys.readouterr().err
    assert "is in report mode, and AWS would enforce it" in err
    assert "reads keys of the proxy's own" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "one source is wanted"),
        (["import", "p.json", "--from-bucket", "b"], "one source is wanted"),
        (["import", "--from-bucket", "bucket"], "nobody says where the bucket is"),
        (["import", "--from-bucket", "B", "--config", "c.yaml"], "is no bucket's name"),
        (["import", "--from-bucket", "bucket", "--config", "c.yaml"], "c.yaml:1:1: error"),
        (["import", "gone.json"], "gone.json:1:1: error unreadable"),
        (["import", "latin1.json"], "is not UTF-8 text"),
        (["import", "broken.json"], "broken.json:1:2: error invalid-json"),
        (["import", "p.json", "--to", "p.json"], "`p.json` is there already"),
        (["import", "p.json", "--to", "gone/p.yaml"], "error unreadable"),
        (["export", "gone.yaml"], "error unreadable"),
        (["export", "list.yaml"], "a policy is a mapping"),
        (["export", "broken.json"], "invalid-yaml"),
    ],
)
def test_bad_input_is_exit_code_2_with_its_place(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("latin1.json").write_bytes(b'{"Id": "\xe9"}')
    Path("broken.json").write_text("{")
    Path("list.yaml").write_text("[]")
    assert main(["policy", *arguments]) == 2
    assert message in capsys.readouterr().err


def config_for(store: Store) -> None:
    Path("config.yaml").write_text(
        f"upstream:\n  endpoint: {store.endpoint}\n  credentials: {{access_key_id: {store.access_key_id}, "
        f'secret_access_key: {store.secret_access_key}}}\nowner: "123456789012"\n'
    )
    Path("config.yaml").chmod(stat.S_IRUSR | stat.S_IWUSR)


def test_the_policy_that_a_bucket_has_upstream_is_imported(
    moto_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=moto_store.endpoint,
        region_name=moto_store.region,
        aws_access_key_id=moto_store.access_key_id,
        aws_secret_access_key=moto_store.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="imported")
    config_for(moto_store)
    command = ["policy", "import", "--from-bucket", "imported", "--config", "config.yaml"]
    assert main(command) == 2
    assert "no policy from s3://imported: the upstream answers 404 NoSuchBucketPolicy" in capsys.readouterr().err
    client.put_bucket_policy(Bucket="imported", Policy=TEXT)
    assert main([*command, "--to", "imported.yaml"]) == 0
    assert main(["policy", "export", "imported.yaml"]) == 0
    assert capsys.readouterr().out == TEXT


def test_an_upstream_that_is_not_there_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    config_for(Store("http://127.0.0.1:1", "AKIA", "secret"))
    assert main(["policy", "import", "--from-bucket", "imported", "--config", "config.yaml"]) == 2
    assert "the upstream cannot be asked" in capsys.readouterr().err
