"""Git over HTTP for those who are no git: paths, bodies and headers that nobody should send."""

from __future__ import annotations

import base64
import gzip
import http.client
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from managed_helpers import FILE, Lab, git, push, served, settings_for, text

from envwatch.settings import Role

UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One push was made."""
    folder = tmp_path_factory.mktemp("managed")
    with served(settings_for(folder / "root")) as lab:
        done = push(lab.clone(folder / "ada", lab.token()), {FILE: text("python")})
        assert done.code == 0, done.told
        yield lab


def connect(lab: Lab) -> http.client.HTTPConnection:
    place = urlsplit(lab.address)
    return http.client.HTTPConnection(str(place.hostname), int(place.port or 0), timeout=30)


def ask(
    lab: Lab,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "",
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = connect(lab)
    connection.request(
        method or ("GET" if body is None else "POST"), path, body, dict(headers or {})
    )
    answer = connection.getresponse()
    read = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, read, answer.headers


def fetch(lab: Lab, body: bytes, **headers: str) -> tuple[int, str]:
    kind = {"Content-Type": f"application/x-{UPLOAD}-request"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(lab, f"/git/people.git/{UPLOAD}", body, kind | named)[:2]


def basic(secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"any:{secret}".encode()).decode()}


LS = b"0014command=ls-refs\n0000"


def test_the_advertisement_is_what_git_expects(lab: Lab) -> None:
    status, body, headers = ask(lab, f"/git/people.git/info/refs?service={UPLOAD}")
    assert status == 200
    assert headers["Content-Type"] == f"application/x-{UPLOAD}-advertisement"
    assert headers["Cache-Control"].startswith("no-cache")
    assert body.startswith(f"001e# service={UPLOAD}\n0000")
    assert lab.tip() in body


def test_the_dumb_protocol_is_not_spoken(lab: Lab) -> None:
    status, body, headers = ask(lab, "/git/people.git/info/refs")
    assert (status, headers["Content-Type"]) == (403, "text/plain; charset=utf-8")
    assert body == "only smart HTTP is spoken here (use git 1.6.6 or newer)\n"


@pytest.mark.parametrize(
    "path",
    ["/git/people.git/HEAD", "/git/people.git/config", "/git/people.git/objects/info/packs",
     "/git/people.git/git-upload-archive", "/git/people/info/refs", "/git//people.git/info/refs",
     "/git/../people.git/info/refs", "/git/..%2fpeople.git/info/refs", "/git/.git/info/refs",
     "/git/people.git/../people.git/info/refs", "/git/hooks.git/info/refs",
     "/git/people.git%00/info/refs", "/git/%2e%2e.git/info/refs", "/git/-x.git/info/refs"],
)  # fmt: skip
def test_no_other_path_is_answered(lab: Lab, path: str) -> None:
    status, body, _ = ask(lab, f"{path}?service={UPLOAD}")
    assert status == 404
    assert "root" not in body


def test_another_service_is_not_run(lab: Lab) -> None:
    for service in ("git-upload-archive", "upload-pack", "git-shell", "git-upload-pack;id"):
        assert ask(lab, f"/git/people.git/info/refs?service={service}")[0] in (400, 403)


def test_a_push_without_a_token_names_the_realm(lab: Lab) -> None:
    status, body, headers = ask(lab, f"/git/people.git/info/refs?service={RECEIVE}")
    assert status == 401
    assert headers["WWW-Authenticate"].startswith('Basic realm="envwatch"')
    assert "envwatch token create" in body


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe:").decode(), "Digest x",
     "Bearer", "Bearer x", "Basic " + "A" * 20_000],
)  # fmt: skip
def test_odd_credentials_are_no_credentials(lab: Lab, header: str) -> None:
    path = f"/git/people.git/info/refs?service={RECEIVE}"
    assert ask(lab, path, headers={"Authorization": header})[0] == 401


def test_a_token_may_come_as_a_bearer(lab: Lab) -> None:
    secret = lab.token("bearer")
    path = f"/git/people.git/info/refs?service={RECEIVE}"
    assert ask(lab, path, headers={"Authorization": f"Bearer {secret}"})[0] == 200
    assert ask(lab, path, headers=basic(secret))[0] == 200
    (used,) = [t.used_at for t in lab.parts.catalog.tokens.all() if t.name == "bearer"]
    assert used is not None


def test_a_wrong_token_does_not_read_either(lab: Lab) -> None:
    path = f"/git/people.git/info/refs?service={UPLOAD}"
    assert ask(lab, path, headers=basic("guess"))[0] == 401


def test_many_wrong_tokens_are_told_to_wait_and_a_right_one_is_not(tmp_path: Path) -> None:
    path = f"/git/people.git/info/refs?service={RECEIVE}"
    with served(settings_for(tmp_path / "root")) as lab:
        states = [ask(lab, path, headers=basic("guess"))[0] for _ in range(62)]
        assert states == [401] * 60 + [503] * 2
        assert ask(lab, path, headers=basic(lab.token("right")))[0] == 200


# ---------------------------------------------------------------- bodies


def test_a_request_is_answered(lab: Lab) -> None:
    status, body = fetch(lab, LS, Git_Protocol="version=2")
    assert (status, lab.tip() in body) == (200, True)


def test_a_packed_request_is_answered(lab: Lab) -> None:
    coding = {"Content_Encoding": "gzip", "Git_Protocol": "version=2"}
    assert fetch(lab, gzip.compress(LS), **coding) == fetch(lab, LS, Git_Protocol="version=2")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"no gzip at all", "the gzip of the request is broken"),
        (gzip.compress(LS, mtime=0)[:-9], "the gzip of the request is cut off"),
        (b"", "the gzip of the request is cut off"),
        (gzip.compress(bytes(64 * 2**20), mtime=0), "the request is larger than 8388608 bytes"),
    ],
    ids=["none", "cut off", "empty", "bomb"],
)
def test_a_bad_gzip_is_refused(lab: Lab, body: bytes, told: str) -> None:
    assert fetch(lab, body, Content_Encoding="gzip") == (400, f"{told}\n")


def test_another_encoding_is_refused(lab: Lab) -> None:
    assert fetch(lab, LS, Content_Encoding="br")[0] == 400


@pytest.mark.parametrize("body", [b"garbage", b"zzzz", b"0005", b"fff0" + b"x" * 100])
def test_garbage_is_refused(lab: Lab, body: bytes) -> None:
    status, told = fetch(lab, body)
    assert status in (200, 400)
    assert "PACK" not in told


def test_another_type_of_body_is_refused(lab: Lab) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(lab, f"/git/people.git/{UPLOAD}", LS, form)[0] == 400


def test_a_header_of_the_protocol_runs_nothing(lab: Lab) -> None:
    for odd in ("version=2;id", "$(id)", "version=2" * 100, "version=9"):
        assert fetch(lab, LS, Git_Protocol=odd)[0] in (200, 400)


def test_only_who_may_push_may_send_much(lab: Lab) -> None:
    for secret in (
        "guess",
        lab.token("elsewhere", "team-*"),
        lab.token("reader", role=Role.VIEWER),
    ):
        assert status_of_large(lab, f"/git/people.git/{RECEIVE}", secret) == 413
    assert status_of_large(lab, f"/git/people.git/{UPLOAD}", lab.token("one")) == 413
    assert status_of_large(lab, "/builds", lab.token("two")) == 413
    assert status_of_large(lab, f"/git/people.git/{RECEIVE}", lab.token("three")) == 0


def status_of_large(lab: Lab, path: str, secret: str) -> int:
    """The answer to headers that announce 3 MiB; 0 where the server waits for them."""
    place = urlsplit(lab.address)
    header = basic(secret)["Authorization"]
    with socket.create_connection((place.hostname, place.port), timeout=1) as client:
        lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {header}\r\n"
        client.sendall(f"{lines}Content-Length: 3145728\r\n\r\nx".encode())
        try:
            return int(client.recv(200).split(b" ")[1])
        except TimeoutError:
            return 0


# ---------------------------------------------------------------- many at a time


def test_many_clones_leave_the_page_its_threads(lab: Lab, tmp_path: Path) -> None:
    clones = [connect(lab) for _ in range(30)]
    for clone in clones:
        clone.request("GET", f"/git/people.git/info/refs?service={UPLOAD}")
    began = time.monotonic()
    assert ask(lab, "/healthz")[0] == 200
    assert time.monotonic() - began < 20
    states = []
    for clone in clones:
        answer = clone.getresponse()
        answer.read()
        states.append(answer.status)
        clone.close()
    assert set(states) <= {200, 503}
    assert states.count(200) >= 4
    assert git(tmp_path, "ls-remote", lab.url()).code == 0
