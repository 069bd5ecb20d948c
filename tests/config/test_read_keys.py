"""Keys and the encryption of buckets load as written; every mistake has its place and its remedy."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from proxy.config import AwsKms, Config, Pkcs11, Vault, load_config
from proxy.errors import ConfigError

BASE = """\
upstream:
  endpoint: http://127.0.0.1:5000
  region: eu-central-1
  credentials: {access_key_id: AKIAUP, secret_access_key: up}
owner: "123456789012"
"""
KEY_1, KEY_2 = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
ENVIRON = {"KEY_1": KEY_1, "KEY_2": KEY_2, "SHORT": "c2hvcnQ=", "STATE": "s" * 32}
PRIVATE = rsa.generate_private_key(65537, 2048)
AES = f'type: aes, material: "{KEY_1}"'
KMS_ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    private = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(private)
    public = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    (tmp_path / "policy.yaml").write_text("{}")
    (tmp_path / "lib.so").write_text("")
    return tmp_path


def load(folder: Path, text: str) -> Config:
    (folder / "config.yaml").write_text(BASE + text)
    return load_config(folder / "config.yaml", ENVIRON)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_key_of_one_version_gives_its_material_directly(folder: Path) -> None:
    key = load(folder, 'keys: {hr: {type: aes, material: "${env:KEY_1}"}}\n').keys["hr"]
    assert (key.name, key.arn) == ("hr", "arn:aws:kms:eu-central-1:123456789012:key/hr")
    assert [version.id for version in key.versions] == ["1"]
    assert (key.enabled, key.policy, key.aliases, key.backend) == (True, None, (), None)


def test_versions_keep_their_order_since_the_first_writes(folder: Path) -> None:
    versions = '[{id: "2", material: "${env:KEY_2}"}, {id: "1", material: "${env:KEY_1}"}]'
    text = f"keys: {{hr: {{type: aes, versions: {versions}}}}}\n"
    assert [version.id for version in load(folder, text).keys["hr"].versions] == ["2", "1"]


def test_an_rsa_key_may_be_public_only(folder: Path) -> None:
    version = load(folder, 'keys: {offline: {type: rsa, public: "${file:public.pem}"}}\n').keys["offline"].versions[0]
    assert version.public is not None
    assert version.private is None


def test_keys_of_services_arrive_typed(folder: Path) -> None:
    text = f"""\
keys:
  kms: {{type: aws-kms, key_arn: "{KMS_ARN}", access_key_id: AKIA, secret_access_key: hunter2, timeout_seconds: 2}}
  vaulted: {{type: vault, address: "https://v:8200/", token: hunter2, mount: t}}
  hsm: {{type: pkcs11, module: lib.so, token_label: s3, pin: hunter2, policy: policy.yaml, enabled: false}}
"""
    config = load(folder, text)
    keys = config.keys
    kms, vaulted, hsm = keys["kms"].backend, keys["vaulted"].backend, keys["hsm"].backend
    assert isinstance(kms, AwsKms)
    assert (kms.region, keys["kms"].timeout_seconds) == ("eu-west-1", 2)
    assert isinstance(vaulted, Vault)
    assert (vaulted.address, vaulted.key_name, vaulted.mount) == ("https://v:8200", "vaulted", "t")
    assert isinstance(hsm, Pkcs11)
    assert hsm.module == folder / "lib.so"
    assert keys["hsm"].versions[0].label == "hsm"
    assert (keys["hsm"].enabled, keys["hsm"].policy) == (False, folder / "policy.yaml")
    assert "hunter2" not in repr(config.keys)


TWICE = ", ".join(f'{name}: {{type: aws-kms, key_arn: "{KMS_ARN}"}}' for name in "ab")
HERE = "arn:aws:kms:eu-central-1:123456789012:key/hr"


@pytest.mark.parametrize(
    ("keys", "other"),
    [(TWICE, "a"), (f'cloud: {{type: aws-kms, key_arn: "{HERE}"}}, hr: {{{AES}}}', "hr")],
    ids=["the same key of KMS", "a key here"],
)
def test_an_arn_names_one_key_so_that_one_policy_decides(folder: Path, keys: str, other: str) -> None:
    with pytest.raises(ConfigError, match=f"is already the key `{other}`"):
        load(folder, f"keys: {{{keys}}}\n")


def test_a_key_of_kms_may_be_called_here_as_it_is_there(folder: Path) -> None:
    config = load(folder, f'keys: {{hr: {{type: aws-kms, key_arn: "{HERE}"}}}}\n')
    assert config.keys["hr"].arn == HERE


def test_aliases_of_keys_stand_for_their_arns(folder: Path) -> None:
    text = f'kms_aliases: {{alias/old: "{KMS_ARN}"}}\nkeys: {{hr: {{{AES}, aliases: [alias/hr]}}}}\n'
    config = load(folder, text)
    assert config.kms_aliases == {"alias/old": KMS_ARN, "alias/hr": config.keys["hr"].arn}


@pytest.mark.parametrize(
    ("text", "place", "wanted"),
    [
        ("keys: {hr: {type: des}}\n", "6:19", "`des` is not one of `aes`"),
        ("keys: {hr/x: {type: aes}}\n", "6:8", "is not a key's name"),
        ("keys: {hr: {type: aes}}\n", "6:12", "`material` is missing"),
        ('keys: {hr: {type: aes, material: "${env:SHORT}"}}\n', "6:34", "5 bytes instead of 32"),
        ("keys: {hr: {type: aes, material: hunter2}}\n", "6:34", "not base64"),
        ('keys: {hr: {type: rsa, private: "${env:SHORT}"}}\n', "6:33", "not PEM that can be read"),
        ("keys: {hr: {type: rsa}}\n", "6:12", "neither `public` nor `private`"),
        (f"keys: {{hr: {{{AES}, public: x}}}}\n", "6:82", "`public` is no setting of a key of type `aes`"),
        (f'keys: {{hr: {{{AES}, versions: [{{id: "1"}}]}}}}\n', "6:24", "`material` belongs into `versions`"),
        ("keys: {hr: {type: aes, versions: []}}\n", "6:34", "must not be empty"),
        (
            'keys: {hr: {type: aes, versions: [{id: a, material: "${env:KEY_1}"}, {id: a, material: k}]}}\n',
            "6:75",
            "the version `a` is given twice",
        ),
        ('keys: {hr: {type: aes, versions: [{id: a, public: ""}]}}\n', "6:51", "must not be empty"),
        ("keys: {hr: {type: aes, versions: [{id: a@b}]}}\n", "6:40", "`a@b` is not a version"),
        ("keys: {k: {type: aws-kms}}\n", "6:11", "`key_arn` is missing"),
        ("keys: {k: {type: aws-kms, key_arn: alias/x}}\n", "6:36", "`alias/x` is not the ARN of a KMS key"),
        (f'keys: {{k: {{type: aws-kms, key_arn: "{KMS_ARN}", access_key_id: AKI}}}}\n', "6:11", "need each other"),
        ("keys: {v: {type: vault, address: 'http://v'}}\n", "6:11", "`token` is missing"),
        ("keys: {p: {type: pkcs11, module: no.so, token_label: t, pin: p}}\n", "6:34", "cannot read `no.so`"),
        (
            "keys: {p: {type: pkcs11, module: lib.so, token_label: t, pin: p, versions: [{id: a}]}}\n",
            "6:77",
            "`label` is missing",
        ),
        (f"keys: {{a: {{{AES}, policy: gone.yaml}}}}\n", "6:89", "cannot read `gone.yaml`"),
        (f"keys: {{a: {{{AES}, aliases: [hr]}}}}\n", "6:91", "`hr` is not an alias"),
        (
            f"keys: {{a: {{{AES}, aliases: [alias/x]}}, b: {{{AES}, aliases: [alias/x]}}}}\n",
            "6:185",
            "already given to the key `a`",
        ),
        ("audit: {sync: true}\n", "6:1", "the trail has no place"),
        ("audit: {path: gone/x}\n", "6:15", "there is no folder"),
        ("audit: {path: x, secret: [short]}\n", "6:27", "shorter than 32 bytes"),
        ("audit: {path: x, when_full: wait}\n", "6:29", "`wait` is not one of"),
        ("state_secret: [short]\n", "6:16", "shorter than 32 bytes"),
        ("buckets: {b: {encryption: {mode: envelope}}}\n", "6:34", "`key` is missing"),
        ("buckets: {b: {encryption: {key: gone}}}\n", "6:33", "there is no key `gone`"),
        ("buckets: {b: {encryption: {mode: on}}}\n", "6:34", "`on` is not one of"),
        ("buckets: {b: {encryption: {kek: {recovery: gone}}}}\n", "6:44", "there is no key `gone`"),
        (
            f"keys: {{a: {{{AES}}}}}\nbuckets: {{b: {{encryption: {{kek: {{recovery: a}}}}}}}}\n",
            "7:44",
            "the key `a` is of type `aes`",
        ),
        ("buckets: {b: {encryption: {read_plaintxt: true}}}\n", "6:28", "did you mean `read_plaintext`?"),
    ],
)
def test_a_mistake_is_named_with_its_place(folder: Path, text: str, place: str, wanted: str) -> None:
    found = refusal(folder, text)
    assert wanted in found
    assert f"config.yaml:{place}: " in found


@pytest.mark.parametrize(
    "text",
    [
        "keys: {hr: {type: aes, material: hunter2}}\n",
        "keys: {hr: {type: aes, materiel: hunter2}}\n",
        "keys: {hr: {type: rsa, private: hunter2}}\n",
        "keys: {hr: {type: vault, token: hunter2, address: x}}\n",
        "keys: {hr: {type: pkcs11, pin: hunter2, module: x}}\n",
        "state_secret: [hunter2]\n",
        "audit: {path: x, secret: [hunter2]}\n",
    ],
)
def test_no_error_shows_key_material(folder: Path, text: str) -> None:
    assert "hunter2" not in refusal(folder, text)


def test_encryption_of_a_bucket_is_merged_setting_by_setting(folder: Path) -> None:
    config = load(
        folder,
        f"""\
keys: {{a: {{{AES}}}, b: {{{AES}}}, offline: {{type: rsa, public: "${{file:public.pem}}"}}}}
buckets:
  "*": {{encryption: {{mode: envelope, key: a, kek: {{use: always, recovery: offline}}}}}}
  "hr-*": {{encryption: {{key: b, sse_c: true, kek: {{max_age_hours: 1}}}}}}
  hr-copy: {{encryption: {{bind_as: hr-data, list_sizes: head, read_plaintext: true}}}}
  plain: {{encryption: {{mode: forward, pass_ciphertext: true}}}}
state_secret: ["${{env:STATE}}"]
""",
    )
    found = config.bucket("hr-copy").encryption
    assert (found.mode, found.key, found.bind_as, found.list_sizes) == ("envelope", "b", "hr-data", "head")
    assert (found.read_plaintext, found.sse_c, found.sse_c_over_http) == (True, True, False)
    assert (found.kek.use, found.kek.recovery, found.kek.max_age_hours) == ("always", "offline", 1)
    assert config.bucket("other").encryption.key == "a"
    plain = config.bucket("plain").encryption
    assert (plain.mode, plain.pass_ciphertext, found.pass_ciphertext) == ("forward", True, False)
    assert config.state_secret[0].reveal() == "s" * 32


def test_the_trail_of_key_use_arrives_typed(folder: Path) -> None:
    audit = load(
        folder, 'audit: {path: a.jsonl, store: a.db, secret: ["${env:STATE}"], when_full: drop-and-count}\n'
    ).audit
    assert audit is not None
    assert (audit.path, audit.store) == (folder / "a.jsonl", folder / "a.db")
    assert (audit.secret[0].reveal(), audit.when_full, audit.queue) == ("s" * 32, "drop-and-count", 10000)
    assert load(folder, "audit: null\n").audit is None


def test_a_bucket_that_says_nothing_is_forwarded(folder: Path) -> None:
    assert load(folder, "").bucket("any").encryption.mode == "forward"
