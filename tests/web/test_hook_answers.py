"""Web hooks over HTTP: answers, limits of the body, and the page that shows them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from test_metrics import value
from web_helpers import Stand, ask, commit
from werkzeug.test import TestResponse

from envwatch.model import EnvKey
from envwatch.receive import BURST, MOST_BYTES
from envwatch.settings import SourceKind, SourceSettings, WebSettings
from envwatch.web import serve

SECRET = b"It's a Secret to Everybody"
SHA = "bffeb74224043ba2feb48d137756c8a9331c449a"
PUSH = json.dumps({"ref": "refs/heads/main", "after": SHA}).encode()


def source(folder: Path, name: str) -> SourceSettings:
    secret = folder / "secret"
    secret.write_bytes(SECRET)
    return SourceSettings(
        name, SourceKind.GIT, "analyst", url="x", branch="main", hook_secrets=(secret,)
    )


@pytest.fixture
def hooked(empty: Stand) -> Stand:
    """The source `team` takes hooks, `local` does not."""
    empty.settings = replace(empty.settings, sources=(source(empty.root, "team"),))
    return empty


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    mac = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={mac}", "X-GitHub-Event": "push"}


def post(stand: Stand, body: bytes = PUSH, *, to: str = "team", **headers: str) -> TestResponse:
    more = {name.replace("_", "-"): text for name, text in headers.items()}
    return stand.client.post(f"/hooks/{to}", data=body, headers={**signed(body), **more})


# ---------------------------------------------------------------- answers


def test_the_example_of_github_is_taken(hooked: Stand) -> None:
    documented = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    answer = hooked.client.post(
        "/hooks/team", data="Hello, World!", headers={"X-Hub-Signature-256": documented}
    )
    assert (answer.status_code, answer.json) == (202, {"delivery": "", "decision": "woken"})
    assert hooked.woken == ["team"]


def test_a_push_is_answered_with_its_own_id(hooked: Stand) -> None:
    answer = post(hooked, X_GitHub_Delivery="72d3162e")
    assert answer.json == {"delivery": "72d3162e", "decision": "woken"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert post(hooked, X_GitHub_Delivery="72d3162e").json["decision"] == "seen already"
    assert hooked.woken == ["team"]


def test_a_forged_push_is_told_why_and_what_to_do(hooked: Stand) -> None:
    answer = hooked.client.post("/hooks/team", data=PUSH, headers=signed(PUSH, b"guessed"))
    assert (answer.status_code, answer.json["title"]) == (401, "Unauthorized")
    assert "not known here" in answer.json["detail"]
    assert hooked.woken == []


@pytest.mark.parametrize("body", [PUSH, b"", b"x" * (MOST_BYTES + 1)], ids=["push", "none", "big"])
def test_who_has_no_secret_cannot_tell_which_sources_there_are(hooked: Stand, body: bytes) -> None:
    wrong = signed(body, b"guessed")
    answers = [
        hooked.client.post(f"/hooks/{name}", data=body, headers=wrong)
        for name in ("team", "local", "nobody", "%00")
    ]
    assert {a.status_code for a in answers} == {413 if len(body) > MOST_BYTES else 401}
    assert len({a.data for a in answers}) == 1
    assert len({str(a.headers) for a in answers}) == 1
    assert value(hooked, "webhook_total", result="no hook") == 3


def test_a_flood_is_answered_so(hooked: Stand) -> None:
    answers = [post(hooked, X_GitHub_Delivery=str(n)) for n in range(BURST + 20)]
    assert (answers[0].status_code, answers[-1].status_code) == (202, 429)
    assert "nothing is lost" in answers[-1].json["hint"]


@pytest.mark.parametrize("name", ["feed.atom", "index.json", "builds", "current", "a_b-C.9"])
def test_a_source_of_any_name_takes_hooks(hooked: Stand, name: str) -> None:
    hooked.settings = replace(hooked.settings, sources=(source(hooked.root, name),))
    assert post(hooked, to=name).status_code == 202
    assert hooked.woken == [name]


def test_a_namespace_may_be_called_hooks(hooked: Stand) -> None:
    commit(hooked.catalog, ask(EnvKey("hooks", "team"), "d"))
    assert "nothing serving yet" in hooked.text("/hooks/team/")
    assert post(hooked).status_code == 202


def test_neither_cookies_nor_origin_matter(hooked: Stand) -> None:
    answer = post(hooked, Cookie="session=x", Origin="https://evil.example.org")
    assert answer.status_code == 202
    assert "Set-Cookie" not in answer.headers


def test_a_secret_that_was_changed_counts_at_once(hooked: Stand) -> None:
    (hooked.root / "secret").write_bytes(b"newer\n")
    assert post(hooked).status_code == 401
    answer = hooked.client.post("/hooks/team", data=PUSH, headers=signed(PUSH, b"newer"))
    assert answer.status_code == 202


# ---------------------------------------------------------------- over a real server


@pytest.fixture
def server(hooked: Stand) -> Iterator[str]:
    running = serve(hooked.app, WebSettings(port=0))
    yield urlsplit(running.address).netloc
    running.stop()


def send(server: str, body: object, headers: dict[str, str], *, chunked: bool = False) -> int:
    connection = http.client.HTTPConnection(server, timeout=20)
    try:
        connection.request("POST", "/hooks/team", body, headers, encode_chunked=chunked)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return 413  # the server had heard enough and hung up
    finally:
        connection.close()


def raw(server: str, request: bytes) -> bytes:
    host, _, port = server.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(request)
        return client.recv(4096)


def test_a_body_of_a_megabyte_is_taken(server: str) -> None:
    body = PUSH.ljust(MOST_BYTES - 1)
    assert send(server, body, signed(body)) == 202


def test_a_larger_body_is_refused(server: str, hooked: Stand) -> None:
    body = PUSH.ljust(MOST_BYTES + 1)
    assert send(server, body, signed(body)) == 413
    assert hooked.woken == []


def test_a_larger_body_in_pieces_is_refused(server: str, hooked: Stand) -> None:
    body = PUSH.ljust(MOST_BYTES + 1)
    pieces = (body[n : n + 2**16] for n in range(0, len(body), 2**16))
    headers = {**signed(body), "Transfer-Encoding": "chunked"}
    assert send(server, pieces, headers, chunked=True) == 413
    assert hooked.woken == []


def test_a_body_in_pieces_is_taken(server: str) -> None:
    headers = {**signed(PUSH), "Transfer-Encoding": "chunked"}
    assert send(server, iter((PUSH[:7], PUSH[7:])), headers, chunked=True) == 202


@pytest.mark.parametrize(
    ("length", "status"), [(str(MOST_BYTES + 1), b"413"), ("9" * 30, b"413"), ("7", b"401")]
)
def test_a_length_that_is_a_lie_wakes_nothing(
    server: str, hooked: Stand, length: str, status: bytes
) -> None:
    head = "".join(f"{name}: {text}\r\n" for name, text in signed(PUSH).items())
    request = f"POST /hooks/team HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {length}\r\n\r\n"
    assert raw(server, request.encode() + PUSH).split(b" ")[1] == status
    assert hooked.woken == []


def test_the_limit_is_that_of_hooks_not_only_of_the_server(hooked: Stand) -> None:
    body = PUSH.ljust(MOST_BYTES)
    assert post(hooked, body).status_code == 202
    assert post(hooked, body + b" ").status_code == 413
    kept = hooked.catalog.deliveries.of("team")[0]
    assert (kept.decision, kept.status) == ("too large", 413)
    assert kept.reason == "it is larger than 1.0 MiB"


# ---------------------------------------------------------------- what is shown


def test_the_page_of_the_source_shows_each_with_its_decision(hooked: Stand) -> None:
    assert "None has come yet." in hooked.text("/source?name=team")
    post(hooked, X_GitHub_Delivery="1")
    post(hooked, X_GitHub_Delivery="1")
    hooked.client.post("/hooks/team", data=PUSH, headers=signed(PUSH, b"guessed"))
    text = hooked.text("/source?name=team")
    assert "<code>https://env.example.org/hooks/team</code>" in text
    assert '<span class="state s-woken">' in text
    assert '<span class="state s-refused">' in text
    assert "<code>refs/heads/main</code> at <code>bffeb74</code>" in text
    assert "came again, which counts for nothing" in text


def test_the_twin_of_the_page_has_them_too(hooked: Stand) -> None:
    post(hooked, X_GitHub_Delivery="1")
    (delivery,) = hooked.client.get("/source.json?name=team").json["deliveries"]
    assert {k: delivery[k] for k in ("forge", "event", "name", "decision", "revision")} == {
        "forge": "github", "event": "push", "name": "1", "decision": "woken", "revision": SHA
    }  # fmt: skip


def test_a_source_that_takes_no_hooks_says_nothing_of_them(hooked: Stand) -> None:
    assert "Web hooks" not in hooked.text("/source?name=local")


def test_a_source_that_took_hooks_says_that_it_takes_none_now(hooked: Stand) -> None:
    post(hooked)
    hooked.settings = replace(hooked.settings, sources=())
    text = hooked.text("/source?name=team")
    assert "it takes none now" in text
    assert "s-woken" in text


def test_what_a_sender_writes_is_shown_harmlessly(hooked: Stand) -> None:
    body = json.dumps({"ref": "refs/heads/<script>alert(1)</script>", "after": SHA}).encode()
    post(hooked, body, X_GitHub_Event="<img src=x>\u202e")
    text = hooked.text("/source?name=team")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "refs/heads/&lt;script&gt;" in text


def test_a_commit_that_never_showed_is_in_the_history(hooked: Stand) -> None:
    hooked.catalog.deliveries.missed("team", SHA)
    text = hooked.text("/source?name=team")
    assert "<strong>hook-missed</strong>" in text
    assert "the commit <code>bffeb7422404</code>, and it did not become the tip" in text


def test_hooks_are_counted_by_what_became_of_them(hooked: Stand) -> None:
    assert value(hooked, "webhook_total", result="woken") == 0
    post(hooked)
    post(hooked)
    hooked.client.post("/hooks/team", data=PUSH)
    assert value(hooked, "webhook_total", result="woken") == 1
    assert value(hooked, "webhook_total", result="seen already") == 1
    assert value(hooked, "webhook_total", result="refused") == 1
