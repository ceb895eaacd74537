"""Web hooks on a real daemon: the repository is as one elsewhere, only a hook tells of a push."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from repos import GitRepo
from running import Running, text
from waiting import wait_for

FILE = "demo/environment.yml"


class Forge:
    """A bare repository that sends hooks by hand, and the daemon that takes them."""

    def __init__(self, running: Running, work: GitRepo, secret: Path) -> None:
        self.running = running
        self.work = work
        self.secret = secret
        self.sent = 0

    def commit(self, *dependencies: str) -> str:
        return self.work.commit({FILE: text(*dependencies)})

    def push(self) -> None:
        self.work.git("push", "--quiet", "origin", "main")

    def hook(self, revision: str, *, source: str = "team") -> str:
        """Send what GitHub sends; the decision."""
        body = json.dumps({"ref": "refs/heads/main", "after": revision}).encode()
        mac = hmac.new(self.secret.read_bytes().strip(), body, hashlib.sha256).hexdigest()
        self.sent += 1
        headers = {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": str(self.sent),
            "X-Hub-Signature-256": f"sha256={mac}",
        }
        url = f"http://127.0.0.1:{self.running.port}/hooks/{source}"
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # http alone
            assert answer.status == 202
            decision: str = json.load(answer)["decision"]
        return decision

    def page(self, source: str = "team") -> Any:
        return self.running.page(f"/source.json?name={source}")

    def wait_for_tip(self, revision: str, source: str = "team") -> None:
        wait_for(lambda: self.page(source)["source"]["record"]["revision"] == revision, 30)


@pytest.fixture
def forge(make_running: Callable[..., Running], repo: GitRepo, tmp_path: Path) -> Forge:
    # git finds what `remote` means at `remote.git`, the watch of the file system does not: as if
    # it were elsewhere
    repo.bare(tmp_path / "remote.git")
    (tmp_path / "remote").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    source = {
        "name": "team",
        "git": str(tmp_path / "remote"),
        "branch": "main",
        "namespace": "analyst",
        "interval": "1h",
        "hook": {"secret_files": ["secret"]},
    }
    return Forge(make_running(source), repo, secret)


def test_a_hook_makes_a_commit_live_long_before_the_next_poll(forge: Forge) -> None:
    forge.running.start()
    forge.running.wait_current(1)
    revision = forge.commit("tiny=2.0")
    forge.push()
    assert forge.hook(revision) == "woken"
    forge.running.wait_current(2)
    delivery = forge.page()["deliveries"][0]
    assert (delivery["decision"], delivery["revision"]) == ("woken", revision)


def test_a_hook_before_its_commit_shows_is_followed(forge: Forge) -> None:
    forge.running.start()
    forge.running.wait_current(1)
    before = forge.page()["source"]["record"]["looked_at"]
    revision = forge.commit("tiny=2.0")
    assert forge.hook(revision) == "woken"
    wait_for(lambda: forge.page()["source"]["record"]["looked_at"] != before, 30)
    assert forge.page()["source"]["record"]["revision"] != revision
    forge.push()
    forge.wait_for_tip(revision)


def test_secrets_and_sources_are_those_of_a_config_that_was_read_again(
    forge: Forge, tmp_path: Path
) -> None:
    forge.running.start()
    forge.running.wait_current(1)
    other = {**forge.running.sources[0], "name": "other", "namespace": "others"}
    forge.running.sources.append(other)
    forge.running.write_config()
    assert forge.running.process is not None
    forge.running.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(forge.running.page("/sources.json")) == 2)
    revision = forge.commit("tiny=2.0")
    forge.push()
    assert forge.hook(revision, source="other") == "woken"
    forge.wait_for_tip(revision, "other")
    forge.wait_for_tip(revision, "team")


def test_a_delivery_is_known_after_the_daemon_was_killed(forge: Forge) -> None:
    forge.running.start()
    revision = forge.commit("tiny=2.0")
    forge.push()
    assert forge.hook(revision) == "woken"
    forge.running.kill()
    forge.running.start()
    forge.sent -= 1
    assert forge.hook(revision) == "seen already"
    forge.wait_for_tip(revision)
