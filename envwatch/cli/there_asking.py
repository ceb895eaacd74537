"""The verbs of the daemon, each as the operation of the API that does the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from envwatch.access import read_patterns
from envwatch.catalog.schema import SourceState
from envwatch.cli.house import SOON, Answer
from envwatch.cli.remote import Server, part
from envwatch.cli.settings import elsewhere
from envwatch.errors import Conflict, EnvwatchError
from envwatch.model import BuildState, EnvKey, FileState
from envwatch.views.values import Listing, SourcePage

Verb = Callable[[Server, Mapping[str, Any], float], Answer]

LISTING = TypeAdapter(Listing)
SOURCE = TypeAdapter(SourcePage)
WHOM = ("pattern", "user", "group")
LOOK = 0.5  # seconds between two looks whether a source was looked at


def ask(server: Server, verb: str, arguments: Mapping[str, Any], timeout: float) -> Answer:
    """Have a verb done by the server. Raises Conflict where it is for its machine alone."""
    if verb not in VERBS:
        raise elsewhere(server.url)
    return VERBS[verb](server, arguments, timeout)


def edit(server: Server, key: EnvKey, wanted: Answer) -> Answer:
    """Change, make or (without a text) remove the file of an environment by a commit."""
    path, seen = f"{_env(key)}file/", str(wanted.get("seen") or "")
    message = wanted.get("message", "")
    if wanted["text"] is None:
        return _data(server.api("DELETE", path, seen=seen, patience=SOON, message=message))
    body = {"text": wanted["text"], "message": message}
    if not seen:
        body["path"] = wanted.get("path", "")
    return _data(server.api("PUT", path, body, seen=seen, patience=SOON))


# ---------------------------------------------------------------- environments


def _file(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    return _data(server.api("GET", f"{_env(EnvKey(a['namespace'], a['name']))}file/"))


def _propose(server: Server, a: Mapping[str, Any], timeout: float) -> Answer:
    body = {"namespace": a["namespace"], "specification": a["text"], "path": a["path"]}
    return _data(server.api("POST", "/plan/", body, patience=timeout))


def _activate(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    path = f"{_named(a)}generation/{a['generation']}/activate/"
    return _data(server.api("PUT", path))


def _hold(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    return _data(server.api("PUT", f"{_named(a)}hold/", {"generation": a["generation"]}))


def _release(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    return _data(server.api("DELETE", f"{_named(a)}hold/"))


def _pin(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    method = "PUT" if a["pinned"] else "DELETE"
    server.api(method, f"{_named(a)}generation/{a['generation']}/pin/")
    return {name: a[name] for name in ("environment", "generation", "pinned")}


def _rebuild(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    return _data(server.api("PUT", f"{_named(a)}rebuild/", {"generation": a["generation"]}))


def _update(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    return _data(server.api("PUT", f"{_named(a)}update/"))


def _archive(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    number = a["generation"] or server.api("GET", _named(a))["current"]
    if number is None:
        raise Conflict(f"{a['environment']}: there is no generation yet")
    return _data(server.api("PUT", f"{_named(a)}generation/{number}/archive/"))


# ---------------------------------------------------------------- builds, sources, tokens


def _cancel(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    path = f"/build/{a['build']}/"
    server.api("PUT", f"{path}cancel/")
    now = server.api("GET", path)
    return {"build": now["id"], "environment": now["environment"], "state": now["state"]}


def _sync(server: Server, a: Mapping[str, Any], timeout: float) -> Answer:
    """Have a source looked at, and wait until it was."""
    name, end = a["source"], time.monotonic() + timeout
    before = _source(server, name).source.record
    server.api("PUT", f"/source/{part(name)}/sync/")
    while (now := _source(server, name)).source.record.looked_at == before.looked_at:
        if time.monotonic() > end:
            raise EnvwatchError(f"source `{name}` was not looked at in time", hint="ask again")
        time.sleep(LOOK)
    found = now.source.record
    if found.state in (SourceState.FAILING, SourceState.STALLED):
        raise EnvwatchError(found.message, hint=found.hint)
    refused = [str(f.messages[0]) for f in now.source.files if f.state is FileState.REFUSED]
    return {"source": name, "builds": _unbuilt(server, name), "refused": refused}


def _source(server: Server, name: str) -> SourcePage:
    return server.page("/source.json", SOURCE, name=name)


def _unbuilt(server: Server, source: str) -> list[int]:
    """The newest build of each environment of a source that did not come to a generation."""
    found: list[int] = []
    page = pages = 1
    while page <= pages:
        listing = server.page("/index.json", LISTING, page=page)
        found += [
            row.build_id
            for row in listing.rows
            if row.source == source and row.build_id and row.build_state is not BuildState.READY
        ]
        page, pages = page + 1, listing.pages
    return found


def _create_token(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    """A smaller one than that which asks: the server gives no more."""
    seconds = a["seconds"]
    ends = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None
    patterns = read_patterns(a["namespaces"])
    made = server.api(
        "POST",
        "/token/",
        {
            "name": a["name"],
            "role_bindings": {pattern: [a["role"]] for pattern in patterns},
            "expiration": ends.isoformat() if ends else None,
        },
    )
    return {
        "name": made["name"],
        "namespaces": list(patterns),
        "role": a["role"],
        "expires_at": made["expires_on"],
        "token": made["token"],
    }


def _revoke_token(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    if a.get("owner"):
        raise Conflict("the tokens of others are revoked on the host", hint="without `--url`")
    server.api("DELETE", f"/token/{part(a['name'])}/")
    return {"name": a["name"], "revoked": True}


def _create_namespace(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    return _data(server.api("POST", f"/namespace/{part(a['name'])}/"))


def _grant(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    found = _data(server.api("PUT", "/grant/", {n: a[n] for n in (*WHOM, "role")}))
    return {name: found[name] for name in ("pattern", "role", "user", "group")}


def _ungrant(server: Server, a: Mapping[str, Any], _: float) -> Answer:
    server.api("DELETE", "/grant/", **{n: a[n] for n in WHOM})
    whole = {"pattern": read_patterns(a["pattern"])[0], "user": a["user"], "group": a["group"]}
    return {**whole, "revoked": True}


def _named(arguments: Mapping[str, Any]) -> str:
    namespace, _, name = str(arguments["environment"]).partition("/")
    return _env(EnvKey(namespace, name))


def _env(key: EnvKey) -> str:
    return f"/environment/{part(key.namespace, key.name)}/"


def _data(found: Any) -> Answer:
    return dict(found)


VERBS: Mapping[str, Verb] = {
    "file": _file,
    "propose": _propose,
    "activate": _activate,
    "hold": _hold,
    "release": _release,
    "pin": _pin,
    "rebuild": _rebuild,
    "update": _update,
    "archive": _archive,
    "cancel": _cancel,
    "sync": _sync,
    "create_token": _create_token,
    "revoke_token": _revoke_token,
    "create_namespace": _create_namespace,
    "grant": _grant,
    "ungrant": _ungrant,
}
