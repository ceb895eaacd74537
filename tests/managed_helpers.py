"""A managed source behind a real server, and people with clones of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repos import GitRepo

from envwatch.config.people_fill import OPEN
from envwatch.daemon.actions import DaemonActions
from envwatch.daemon.parts import Parts, assemble
from envwatch.git.bare import Bare
from envwatch.receive import Receiver
from envwatch.settings import (
    AccessSettings,
    NamespaceSettings,
    Role,
    Settings,
    SourceKind,
    SourceSettings,
    WebSettings,
)
from envwatch.web import Context, Health, Server, create_app, serve
from envwatch.web.git import body_limit

FILE = "demo/environment.yml"
MIB = 2**20


def text(*dependencies: str, name: str = "demo") -> str:
    listed = "".join(f"  - {d}\n" for d in dependencies)
    return f"name: {name}\ndependencies:\n{listed}"


@dataclass(frozen=True)
class Done:
    """What one git command said."""

    code: int
    told: str

    @property
    def remote(self) -> list[str]:
        """The lines that the server had shown in the terminal."""
        lines = [line.removeprefix("remote: ").rstrip() for line in self.told.splitlines()]
        told = self.told.splitlines()
        return [a for a, b in zip(lines, told, strict=True) if b.startswith("remote: ")]


@dataclass(frozen=True)
class Lab:
    """A root with the managed source `people`, served."""

    parts: Parts
    server: Server

    @property
    def bare(self) -> Bare:
        return Bare(self.parts.store.managed / "people.git")

    @property
    def address(self) -> str:
        return self.server.address

    def token(self, name: str = "ada", namespaces: str = "people", **more: object) -> str:
        values = {"role": Role.DEVELOPER, **more}
        patterns = tuple(namespaces.split(","))
        return self.parts.catalog.tokens.create(name, patterns, **values).secret  # type: ignore[arg-type]

    def url(self, token: str = "", namespace: str = "people") -> str:
        """The address, with the token in it where one is given."""
        who = f"any:{token}@" if token else ""
        return f"{self.address.replace('://', f'://{who}')}/git/{namespace}.git"

    def clone(self, folder: Path, token: str) -> GitRepo:
        """A work tree whose remote is the managed source; it may be empty yet."""
        folder.mkdir(parents=True)
        repo = GitRepo(folder)
        repo.git("init", "--quiet", "--initial-branch=main")
        repo.git("remote", "add", "origin", self.url(token))
        if self.tip():
            repo.git("pull", "--quiet", "origin", "main")
        return repo

    def tip(self, branch: str = "main") -> str:
        return self.bare.tip(branch)

    def refs(self) -> str:
        return self.bare.run("for-each-ref").decode()

    def is_whole(self) -> bool:
        """Nothing is missing, and nothing was left of a push that did not end."""
        self.bare.run("fsck", "--strict", "--connectivity-only")
        return not list(self.bare.path.glob("objects/tmp_objdir-*"))


def git(folder: Path, *arguments: str, data: bytes | None = None) -> Done:
    """One git command as a person runs it, in a terminal without a prompt."""
    done = subprocess.run(
        ("git", "-C", str(folder), *arguments),
        input=data, capture_output=True, check=False, timeout=120,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
    )  # fmt: skip
    return Done(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


def push(repo: GitRepo, files: Mapping[str, str | bytes | None], *options: str) -> Done:
    """Commit and push."""
    repo.commit(files)
    return git(repo.path, "push", *options, "origin", "main")


def push_random(repo: GitRepo, size: int) -> Done:
    """Commit and push so many bytes as they are: to compress them takes seconds, gains nothing."""
    repo.git("config", "core.compression", "0")
    return push(repo, {"data.bin": os.urandom(size)})


def settings_for(root: Path, *more: SourceSettings, max_push: int = 64 * MIB) -> Settings:
    url = str(root / "managed" / "people.git")
    people = SourceSettings("people", SourceKind.MANAGED, "people", url=url, branch="main")
    names = ("people", *(s.namespace for s in more))
    namespaces = tuple(NamespaceSettings(n, allowed_channels=("conda-forge",)) for n in names)
    web = WebSettings(port=0, url="https://env.example.org", max_push=max_push)
    return Settings(
        root,
        sources=(people, *more),
        namespaces=namespaces,
        web=web,
        durability="fast",
        access=AccessSettings(anonymous=OPEN),
    )


def context_of(parts: Parts, **more: Any) -> Context:
    """What pages are given by a daemon of these parts."""
    return Context(
        catalog=parts.catalog,
        current=parts.settings,
        storage=parts.publisher.storage,
        log_path=parts.store.log,
        health=lambda: Health(alive=True, ready=True),
        ask_archive=parts.operations.ask_archive,
        started_at=datetime.now(UTC),
        git=parts.pushes,
        hooks=Receiver(parts.catalog, parts.settings, parts.operations.mark),
        next_look=lambda _: None,
        actions=DaemonActions(parts),
        **more,
    )


@contextmanager
def served(settings: Settings) -> Iterator[Lab]:
    with assemble(settings) as parts:
        context = context_of(parts)
        limit = body_limit(parts.catalog, lambda: settings)
        server = serve(create_app(context), settings.web, limit)
        try:
            yield Lab(parts, server)
        finally:
            server.stop()
