"""Text of others in every place that holds any, looked for on every address that there is."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from test_hostile_text import EVIL, HIDDEN, acts, elements, hostile
from web_helpers import DEMO, Stand, ask, commit

from envwatch.access import Identity, Visitor
from envwatch.catalog.deliveries import NewDelivery
from envwatch.catalog.recipients import Recipient, Trouble
from envwatch.edit import Edited, FileText
from envwatch.hooks.decision import Decision
from envwatch.hooks.sender import Forge
from envwatch.model import EnvKey, Level, Manager, Message, Package, Preview, Wishes
from envwatch.settings import (
    AccessSettings,
    Grant,
    NamespaceSettings,
    Role,
    SourceKind,
    SourceSettings,
)
from envwatch.telling import Letter, Notice, NoticeKind
from envwatch.web.actions import Planned

__all__ = ["hostile"]
# a name is printable, and still may be anything else
NAME = "<img src=x onerror=alert(1)>\"'{{7*7}}"
XML = "{http://www.w3.org/2005/Atom}"


class Said:
    """The actions of a daemon whose every word is of others."""

    def file(self, *_: object) -> FileText:
        return FileText(EVIL, EVIL, f"{EVIL}</textarea><script>alert(1)</script>", "f" * 40)

    def plan(self, *_: object) -> Planned:
        message = Message(Level.ERROR, EVIL, EVIL, 1, 1, EVIL)
        return Planned("refused", DEMO, messages=(message,))

    def read(self, *_: object) -> tuple[Message, ...]:
        return (Message(Level.ERROR, EVIL, EVIL, 1, 1, EVIL),)

    def search(self, *_: object) -> tuple[Package, ...]:
        return self.solve()

    def solve(self, *_: object) -> tuple[Package, ...]:
        return (Package(EVIL, EVIL, EVIL, Manager.CONDA, EVIL, url=EVIL, license=EVIL),)

    def edit(self, *_: object) -> Edited:
        message = Message(Level.WARNING, EVIL, EVIL, 1, 1, EVIL)
        return Edited(EVIL, EVIL, EVIL, EVIL, live=False, messages=(message,))


@pytest.fixture
def everywhere(hostile: Stand) -> Stand:
    """… besides what `hostile` holds: hooks, notifiers, previews, people, tokens, the audit."""
    catalog, now = hostile.catalog, datetime.now(UTC)
    hook = NewDelivery("team", now, Forge.OTHER, EVIL, EVIL, EVIL, Decision.WOKEN)
    catalog.deliveries.take(replace(hook, ref=EVIL, revision=EVIL))
    catalog.deliveries.refuse(replace(hook, decision=Decision.REFUSED, reason=EVIL))
    catalog.recipients.declare([Recipient("notifier", "pager", EVIL, EVIL)])
    notice = Notice((NoticeKind.BROKEN,), EVIL, now, EVIL)
    catalog.notices.turn({}, (), [Letter("evt_1", "pager", NoticeKind.BROKEN, notice)], now)
    letter = catalog.notices.due("pager", now)
    assert letter is not None
    catalog.notices.failed(letter, Trouble(EVIL, EVIL, now, stalled=True), now)
    preview = replace(ask(EnvKey("analyst", "demo-pr-1"), "p", EVIL), path=EVIL)
    commit(catalog, replace(preview, preview=Preview("demo", install=False)))
    wishes = Wishes(labels=((NAME, EVIL),), kernel=EVIL)
    commit(catalog, replace(ask(EnvKey("analyst", "labelled"), "l", EVIL, EVIL), wishes=wishes))
    catalog.people.seen(Identity(NAME, (NAME,)), "test")
    catalog.bindings.grant(Grant("*/*", Role.ADMIN), user=NAME, by=NAME)
    catalog.tokens.create("t", ("*/*",), role=Role.ADMIN, owner=NAME, by=EVIL)
    catalog.sources.tell("team", "edited", EVIL)
    catalog.audits.note(Visitor(NAME, token=EVIL), EVIL, DEMO, EVIL)
    spaces = (NamespaceSettings("analyst", description=EVIL),)
    source = SourceSettings("team", SourceKind.MANAGED, "analyst")
    hostile.settings = replace(
        hostile.settings, namespaces=spaces, access=AccessSettings(), sources=(source,)
    )
    site = hostile.app.extensions["envwatch"]
    context = replace(site.context, actions=Said())
    hostile.app.extensions["envwatch"] = replace(site, context=context)
    session = catalog.people.open_session(NAME, 600)
    hostile.client.set_cookie("__Host-envwatch_session", session)
    return hostile


def asked(made: Stand) -> list[str]:
    """Each address, of an environment, a build, two generations and a source that are there."""
    known = {
        "namespace": "analyst", "name": "demo", "build_id": "1", "file": "conda-lock.yml",
        "old": "1", "new": "2", "generation": "1", "number": "1", "provider": "oidc",
        "revision": made.catalog.sources.all()[0].revision,
    }  # fmt: skip
    found = []
    for rule in made.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            values = known | ({"name": "team"} if "/source/" in rule.rule else {})
            path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m, v=values: v[m[1]], rule.rule)
            path = "/style.css" if rule.rule.startswith("/<any") else path
            found += [path, f"{path}?name=team", f"{path}?name=pandas&retired=yes"]
            found += [path.replace("demo/", f"{n}/") for n in ("demo-pr-1", "labelled", "broken")]
            found += [path.replace("/1", f"/{n}") for n in (2, 3)]
    return sorted(set(found))


def test_text_of_others_is_text_on_every_address(everywhere: Stand) -> None:
    shown = 0
    for path in asked(everywhere):
        answer = everywhere.client.get(path)
        assert answer.status_code < 500, (path, answer.text[:1000])
        assert "a=b" not in answer.headers.get("Set-Cookie", ""), path
        kind = answer.mimetype
        if kind == "text/html":
            assert [ET.tostring(e)[:200] for e in elements(answer.text) if acts(e)] == [], path
            assert [hex(ord(c)) for c in HIDDEN if c in answer.text] == [], path
            shown += "alert(1)" in answer.text
        elif kind == "application/json":
            json.loads(answer.text)
        elif kind in ("image/svg+xml", "application/atom+xml"):
            assert not list(strange(ET.fromstring(answer.text))), path  # noqa: S314  # our own
        else:
            # text, or a file to be kept: neither is ever shown as a page
            assert kind in ("text/plain", "application/yaml", "text/css"), (path, kind)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
    assert shown > 15, "else it was looked for where nothing of it is"


def strange(root: ET.Element) -> Any:
    """What a reader of feeds or pictures would act on."""
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2]
        names = {str(n).rpartition("}")[2]: v for n, v in element.attrib.items()}
        led = [names[n] for n in ("href", "src") if n in names]
        if tag in ("script", "foreignObject", "iframe") or any(n.startswith("on") for n in names):
            yield element
        if not all(url.startswith(("https://env.example.org/", "#")) for url in led):
            yield element


@pytest.mark.parametrize("path", ["/new", "/analyst/demo/edit"])
@pytest.mark.parametrize("button", ["check", "commit"])
def test_what_comes_back_of_an_edit_is_text(everywhere: Stand, path: str, button: str) -> None:
    page = everywhere.client.get("/me").text
    found = re.search(r'name="form_token" value="(\w+)"', page)
    assert found
    data = {
        "form_token": found[1], "namespace": "analyst", "text": EVIL, "path": EVIL, "seen": EVIL,
        "message": EVIL, "source": EVIL, button: "yes",
    }  # fmt: skip
    answer = everywhere.client.post(path, data=data)
    assert [ET.tostring(e)[:200] for e in elements(answer.text) if acts(e)] == []
    assert "alert(1)" in answer.text
