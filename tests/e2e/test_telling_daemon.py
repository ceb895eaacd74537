"""A real daemon tells a forge and a web hook what became of real commits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_helpers import cli
from repos import GitRepo
from running import Running, text
from standin import TOKEN, Forge, StandIn
from waiting import wait_for

DEMO = "envwatch/analyst/demo"
OTHER = "envwatch/analyst/other"
GOOD = {"envwatch": "success", DEMO: "success", OTHER: "success"}


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge("gitea") as made:
        yield made


@pytest.fixture
def hook() -> Iterator[StandIn]:
    with StandIn() as made:
        yield made


@pytest.fixture
def told(
    make_running: Callable[..., Running], repo: GitRepo, forge: Forge, hook: StandIn, tmp_path: Path
) -> Running:
    """A daemon's place where a forge and a hook are to be told, not started yet."""
    for name, secret in (("token", TOKEN), ("secret", "key")):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    repo.commit({"other.yml": text("tiny=1.0", name="other")}, "two environments")
    statuses = {"kind": "gitea", "token_file": "token", "api": forge.api}
    running = make_running(
        {
            "name": "team",
            "git": str(repo.path),
            "namespace": "analyst",
            "interval": "1s",
            "forge": {**statuses, "repository": forge.repository},
        },
        notify=[{"name": "chatops", "webhook": hook.url, "secret_file": "secret"}],
    )
    web = {"listen": f"127.0.0.1:{running.port}", "url": "https://env.example.org"}
    access = {"anonymous": {"*": "viewer"}}
    running.more = {**running.more, "web": web, "access": access}
    return running


def kinds(hook: StandIn) -> list[str]:
    return [f"{r.json['type']} {r.json['data']['subject'].split()[1]}" for r in hook.requests]


def test_a_push_ends_as_statuses_and_messages(
    told: Running, repo: GitRepo, forge: Forge, hook: StandIn
) -> None:
    told.start()
    wait_for(lambda: forge.states(repo.head) == GOOD, 60, told.log.read_text()[-2000:])
    links = {r.json["context"]: r.json["target_url"] for r in forge.requests}
    assert links[DEMO] == "https://env.example.org/analyst/demo/"
    broken = repo.commit({"other.yml": "name: other\ndependencies: tiny\n"}, "broken")
    wait_for(lambda: forge.states(broken).get("envwatch") == "failure", 60)
    wait_for(lambda: len(forge.states(broken)) == 3)
    assert forge.texts(broken)[DEMO] == "no change: #1 is current"
    assert forge.texts(broken)[OTHER].startswith("other.yml:2:")
    wait_for(lambda: "environment.broken analyst/other" in kinds(hook))
    assert told.stop() == 0


def test_what_a_killed_daemon_did_not_tell_is_told_by_the_next(
    told: Running, repo: GitRepo, forge: Forge, hook: StandIn
) -> None:
    forge.down()
    hook.down()
    told.start()
    told.wait_current(1)
    first = repo.head
    page = wait_for(lambda: told.page("/notifiers.json")["statuses"])
    assert {s["source"] for s in page} == {"team"}
    told.kill()
    second = repo.commit({"demo/environment.yml": text("tiny=2.0")}, "next")
    forge.up()
    hook.up()
    told.start()
    wait_for(lambda: forge.states(second) == GOOD, 60, told.log.read_text()[-2000:])
    wait_for(lambda: set(forge.states(first).values()) <= {"success", "error"})
    wait_for(lambda: kinds(hook).count("environment.published analyst/demo") >= 2, 60)


def test_a_message_is_sent_by_the_daemon_when_asked(told: Running, hook: StandIn) -> None:
    told.start()
    sent = cli("-c", told.config, "notify", "test", "chatops", "--json")
    assert (sent.code, sent.json["said"].endswith("answers 204")) == (0, True)
    assert "test" in [r.json["type"] for r in hook.requests]
    listed = {r["name"]: r["kind"] for r in cli("-c", told.config, "notify", "list", "--json").json}
    assert listed == {"team": "gitea", "chatops": "webhook"}
    hook.down()
    failed = cli("-c", told.config, "notify", "test", "chatops")
    assert (failed.code, "refused" in failed.err) == (1, True)
    unknown = cli("-c", told.config, "notify", "test", "nobody")
    assert (unknown.code, "known: chatops" in unknown.err) == (1, True)


def test_a_single_pass_tells_before_it_ends(told: Running, repo: GitRepo, forge: Forge) -> None:
    told.write_config()
    assert cli("-c", told.config, "once").code == 0
    assert forge.states(repo.head) == GOOD


def test_nothing_secret_is_in_the_log_the_pages_or_the_catalog(
    told: Running, repo: GitRepo, forge: Forge, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("wrong-CANARY-token")
    told.start()
    page = wait_for(lambda: [r for r in told.page("/notifiers.json")["recipients"] if r["message"]])
    assert page[0]["state"] == "stalled"
    assert "401" in page[0]["message"]
    pages = b"".join(told.get(p)[1] for p in ("/notifiers", "/sources", "/metrics"))
    assert told.stop() == 0
    seen = pages + told.log.read_bytes() + json.dumps(page).encode()
    seen += b"".join(p.read_bytes() for p in told.root.glob("catalog.sqlite*"))
    assert b"CANARY" not in seen
