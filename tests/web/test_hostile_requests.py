"""Requests that no browser sends: the server answers, tells nothing, and goes on."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from house_helpers import OWN, House, house_in

from envwatch.settings import WebSettings
from envwatch.web import Server, serve
from envwatch.web.context import NAME
from envwatch.web.tokens import Failures

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "hostile" / "http"
# what each case of the corpus is answered with; two where the server may refuse it earlier
STATUS = {
    "http-absolute": {404},
    "http-big-body": {413},
    "http-csrf-post": {403},
    "http-csrf-text-plain": {403},
    "http-debug-console": {308},  # `console` may be a namespace
    "http-header-crlf": {200},
    "http-host-header": {200},
    "http-json-deep": {400},
    "http-json-types": {400},
    "http-log-stream-hold": {200},
    "http-login-bruteforce": {403, 405},
    "http-metrics-labels": {404},
    "http-open-redirect-forms": {200},
    "http-options-trace": {405, 501},
    "http-range-bomb": {202},
    "http-redirect-double-slash": {404},
    "http-smuggling": {400},
    "http-static-symlink": {404},
    "http-traversal-artifact": {404},
    "http-traversal-backslash": {404},
    "http-traversal-nul": {404},
    "http-urlencoded-fields": {403, 405, 413},
    "http-webhook-non-ascii-signature": {401},
    "http-xff-spoof": {404},
}
# the corpus speaks of addresses of another program
OURS = (
    (b"/artifacts/team-a/demo/1/", b"/lab/demo/2/"),
    (b"archive.tar.gz", b"environment.tar.gz"),
    (b"/artifacts/", b"/lab/demo/2/"),
    (b"/api/v1/environments/team-a/demo/rebuild", b"/lab/demo/manage"),
    (b"/api/v1/environments", b"/api/v1/specification/"),
    (b"/api/v1/builds/1/log", b"/lab/demo/builds/{BUILD}/log"),
    (b"/login", b"/signin"),
    (b"/hooks/git", b"/hooks/lab"),
)


# a link, or a redirect, to another host; what was asked for may be shown as text
LEADS_AWAY = re.compile(rb"(?:href|src|action|content)=\"[^\"]*evil|\r\nlocation:[^\r]*evil", re.I)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house") / "root") as house:
        yield house


@pytest.fixture(scope="module")
def server(house: House) -> Iterator[Server]:
    server = serve(house.app, WebSettings(port=0, threads=4))
    yield server
    server.stop()


def place(server: Server) -> tuple[str, int]:
    host, _, port = server.address.removeprefix("http://").rpartition(":")
    return host, int(port)


def sent(server: Server, request: bytes, *, patience: float = 20) -> bytes:
    """Everything that comes back until the server hangs up, or says nothing for a moment."""
    parts = []
    with socket.create_connection(place(server), timeout=patience) as client:
        client.sendall(request)
        try:
            while part := client.recv(65536):
                parts.append(part)
                client.settimeout(1.0)
        except (TimeoutError, ConnectionResetError):
            pass
    return b"".join(parts)


def statuses(answer: bytes) -> list[int]:
    return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def is_alive(server: Server) -> bool:
    return statuses(sent(server, b"GET /healthz HTTP/1.0\r\n\r\n")) == [200]


# ---------------------------------------------------------------- the corpus


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the corpus of requests is not at {CORPUS}")
def test_each_request_of_the_corpus_has_its_answer(house: House, server: Server) -> None:
    files = {p.stem: p.read_bytes() for p in CORPUS.glob("*.http")}
    assert set(files) == set(STATUS)
    before, made = house.state(), house.catalog.generations.get(OWN, 2)
    session = house.catalog.people.open_session("owner", 600)
    for name, request in files.items():
        for theirs, ours in OURS:
            request = request.replace(theirs, ours)  # noqa: PLW2901  # step by step
        for word, value in (
            ("HOST", "env.example.org"),
            ("TOKEN_TEAM_A", house.tokens["developer"]),
            ("SESSION", f"__Host-envwatch_session={session}"),
            ("BUILD", str(house.builds[OWN])),
        ):
            request = request.replace(b"{%s}" % word.encode(), value.encode())  # noqa: PLW2901
        if name in READERS:
            token = f"\r\nAuthorization: Bearer {house.tokens['viewer']}\r\n"
            request = request.replace(b"\r\n", token.encode(), 1)  # noqa: PLW2901
        answer = sent(server, request)
        assert len(statuses(answer)) == 1, (name, answer[:500])
        assert set(statuses(answer)) <= STATUS[name], (name, answer[:500])
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert not LEADS_AWAY.search(answer), name
        assert b"\r\nset-cookie: x=" not in head, name
        assert b"root:" not in answer, name
        assert is_alive(server), name
    house.catalog.people.close_session(session)
    house.catalog.generations.set_archive(made.id, made.archive)
    assert house.state() == before


READERS = ("http-header-crlf", "http-log-stream-hold", "http-range-bomb")


# ---------------------------------------------------------------- odd forms of HTTP


def get(path: str = "/", *headers: str, host: str = "env.example.org") -> bytes:
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1")


def post(*headers: str, body: str = "", path: str = "/signout") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: env.example.org", *headers, "", body)
    return "\r\n".join(lines).encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked"
SESSION = "__Host-envwatch_session"
PARTS = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 1100
MULTIPART = "Content-Type: multipart/form-data; boundary="
ODD = {
    "a length twice": post("Content-Length: 1", "Content-Length: 2", body="ab"),
    "a length with a sign": post("Content-Length: +3", body="abc"),
    "a length below nothing": post("Content-Length: -1"),
    "a length that is text": post("Content-Length: 0x10"),
    "an unknown coding": post("Transfer-Encoding: xchunked", body="0\r\n\r\n"),
    "two codings": post("Transfer-Encoding: chunked, identity", body="0\r\n\r\n"),
    "a piece of odd length": post(CHUNKED, body="ZZ\r\nab\r\n0\r\n\r\n"),
    "a space before the colon": get("/", "X-A : b"),
    "a folded header": get("/", "X-A: b", " c"),
    "a bare return": get("/", "X-A: b\rX-B: c"),
    "a NUL in a header": get("/", "X-A: b\0c"),
    "no version": b"GET /\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "no request at all": b"\r\n\r\n\r\n",
    "bytes of TLS": bytes.fromhex("16030100a5010000a10303") + b"\xff" * 150 + b"\r\n\r\n",
    "a whole address": get("http://evil.example/"),
    "an odd host": get("/signin", host="evil.example"),
    "a host with a path": get("/signin", host="a/../b@c:99999"),
    "two hosts": get("/signin", "Host: evil.example"),
    "no host": b"GET /signin HTTP/1.1\r\n\r\n",
    "an upgrade": get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    "an expectation": post("Expect: 100-continue", "Content-Length: 0"),
    "a large header": get("/", f"X-A: {'a' * 40_000}"),
    "many headers": get("/", *(f"X-{n}: a" for n in range(5000))),
    "a large cookie": get("/me", f"Cookie: {SESSION}={'a' * 20_000}"),
    "many cookies": get("/me", f"Cookie: {'; '.join(f'a{n}=b' for n in range(2000))}"),
    "a cookie of odd bytes": get("/me", f'Cookie: {SESSION}="\xff\xfe\\073"; ==; $Version=1'),
    "a cookie without a name": get("/me", f"Cookie: ={SESSION}=x"),
    "a large address": get(f"/{'a' * 30_000}"),
    "an odd token": get("/api/v1/permission/", "Authorization: Bearer \xff\xfe"),
    "an odd password": get("/api/v1/permission/", "Authorization: Basic //////8="),
    "many parts": post(f"{MULTIPART}x", f"Content-Length: {len(PARTS)}", body=PARTS, path="/new"),
    "no boundary": post(MULTIPART, "Content-Length: 3", body="abc", path="/new"),
    "a range beyond all": get("/style.css", "Range: bytes=99999999999999999999-"),
    "a date that is none": get("/style.css", "If-Modified-Since: \xff", 'If-None-Match: "'),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_request_is_answered_once_or_not_at_all(server: Server, name: str) -> None:
    answer = sent(server, ODD[name])
    codes = [s for s in statuses(answer) if s != 100]
    assert len(codes) <= 1, answer[:2000]
    # waitress answers a method or a coding that it does not know with 501, and a version with 505
    assert all(s < 500 or s in (501, 505) for s in codes), answer[:2000]
    assert not LEADS_AWAY.search(answer)
    assert b"Traceback" not in answer
    assert is_alive(server)


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Content-Length: 4\r\nTransfer-Encoding : chunked",
        b"Content-Length: 4\r\nTransfer-Encoding:\x0bchunked",
        b"Content-Length: 4\r\nTransfer-Encoding: identity, chunked",
        b"Content-Length: 4\r\nContent-Length: 40",
        b"Content-Length: 4, 40",
    ],
)
def test_no_request_hides_in_the_body_of_another(server: Server, framing: bytes) -> None:
    body = b"0\r\n\r\n" + SMUGGLED
    for version in (b"1.1", b"1.0\r\nConnection: keep-alive"):
        head = b"POST /signout HTTP/" + version + b"\r\nHost: x\r\n" + framing + b"\r\n\r\n"
        assert statuses(sent(server, head + body)) in ([400], [501])


def test_who_sends_a_byte_a_second_is_hung_up_on_and_holds_nobody_up(server: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(place(server))) for _ in range(60)]
        for client in slow:
            client.sendall(b"POST /signout HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        for n in range(3):
            for client in slow:
                client.sendall(b"%d" % n)
            assert is_alive(server)


def test_many_who_follow_a_log_hold_no_thread(house: House, server: Server) -> None:
    build, token = house.builds[OWN], house.tokens["viewer"]
    request = (
        f"GET /lab/demo/builds/{build}/log?offset=0&follow=1 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    with ExitStack() as stack:
        begun = time.monotonic()
        for _ in range(50):
            client = stack.enter_context(socket.create_connection(place(server), timeout=20))
            client.sendall(request.encode())
            assert statuses(client.recv(65536)) == [200]
        assert is_alive(server)
        assert time.monotonic() - begun < 60, "no answer is held open"


def test_wrong_tokens_are_counted_by_who_is_really_there(house: House) -> None:
    site = house.app.extensions[NAME]
    house.app.extensions[NAME] = replace(site, failures=Failures())
    running = serve(house.app, WebSettings(port=0))
    try:
        found = [
            statuses(
                sent(
                    running,
                    get(
                        "/api/v1/permission/",
                        "Authorization: Bearer nonsense",
                        f"X-Forwarded-For: 10.0.0.{n}",
                        f"Forwarded: for=10.0.0.{n}",
                        "Connection: close",
                    ),
                )
            )[0]
            for n in range(63)
        ]
        right = f"Authorization: Bearer {house.tokens['viewer']}"
        known = sent(running, get("/api/v1/permission/", right, "Connection: close"))
    finally:
        running.stop()
        house.app.extensions[NAME] = site
    assert found == [401] * 60 + [429] * 3
    assert statuses(known) == [200], "whoever has a right one is not kept out by the others"


# ---------------------------------------------------------------- odd names in every address

NAMES = (
    "..", ".", "../../../../etc/passwd", "..\\..\\etc\\passwd", "/etc/passwd", "a\0b",
    "a\r\nX-Evil: 1", "a\nb", "%2e%2e%2f", "%00", "a" * 5000, "<script>alert(1)</script>",
    "{{7*7}}", "${7*7}", "a;b", "a?b=c", "a#b", "\u202e", "\ufeff", "ａ", "e\u0301", "🦊",
    "' OR 1=1 --", "*", "?", "[a]", "-1", "99999999999999999999", "0x10", "1e9", "٣", "NaN", " ",
    "~root", "file:///etc/passwd",
)  # fmt: skip
RAW = (
    "%ff%fe", "%c0%ae%c0%ae%c0%af", "%u0041", "%", "%zz", "%ED%A0%80", "..%2f..%2f", "..%5c..",
    "%252e%252e%252f",
)  # fmt: skip


@pytest.mark.parametrize("name", [*(quote(n, safe="") for n in NAMES), *RAW], ids=lambda n: n[:30])
def test_an_odd_name_in_an_address_is_not_there(house: House, name: str) -> None:
    for rule in house.app.url_map.iter_rules():
        for varied in re.findall(r"<(?:[^:>]*:)?(\w+)>", rule.rule):
            known = {"namespace": "lab", "name": "demo", "build_id": str(house.builds[OWN])}
            values = {**known, varied: name}
            path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m, v=values: v.get(m[1], "1"), rule.rule)
            answer = house.call("owner", "GET", path)
            assert answer.status_code < 500, (path, answer.text[:300])
            assert "X-Evil" not in answer.headers
            assert "root:x:" not in answer.text


KEYS = (
    "q", "state", "label", "retired", "page", "name", "namespace", "next", "trouble", "old", "new",
    "offset", "v", "service", "size", "sort_by", "order", "search", "exact", "build", "status",
    "distinct_on", "packages", "artifact", "environment_id", "after", "before", "limit", "channel",
    "conda", "pip", "format", "code", "iss",
)  # fmt: skip


@pytest.mark.parametrize("value", [*(quote(n, safe="") for n in NAMES), *RAW], ids=lambda n: n[:30])
def test_an_odd_value_in_a_query_breaks_nothing(house: House, value: str) -> None:
    known = {"namespace": "lab", "name": "demo", "build_id": str(house.builds[OWN])}
    query = "&".join(f"{key}={value}" for key in KEYS)
    for rule in house.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m: known.get(m[1], "2"), rule.rule)
        answer = house.call("owner", "GET", f"{path}?{query}")
        assert answer.status_code < 500, (path, answer.text[:300])
        location = answer.headers.get("Location", "/x")
        assert re.match(r"/(?![/\\])", location), (path, location)
        assert "X-Evil" not in answer.headers
