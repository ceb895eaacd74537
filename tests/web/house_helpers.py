"""Two teams with managed repositories on the parts of a real daemon, and pages in this process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from managed_helpers import context_of, settings_for, text
from seeing_helpers import rules
from web_helpers import Client, Templates, keep_files, packages, publish
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.daemon.parts import Parts, assemble
from envwatch.edit import Author, Edit
from envwatch.git.bare import Bare
from envwatch.model import EnvKey
from envwatch.settings import (
    LoginSettings,
    Network,
    ProxyLogin,
    Role,
    SourceKind,
    SourceSettings,
)
from envwatch.storage.filesystem import FilesystemStorage, open_storage
from envwatch.web import create_app
from envwatch.web.context import NAME
from envwatch.web.costly import Costly
from envwatch.web.tokens import Failures

OWN, FOREIGN = EnvKey("lab", "demo"), EnvKey("canary", "secret")
# what the people of seeing_helpers.rules() are, and who comes with a token of theirs
PEOPLE = ("stranger", "one", "viewer", "developer", "admin", "owner")
SEEN_ON_DISK = ("used_at", "seen_at")  # that somebody came is no change


class Patient(Costly):
    """Nothing is too much."""

    def too_many(self, who: str, most: int = 0) -> bool:  # noqa: ARG002  # as it is asked
        return False


@dataclass
class House:
    """`builds` are those of the second generation of each environment, and one that waits."""

    parts: Parts
    app: Flask
    root: Path
    storage: FilesystemStorage
    tokens: dict[str, str] = field(default_factory=dict)
    builds: dict[EnvKey, int] = field(default_factory=dict)

    @property
    def catalog(self) -> Any:
        return self.parts.catalog

    def call(self, who: str, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who in self.tokens else {}
        headers |= more.pop("headers", {})
        return self.app.test_client().open(path, method=method, headers=headers, **more)

    def bare(self, namespace: str) -> Bare:
        return Bare(self.parts.store.managed / f"{namespace}.git")

    def tip(self, namespace: str) -> str:
        return self.bare(namespace).tip("main")

    def state(self) -> dict[str, Any]:
        """Everything that a request could change: rows, commits, what is to be looked at, files."""
        with sqlite3.connect(self.parts.store.catalog) as c:
            tables = [
                r[0] for r in c.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            found: dict[str, Any] = {t: _rows(c, t) for t in tables}
        found["tips"] = {k: self.tip(k.namespace) for k in (OWN, FOREIGN)}
        found["links"] = sorted(str(p) for p in (self.root / "envs").rglob("*"))
        found["tmp"] = sorted(str(p) for p in (self.root / "tmp").iterdir())
        found["dirty"] = self.parts.dirty.take(0)
        return found


def _rows(c: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    columns = [
        f'"{r[1]}"' for r in c.execute(f"PRAGMA table_info({table})") if r[1] not in SEEN_ON_DISK
    ]
    names = ", ".join(columns)
    return sorted(c.execute(f'SELECT {names} FROM "{table}"'), key=repr)  # noqa: S608  # our own names


@contextmanager
def house_in(root: Path) -> Iterator[House]:
    more = [
        SourceSettings(n, SourceKind.MANAGED, n, url=f"{root}/managed/{n}.git", branch="main")
        for n in (OWN.namespace, FOREIGN.namespace)
    ]
    # a channel that is nowhere: no request leaves this machine
    network = Network(alias="http://127.0.0.1:9/", retries=0)
    login = LoginSettings(proxy=ProxyLogin("X-Person", root / "proxy-secret"))
    settings = replace(settings_for(root, *more), access=rules(), network=network, login=login)
    with assemble(settings) as parts:
        app = create_app(context_of(parts, patience=0.0))  # nobody makes archives here
        app.test_client_class = Client
        app.jinja_env.bytecode_cache = Templates()
        many = 10**6
        site = app.extensions[NAME]
        app.extensions[NAME] = replace(site, costly=Patient(), failures=Failures(many))
        house = House(parts, app, root, open_storage(root))
        _fill(house)
        yield house


def _fill(house: House) -> None:
    # numbers of builds that are found again in a text
    with sqlite3.connect(house.parts.store.catalog) as c:
        c.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('build', 70000)")
    for key in (OWN, FOREIGN):
        for version in ("3.11", "3.12"):
            commit_file(house, key, f"python={version}")
            number = publish(house.catalog, *packages(6))
            keep_files(house, key, number)  # type: ignore[arg-type]  # it needs no more of a Stand
        house.builds[key] = house.catalog.generations.get(key, 2).build_id
        house.parts.store.log(house.builds[key]).write_text(f"log of {key}\n")
    for key in (OWN, FOREIGN):  # one of each waits
        commit_file(house, key, "python=3.13")
    while house.parts.dirty.take(0):
        pass
    house.tokens = tokens(house)


def commit_file(house: House, key: EnvKey, dependency: str) -> None:
    path, seen = f"{key.name}/environment.yml", house.tip(key.namespace)
    content = text(dependency, name=key.name)
    author = Author("Ada Example", "ada@example.org")
    house.parts.editor.edit(Edit(key.namespace, path, content, author, seen=seen))
    house.parts.look(key.namespace)


def tokens(house: House) -> dict[str, str]:
    """A token of each person that is as wide as they are; narrower ones; and some that are over."""
    kept, found = house.catalog.tokens, {}
    for name in PEOPLE:
        house.catalog.people.seen(Identity(name), "test")
        patterns = ("*/*",) if name == "owner" else ("lab/*",)
        found[name] = kept.create(f"of-{name}", patterns, role=Role.ADMIN, owner=name).secret
    for name, patterns, role in (
        ("reading", ("*/*",), Role.VIEWER),
        ("narrower", ("lab/de*",), Role.VIEWER),
        ("elsewhere", ("people/*",), Role.ADMIN),
    ):
        found[name] = kept.create(name, patterns, role=role, owner="owner").secret
    past = datetime.now(UTC) - timedelta(seconds=1)
    for name, owner, ends in (
        ("expired", "owner", past),
        ("revoked", "owner", None),
        ("leaver", "nobody-now", None),
    ):
        new = kept.create(name, ("*/*",), role=Role.ADMIN, owner=owner, expires_at=ends)
        found[name] = new.secret
    kept.revoke("revoked")
    found["wrong"] = "envwatch_" + "0" * 72
    return found
