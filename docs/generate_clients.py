"""Write docs/reference/clients.md from what `make test` and `make test-real` left: `python docs/generate_clients.py`.

Every journey of a client leaves a JSON file in build/clients. Nothing is written unless all of them are there:
a page of half the clients would look like the truth.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.journeys.clients.catalogue import CLIENTS, REAL_CLIENTS, Client  # noqa: E402 - found by the path above
from tests.journeys.clients.journey import STEPS  # noqa: E402 - found by the path above

RESULTS = ROOT / "build" / "clients"
PAGE = ROOT / "docs" / "reference" / "clients.md"
ALL = CLIENTS + REAL_CLIENTS

INTRODUCTION = """\
# Clients

Unmodified clients that take a whole journey through the proxy in the tests, written by
`docs/generate_clients.py` from what those runs left behind. The store behind the proxy is moto where none is
named; the proxy speaks http and https. A bucket policy denies uploads under `strict/` that do not ask for
encryption: every journey has one upload that is denied and, where the client can, one that conforms. After it
the test looks into the store: what was denied never came, what was deleted is gone, no unfinished upload is left.

Each client takes the same journey to an encrypted bucket, over http with path style. That bucket keeps versions:
after the journey the test reads every stored version behind the proxy's back, and finds nothing of the text that
the proxy shows. Who synchronises moves nothing the second time, and the decision log has no upload of that run.

`make test` runs those that a Python index has, `make test-real` those of Debian and npm, and the system's own
name look-up for virtual-host style.
"""
Run = Mapping[str, Any]


def main() -> int:
    """Write the page; returns 1 and says what is missing when not every client has been run in both kinds of bucket."""
    runs: list[Run] = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    done = {(run["client"], run["encrypted"]) for run in runs if run["store"] == "moto"}
    missing = [client.name for client in ALL if not {(client.name, False), (client.name, True)} <= done]
    if missing:
        sys.stderr.write(f"{PAGE.name} stays as it is; not run yet: {', '.join(missing)}\n")
        return 1
    PAGE.write_text(render(runs))
    return 0


def render(runs: Sequence[Run]) -> str:
    """Return the page."""
    head = ["| Client | Version | Ways | Steps | Encrypted | What it does specially |", "|---|---|---|---|---|---|"]
    lines = [*head, *(row(client, runs) for client in ALL), ""]
    return "\n".join([INTRODUCTION, *lines, *steps(runs), *stores(runs)])


def row(client: Client, runs: Iterable[Run]) -> str:
    """Return a client's line."""
    own = [run for run in runs if run["client"] == client.name and run["store"] == "moto"]
    plain, encrypted = ([run for run in own if run["encrypted"] is kind] for kind in (False, True))
    ways = ", ".join(sorted({f"{run['transport']} {run['style']}" for run in plain}))
    results = f"{outcome(plain)} | {outcome(encrypted)}"
    return f"| {client.name} | {own[0]['version']} | {ways} | {results} | {client.special} |"


def outcome(runs: Sequence[Run]) -> str:
    """Return how many steps passed in each of these runs, or how many failed in all of them."""
    failed = sum(said.startswith("failed") for run in runs for said in run["steps"].values())
    taken = sum(said == "passed" for said in runs[0]["steps"].values())
    return f"{taken} of {taken} passed" if not failed else f"{failed} failed"


def steps(runs: Iterable[Run]) -> list[str]:
    """Return what each client does on its journey, and why it leaves out what it leaves out."""
    lines = ["## What a journey is", ""]
    lines += [f"* {text[0].upper()}{text[1:]}." for text in STEPS.values()]
    lines += ["", "Left out, because the client does not offer it:", ""]
    for client in CLIENTS + REAL_CLIENTS[:1]:
        told = next(run for run in runs if run["client"] == client.name)["steps"]
        reasons: dict[str, list[str]] = {}
        for step, said in told.items():
            if said.startswith("not offered"):
                reasons.setdefault(said.removeprefix("not offered: "), []).append(step.replace("_", " "))
        text = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        lines.append(f"* {client.name}: {text or 'nothing'}.")
    lines += ["", "restic makes a repository, backs up twice (the second time nothing is added), checks every pack,"]
    lines += ["restores and prunes. Chromium shows a page of another origin that uploads with `fetch` and presigned"]
    return [*lines, "URLs after a preflight, and with forms signed with both versions.", ""]


def stores(runs: Iterable[Run]) -> list[str]:
    """Return what came of the journeys on other stores; the page of stores says why."""
    lines = [
        "## On other stores",
        "",
        "| Store | Bucket | Client | Passed | Fails because of the store |",
        "|---|---|---|---|---|",
    ]
    for run in sorted(runs, key=lambda run: (run["store"], run["encrypted"])):
        if run["store"] == "moto":
            continue
        outcomes = run["steps"]
        passed = sum(said == "passed" for said in outcomes.values())
        failed = ", ".join(step.replace("_", " ") for step, said in outcomes.items() if said.startswith("failed"))
        bucket = "encrypted" if run["encrypted"] else "plain"
        lines.append(f"| {run['store']} | {bucket} | {run['client']} | {passed} | {failed or 'nothing'} |")
    return [*lines, "", "Why: [stores](stores.md).", ""]


if __name__ == "__main__":
    sys.exit(main())
