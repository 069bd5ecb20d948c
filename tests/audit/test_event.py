"""An event is written without what it does not have, and never at length."""

from __future__ import annotations

from proxy.audit.event import FIELDS, to_fields
from tests.audit.conftest import event


def test_absent_values_are_left_out_and_long_ones_cut() -> None:
    written = to_fields(event(1, bucket=None, context={}, user_agent="x" * 5000))
    assert "bucket" not in written
    assert "context" not in written
    assert len(str(written["user_agent"])) == 1027


def test_no_field_could_carry_a_secret() -> None:
    assert not [name for name in FIELDS if "secret" in name or "token" in name or "material" in name]
