"""A catalog with its teller, a forge and a receiver of web hooks to be told, and a clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from catalog_helpers import SPEC
from standin import TOKEN, Forge, StandIn

from envwatch.catalog import Catalog, open_catalog
from envwatch.catalog.recipients import RecipientRecord
from envwatch.model import (
    Ask,
    BuildState,
    Commit,
    EnvKey,
    Failure,
    FailureKind,
    FileOutcome,
    FileState,
    Level,
    Message,
    Plan,
    Result,
)
from envwatch.settings import (
    ForgeSettings,
    NotifierSettings,
    Settings,
    SourceKind,
    SourceSettings,
    WebSettings,
)
from envwatch.teller import Teller

DEMO = EnvKey("analyst", "demo")
OTHER = EnvKey("analyst", "other")
BROKEN = Message(Level.ERROR, "`dependencies` must be a list", "demo.yml", 2, 3)
URL = "https://env.example.org"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Stand:
    """`tell` is one round: look, send what is due, wait for the answers."""

    catalog: Catalog
    settings: Settings
    forge: Forge
    hook: StandIn
    clock: Clock
    teller: Teller = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As a new process on the same catalog."""
        self.teller = Teller(self.catalog, lambda: self.settings, self.clock)

    def tell(self, **passed: float) -> None:
        self.clock.pass_(**passed)
        self.teller.flush(30)

    def states(self, revision: str) -> dict[str, str]:
        return self.forge.states(revision)

    def texts(self, revision: str) -> dict[str, str]:
        return self.forge.texts(revision)

    @property
    def events(self) -> list[str]:
        """What the hook was told, each as `type subject`."""
        return [f"{r.json['type']} {r.json['data']['subject']}" for r in self.hook.requests]

    def recipient(self, role: str) -> RecipientRecord:
        return next(r for r in self.catalog.recipients.all() if r.role == role)


@contextmanager
def stand(
    folder: Path, *, kind: str = "github", notify: Sequence[NotifierSettings] | None = None
) -> Iterator[Stand]:
    with ExitStack() as stack:
        forge, hook = stack.enter_context(Forge(kind)), stack.enter_context(StandIn())
        for name, secret in (("token", TOKEN), ("secret", "key")):
            (folder / name).write_text(secret)
        catalog = open_catalog(folder / "catalog.sqlite", durable=False)
        stack.callback(catalog.close)
        yield Stand(catalog, settings_for(folder, forge, hook, notify), forge, hook, Clock())


def settings_for(
    folder: Path, forge: Forge, hook: StandIn, notify: Sequence[NotifierSettings] | None = None
) -> Settings:
    told = ForgeSettings(forge.kind, folder / "token", forge.api, forge.repository)
    source = SourceSettings("team", SourceKind.GIT, "analyst", url="/team", forge=told)
    mine = NotifierSettings("mine", "webhook", url=hook.url, secret_file=folder / "secret")
    notify = (mine,) if notify is None else tuple(notify)
    return Settings(folder, sources=(source,), web=WebSettings(url=URL), notify=notify)


# ---------------------------------------------------------------- what happens


def declare(catalog: Catalog) -> None:
    team = SourceSettings("team", SourceKind.GIT, "analyst", url="/team")
    catalog.sources.declare([(team, "/team")])


def rev(name: str) -> str:
    """A commit's id, told by its first letters."""
    return name.encode().hex().ljust(40, "0")


def commit(catalog: Catalog, name: str, asked: dict[EnvKey, str], **more: Any) -> str:
    """A commit that asks for these digests and for nothing else; its id."""
    known = {s.key: s for s in catalog.sources.standing("team")}
    asks = [Ask(k, f"{k.name}.yml", SPEC, f"# {d}\n", d) for k, d in asked.items()]
    same = {a.key for a in asks if a.key in known and known[a.key].digest == a.digest}
    files = tuple(FileOutcome(a.path, FileState.UNDERSTOOD, a.key) for a in asks)
    invalid = dict(more.get("invalid", ()))
    plan = Plan(
        "team",
        rev(name),
        Commit(rev(name), "Ada"),
        build=tuple(a for a in asks if a.key not in same),
        touch=tuple(a for a in asks if a.key in same),
        retire=tuple(k for k in known if k not in asked and k not in invalid),
        files=files,
    )
    catalog.sources.apply(replace(plan, **more), fingerprint=name, rules="")
    return rev(name)


def refused(path: str = "demo.yml", message: Message = BROKEN) -> FileOutcome:
    return FileOutcome(path, FileState.REFUSED, None, (message,))


def fail(catalog: Catalog, kind: FailureKind = FailureKind.STALLED, text: str = "no `x`") -> None:
    """End the next queued build badly."""
    build = catalog.builds.claim()
    assert build is not None
    failure = Failure("SolveError", kind, text, line=4)
    catalog.builds.end(build.id, BuildState.FAILED, Result(build.id, failure=failure))


def build_all(catalog: Catalog) -> None:
    """Publish everything that is queued."""
    while (build := catalog.builds.claim()) is not None:
        made = Result(
            build.id,
            prefix=Path(f"/store/{build.id}"),
            prefix_digest=f"prefix-{build.asked_digest}",
            lock_digest=f"lock-{build.asked_digest}",
        )
        catalog.generations.publish(build, made)
