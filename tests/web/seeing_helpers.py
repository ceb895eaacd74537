"""Two teams on one host: what is of `lab` and what is of others, and people who see either."""

from __future__ import annotations

from dataclasses import dataclass, replace

from web_helpers import LOG, Stand, ask, commit, keep_files, packages, publish
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.catalog.recipients import Recipient
from envwatch.model import (
    Ask,
    EnvKey,
    FileOutcome,
    FileState,
    Level,
    Manager,
    Message,
    Package,
    Preview,
)
from envwatch.settings import (
    AccessSettings,
    Binding,
    Grant,
    Role,
    SourceKind,
    SourceSettings,
)

CANARY = "canary"  # stands in every name that is of another namespace than `lab`
HUSHED = "hushed"  # … and in what is of `lab`, but not `lab/de*`
NEVER = 99_999  # a build that there never was
OWN, OTHER = EnvKey("lab", "demo"), EnvKey("lab", "hushed")
FOREIGN, RETIRED = EnvKey("canary", "secret"), EnvKey("canary", "gone")
MISSING, NEVER_WAS = EnvKey("absent", "secret"), EnvKey("canary", "absent")
# namespaces that one could take for `lab`
NEIGHBOURS = (EnvKey("lab2", "canary-a"), EnvKey("LAB", "canary-b"), EnvKey("la", "canary-c"))
PACKAGE = "canary-package"
SECRET = Package(PACKAGE, "1.0", "0", Manager.CONDA, "https://c.example.org", 1, "BSD")


def rules(**changes: object) -> AccessSettings:
    def bound(user: str, pattern: str, role: Role) -> Binding:
        return Binding(Grant(pattern, role), users=(user,))

    bindings = (
        bound("one", "lab/de*", Role.VIEWER),
        bound("viewer", "lab/*", Role.VIEWER),
        bound("developer", "lab/*", Role.DEVELOPER),
        bound("admin", "lab/*", Role.ADMIN),
        bound("owner", "*/*", Role.ADMIN),
    )
    said = AccessSettings(own_namespace=False, bindings=bindings)
    return replace(said, **changes)


# what differs between two answers that say the same of two names
VARYING = ("ETag", "Content-Length", "Date")


@dataclass
class Cast:
    """The pages, as each of some people sees them."""

    made: Stand
    tokens: dict[str, str]
    builds: dict[EnvKey, int]

    def get(self, who: str, path: str, method: str = "GET") -> TestResponse:
        secret = self.tokens.get(who)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return self.made.client.open(path, method=method, headers=headers)

    def without_name(self, who: str, path: str, name: str, method: str = "GET") -> str:
        """What is answered, `name` taken out of it: the answer may only repeat what was asked."""
        answer = self.get(who, path, method)
        told = sorted((k, v) for k, v in answer.headers if k not in VARYING)
        return f"{answer.status}\n{told}\n{answer.text}".replace(name, "…")


def people(made: Stand) -> dict[str, str]:
    """A token of each person that is as wide as they are, and one that is narrower."""
    tokens = made.catalog.tokens
    found = {}
    for name in ("stranger", "one", "viewer", "developer", "admin", "owner"):
        made.catalog.people.seen(Identity(name), "test")
        patterns = {"one": ("lab/de*",), "owner": ("*/*",)}.get(name, ("lab/*",))
        new = tokens.create(f"of-{name}", patterns, role=Role.ADMIN, owner=name)
        found[name] = new.secret
    found["narrower"] = tokens.create("n", ("lab/de*",), role=Role.ADMIN, owner="owner").secret
    return found


def fill(made: Stand) -> Cast:
    catalog = made.catalog
    lab = SourceSettings("lab", SourceKind.GIT, "lab", url="x", branch="main")
    canary = SourceSettings("canary-source", SourceKind.GIT, "canary", url="y", branch="main")
    catalog.sources.declare([(lab, "https://git.example.org/lab.git"), (canary, "https://canary")])
    builds = {}
    for key in (OWN, FOREIGN, RETIRED, OTHER, *NEIGHBOURS):
        source = "lab" if key.namespace == "lab" else "canary-source"
        for digest in ("a", "b"):
            commit(catalog, ask(key, f"{key}-{digest}", description=f"of {key}"), source=source)
            secret = () if key.namespace == "lab" else (SECRET,)
            number = publish(catalog, *packages(6), *secret)
            keep_files(made, key, number)
        build = catalog.generations.get(key, 2).build_id
        made.log(build, LOG + f"log of {key}\n".encode())
        builds[key] = build
    commit(catalog, retire=(RETIRED,), source="canary-source", files=(_file(),))
    # it waits in the queue, as one of `lab` does after it
    commit(catalog, ask(FOREIGN, "queued"), source="canary-source", files=(_file(),))
    commit(catalog, ask(OWN, "queued"), source="lab")
    catalog.recipients.declare([Recipient("notifier", "canary-pager", "command", "/canary")])
    return Cast(made, people(made), builds)


def _file() -> FileOutcome:
    message = Message(Level.ERROR, "`canary` is odd", "canary.yml", 1, 1)
    return FileOutcome("canary.yml", FileState.REFUSED, FOREIGN, (message,))


def preview_of(key: EnvKey, name: str) -> Ask:
    return replace(
        ask(EnvKey(key.namespace, name), f"{name}-p"), preview=Preview(key.name, install=False)
    )
