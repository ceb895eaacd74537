"""Text that other people wrote stays text: nothing of it acts, hides or turns around."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import html5lib
import pytest
from web_helpers import DEMO, INVALID, Stand, ask, claim, commit, fail, packages, result

from envwatch.model import (
    Commit,
    EnvKey,
    Failure,
    FailureKind,
    FileOutcome,
    FileState,
    Kernel,
    Level,
    Message,
    Progress,
)
from envwatch.web.text import visible

EVIL = (
    '<script>alert(1)</script>"\' onload=alert(1) x="<img src=x onerror=alert(1)>'
    "</title></textarea><svg/onload=alert(1)>{{ 7*7 }} javascript:alert(1)\r\nSet-Cookie: a=b"
    "\x1b[31m\x07\x00\u202egnp\u2066\ufeff\u200b"
)
HIDDEN = "\x1b\x07\x00\r\u202e\u2066\ufeff\u200b"
PATHS = (
    "/",
    "/?q=" + "%3Cscript%3Ealert(1)%3C/script%3E%22%20onfocus=x",
    "/analyst/",
    "/analyst/demo/",
    "/analyst/demo/builds/1",
    "/analyst/demo/builds/2",
    "/analyst/demo/builds/3",
    "/analyst/demo/diff/1..2",
    "/builds",
    "/builds?state=%3Cscript%3E&namespace=%22%3E%3Cscript%3E",
    "/sources",
    "/source?name=team",
    "/packages?name=%3Cscript%3Ealert(1)%3C/script%3E",
    "/packages",
    "/packages?name=pandas",
    "/%3Cscript%3E/x/",
    "/analyst/broken/",
)


@pytest.fixture
def hostile(empty: Stand) -> Stand:
    """Everything that comes from outside says `EVIL`."""
    catalog = empty.catalog
    told = Commit("f" * 40, EVIL, EVIL, EVIL)
    for digest in ("a", "b"):
        wanted = replace(ask(DEMO, digest, EVIL + digest, EVIL), path=EVIL, messages=(_message(),))
        commit(catalog, wanted, commit=told)
        build = claim(catalog)
        found = tuple(
            replace(p, version=EVIL + digest, build=EVIL, channel=EVIL, license=EVIL)
            for p in packages(6)
        )
        kernels = (Kernel(EVIL, EVIL, EVIL),)
        done = replace(result(build, found), kernels=kernels, messages=(_message(),), python=EVIL)
        catalog.generations.publish(build, done)
        empty.log(build.id, EVIL.encode())
    _trouble(empty, told)
    return empty


def _message() -> Message:
    return Message(Level.WARNING, EVIL, EVIL, 1, 1, EVIL)


def _trouble(made: Stand, told: Commit) -> None:
    catalog = made.catalog
    commit(catalog, ask(INVALID, "i"), commit=told)
    catalog.builds.beat(claim(catalog).id, None, ())
    commit(catalog, ask(DEMO, "c", EVIL, EVIL), commit=told)
    fail(catalog, Failure(EVIL, FailureKind.STALLED, EVIL, EVIL, line=1))
    files = (FileOutcome(EVIL, FileState.REFUSED, EnvKey("analyst", "demo"), (_message(),)),)
    commit(catalog, commit=told, invalid=((INVALID, _message()),), files=files)
    catalog.sources.failed("team", EVIL, EVIL, stalled=True)
    running = catalog.builds.in_state("solving")
    for build in running:
        catalog.builds.beat(build.id, Progress(build.state, 1, 2, 3, 4, EVIL), ())


def elements(html: str) -> Iterator[ET.Element]:
    return html5lib.parse(html, namespaceHTMLElements=False).iter()


def acts(element: ET.Element) -> bool:
    """Would a browser do something for it, beside our own script and addresses of our own?"""
    tag = str(element.tag).rpartition("}")[2]
    names = {str(n).rpartition("}")[2]: v for n, v in element.attrib.items()}
    if tag == "script":
        return not names.get("src", "").startswith("/script.js?v=") or bool(element.text)
    if tag in ("iframe", "object", "embed", "base", "style", "foreignObject", "math"):
        return True
    if any(n.startswith("on") or n in ("style", "srcdoc", "srcset") for n in names):
        return True
    urls = [names[n] for n in ("href", "src", "action", "formaction") if n in names]
    return not all(url.startswith(("/", "#")) for url in urls)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_that_others_wrote_acts(hostile: Stand, path: str) -> None:
    html = hostile.client.get(path).text
    assert [ET.tostring(e)[:200] for e in elements(html) if acts(e)] == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_that_others_wrote_is_hidden(hostile: Stand, path: str) -> None:
    html = hostile.client.get(path).text
    assert [hex(ord(c)) for c in HIDDEN if c in html] == []


def test_the_pages_say_it_all_the_same(hostile: Stand) -> None:
    text = hostile.text("/analyst/demo/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7*7 }}" in text
    assert "⟨U+202E⟩" in text


@pytest.mark.parametrize("path", ["/feed.atom", "/analyst/feed.atom"])
def test_feeds_hold_no_markup_of_others(hostile: Stand, path: str) -> None:
    feed = ET.fromstring(hostile.text(path))  # noqa: S314  # our own feed
    for summary in feed.iter("{http://www.w3.org/2005/Atom}summary"):
        assert [e for e in elements(summary.text or "") if acts(e)] == []


def test_headers_hold_no_line_of_others(hostile: Stand) -> None:
    for path in (*PATHS, "/analyst/demo/1/%0d%0aSet-Cookie:a=b"):
        assert "Set-Cookie" not in hostile.client.get(path).headers


def test_the_followed_log_is_text(hostile: Stand) -> None:
    answer = hostile.client.get("/analyst/demo/builds/1/log")
    assert answer.content_type == "application/json"
    assert not set(HIDDEN) & set(answer.json["text"])


def test_a_sign_that_no_encoding_has_does_not_break_a_page() -> None:
    assert visible("a\ud800b") == "a⟨U+D800⟩b"
