"""A rate that would mean no limit at all is a mistake and no rate."""

from __future__ import annotations

import argparse

import pytest

from proxy.cli.amounts import rate
from proxy.cli.main import main


def test_a_rate_is_a_number_above_nothing() -> None:
    assert (rate("0.5"), rate("500")) == (0.5, 500.0)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", ""])
def test_what_would_be_no_limit_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        rate(text)


@pytest.mark.parametrize("command", [("scan",), ("keys", "rewrap")])
def test_commands_that_keep_a_pace_refuse_it(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main([*command, "--config", "config.yaml", "--bucket", "b", "--rate", "0"])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert "`0` is no rate" in capsys.readouterr().err
