"""Numbers on the command line that have to make sense."""

from __future__ import annotations

import argparse
import math


def rate(text: str) -> float:
    """Read how many of something a second; raises argparse's error for what is no pace: nothing, less, no number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"`{text}` is no rate: say a number above nothing")
    return value
