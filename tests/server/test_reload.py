"""A reload swaps one reference, or changes nothing."""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.config import Config, load_config
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.server.reload import Reloader, content_hash, needs_restart, watched_paths

WriteConfig = Callable[..., Path]


@dataclass(frozen=True, slots=True)
class Loaded:
    config: Config
    revision: str


class Counter:
    def __init__(self) -> None:
        self.events: list[bool | str] = []

    def reloaded(self, ok: bool) -> None:
        self.events.append(ok)

    def revision(self, revision: str) -> None:
        self.events.append(revision)


def problem(message: str) -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "invalid-policy", message, Span("policies/a.yaml", 3, 7))])


class Place:
    """A configuration with one policy file, loaded as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.policy = path.parent / "policies" / "a.yaml"
        self.policy.write_text("one")
        self.counter = Counter()
        self.loads = 0
        self.threads: set[int] = set()

    def load(self) -> Loaded:
        self.loads += 1
        self.threads.add(threading.get_ident())
        text = self.policy.read_text()
        if text == "broken":
            raise problem("unknown action `s3:GetObjct`")
        if text == "bug":
            raise RuntimeError("a fault of ours")
        return Loaded(load_config(self.path), text)

    def reloader(
        self,
        checks: Sequence[Callable[[Loaded], None]] = (),
        steps: Sequence[Callable[[Loaded], None]] = (),
    ) -> Reloader[Loaded]:
        return Reloader(self.load, self.load(), self.counter, checks=checks, steps=steps)


@pytest.fixture
def place(write_config: WriteConfig) -> Place:
    return Place(write_config())


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_reload_puts_what_is_on_disk_into_force_and_what_was_taken_before_stays_what_it_was(place: Place):
    reloader = place.reloader()
    taken = reloader.current
    place.policy.write_text("two")
    outcome = await reloader.reload()
    assert (outcome.ok, outcome.revision, outcome.message) == (True, "two", "")
    assert (reloader.current.revision, taken.revision) == ("two", "one")
    assert place.counter.events == ["one", True, "two"]


async def test_loading_does_not_hold_up_the_event_loop(place: Place):
    reloader = place.reloader()
    place.threads.clear()
    await reloader.reload()
    assert threading.get_ident() not in place.threads


@pytest.mark.parametrize(("text", "said"), [("broken", "unknown action `s3:GetObjct`"), ("bug", "a fault of ours")])
async def test_what_cannot_be_loaded_keeps_the_old_state_and_says_why(
    place: Place, text: str, said: str, caplog: pytest.LogCaptureFixture
):
    reloader = place.reloader()
    place.policy.write_text(text)
    outcome = await reloader.reload()
    assert not outcome.ok
    assert outcome.revision == "one"
    assert said in outcome.message
    assert said in caplog.text
    assert reloader.current.revision == "one"
    assert place.counter.events[-1] is False
    place.policy.write_text("two")
    assert (await reloader.reload()).ok
    assert place.counter.events[-2:] == [True, "two"]


async def test_a_check_or_a_step_that_refuses_keeps_the_old_state(place: Place):
    def refuse(new: Loaded) -> None:
        raise problem(f"no {new.revision}")

    for reloader in (place.reloader(checks=[refuse]), place.reloader(steps=[refuse])):
        place.policy.write_text("two")
        outcome = await reloader.reload()
        assert "no two" in outcome.message
        assert reloader.current.revision == "one"
        place.policy.write_text("one")


async def test_steps_run_before_the_swap_and_in_the_event_loops_thread(place: Place):
    seen: list[tuple[str, str, int]] = []
    steps: list[Callable[[Loaded], None]] = []
    reloader = place.reloader(steps=steps)

    def note(new: Loaded) -> None:
        seen.append((reloader.current.revision, new.revision, threading.get_ident()))

    steps.append(note)
    place.policy.write_text("two")
    await reloader.reload()
    assert seen == [("one", "two", threading.get_ident())]


async def test_a_changed_file_is_found_by_looking_and_a_broken_one_is_tried_once(place: Place):
    reloader = place.reloader()
    watch = asyncio.create_task(reloader.watch(0.02))
    place.policy.write_text("two")
    await wait_for(lambda: reloader.current.revision == "two")
    place.policy.write_text("broken")
    await wait_for(lambda: place.counter.events[-1] is False)
    loads = place.loads
    await asyncio.sleep(0.2)
    assert place.loads == loads
    place.policy.write_text("three")
    await wait_for(lambda: reloader.current.revision == "three")
    watch.cancel()


async def test_a_file_touched_without_another_content_is_left_alone(place: Place):
    reloader = place.reloader()
    watch = asyncio.create_task(reloader.watch(0.02))
    os.utime(place.policy, (1, 1))
    await asyncio.sleep(0.2)
    assert place.loads == 1
    watch.cancel()


async def test_a_configuration_that_names_other_policies_is_watched_where_it_says_now(place: Place):
    reloader = place.reloader()
    watch = asyncio.create_task(reloader.watch(0.02))
    elsewhere = place.path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.yaml").write_text("b")
    place.path.write_text(place.path.read_text().replace("[policies]", "[elsewhere]"))
    await wait_for(lambda: reloader.current.config.policies == (elsewhere,))
    place.policy.write_text("two")
    (elsewhere / "b.yaml").write_text("c")
    await wait_for(lambda: reloader.current.revision == "two")
    watch.cancel()


async def test_a_swapped_symbolic_link_is_a_change(place: Place):
    """Kubernetes mounts a ConfigMap as links through `..data`, and replaces that one link."""
    folder = place.path.parent / "policies"
    for name, text in (("..v1", "one"), ("..v2", "two")):
        (folder / name).mkdir()
        (folder / name / "a.yaml").write_text(text)
    (folder / "..data").symlink_to("..v1")
    place.policy.unlink()
    place.policy.symlink_to("..data/a.yaml")
    before = content_hash([folder])
    (folder / "..tmp").symlink_to("..v2")
    (folder / "..tmp").rename(folder / "..data")
    assert content_hash([folder]) != before


async def test_reloads_at_the_same_time_queue_up(place: Place):
    reloader = place.reloader()
    place.policy.write_text("two")
    outcomes = await asyncio.gather(*(reloader.reload() for _ in range(3)))
    assert [outcome.revision for outcome in outcomes] == ["two"] * 3


async def test_a_reload_that_changes_no_policy_is_told_too(place: Place, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    reloader = place.reloader()
    place.policy.write_text("broken")
    assert not (await reloader.reload()).ok
    place.policy.write_text("one")
    assert (await reloader.reload()).ok
    assert caplog.messages[-1] == "reloaded: policies are as before, revision one"


async def test_settings_that_need_a_restart_are_named(place: Place, caplog: pytest.LogCaptureFixture):
    reloader = place.reloader()
    place.path.write_text(place.path.read_text().replace("workers: 1", "workers: 3"))
    outcome = await reloader.reload()
    assert outcome.ok
    assert outcome.message == "needs a restart to take effect: listen.workers"
    assert outcome.message in caplog.text


def test_nothing_needs_a_restart_where_nothing_changed(place: Place):
    config = load_config(place.path)
    assert needs_restart(config, load_config(place.path)) == ()


def test_the_hash_covers_names_and_contents_of_policies_but_not_of_other_files(tmp_path: Path):
    seen = [content_hash([tmp_path])]

    def changed() -> bool:
        seen.append(content_hash([tmp_path]))
        return seen[-1] != seen[-2]

    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text("x")
    assert changed()
    (tmp_path / "deep" / "a.json").rename(tmp_path / "deep" / "b.json")
    assert changed()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.yaml").write_text("x")
    assert not changed()
    (tmp_path / "deep" / "b.json").unlink()
    assert changed()
    assert seen[-1] == seen[0]
    assert content_hash([tmp_path / "absent"]) == seen[0]


def test_certificates_policies_of_identities_and_the_configuration_itself_are_watched(
    place: Place, write_certificate: Callable[[str], tuple[Path, Path]]
):
    cert, key = write_certificate("server")
    policy = place.path.parent / "alice.yaml"
    policy.write_text("{}")
    text = place.path.read_text().replace("port: 0, workers: 1", f"port: 0, tls: {{cert: {cert}, key: {key}}}")
    text += (
        "identities: [{arn: 'arn:aws:iam::123456789012:user/alice', policies: [alice.yaml], "
        "access_keys: [{id: AKIAALICE, secret: alice-secret}]}]"
    )
    place.path.write_text(text)
    assert set(watched_paths(load_config(place.path))) == {place.path, place.policy.parent, policy, cert, key}
