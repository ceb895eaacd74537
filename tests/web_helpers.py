"""A catalog as a team would fill it, and the pages on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.test import TestResponse

from envwatch import artifacts
from envwatch.catalog import Catalog, open_catalog
from envwatch.catalog.deliveries import NewDelivery
from envwatch.catalog.recipients import Recipient, Trouble
from envwatch.catalog.records import BuildRecord
from envwatch.config.people_fill import OPEN
from envwatch.hooks.decision import Decision
from envwatch.hooks.sender import Forge
from envwatch.model import (
    ArtifactKind,
    Ask,
    BuildState,
    Commit,
    EnvKey,
    Failure,
    FailureKind,
    FileOutcome,
    FileState,
    Kernel,
    Level,
    Manager,
    Message,
    Package,
    Phase,
    Plan,
    Progress,
    Result,
    Spec,
)
from envwatch.receive import Receiver
from envwatch.settings import AccessSettings, Settings, SourceKind, SourceSettings, WebSettings
from envwatch.signin import Provider
from envwatch.storage.filesystem import FilesystemStorage, open_storage
from envwatch.telling import Letter, Notice, NoticeKind, Status, StatusState
from envwatch.web import Context, Health, create_app

CONDA_FORGE = "https://conda.anaconda.org/conda-forge"
DEMO = EnvKey("analyst", "demo")
TORCH = EnvKey("ml", "torch")
DASK = EnvKey("global", "dask")
HELD = EnvKey("analyst", "weekly.report")
INVALID = EnvKey("analyst", "broken")
GONE = EnvKey("analyst", "old-thing")
FRESH = EnvKey("ml", "fresh")

SPEC_TEXT = """\
name: demo
channels:
  - conda-forge
dependencies:
  - python=3.11
  # the weekly report needs these
  - pandas>=2.1
  - numpyy
  - panel
  - pip:
      - hvplot==0.9
variables:
  REPORT: weekly
"""


class Templates(BytecodeCache):
    """Compiles each template once for all tests of a process."""

    known: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.known:
            bucket.bytecode_from_string(self.known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.known[bucket.key] = bucket.bytecode_to_string()


class Client(FlaskClient):
    """Reads each answer whole, so that no file stays open."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True, **kwargs})


@dataclass
class Stand:
    """The pages, what they are made of, and what they asked for."""

    app: Flask
    client: FlaskClient
    catalog: Catalog
    storage: FilesystemStorage
    root: Path
    asked: list[tuple[EnvKey, int]]
    health: Health
    settings: Settings
    woken: list[str] = field(default_factory=list)

    def log(self, build_id: int, data: bytes) -> Path:
        path = self.root / "logs" / f"{build_id}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def text(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return answer.text


@contextmanager
def stand(
    root: Path,
    url: str = "https://env.example.org",
    *,
    providers: tuple[Provider, ...] = (),
    **more: Any,
) -> Iterator[Stand]:
    """`more` are settings."""
    catalog = open_catalog(root / "catalog.sqlite", durable=False)
    made: Stand
    settings = Settings(
        root, **{"web": WebSettings(url=url), "access": AccessSettings(anonymous=OPEN), **more}
    )
    context = Context(
        catalog=catalog,
        current=lambda: made.settings,
        storage=open_storage(root),
        log_path=lambda build_id: root / "logs" / f"{build_id}.log",
        health=lambda: made.health,
        ask_archive=lambda key, number: made.asked.append((key, number)),
        started_at=datetime.now(UTC),
        next_look=lambda _: datetime.now(UTC) + timedelta(seconds=40),
        hooks=Receiver(
            catalog, lambda: made.settings, lambda source, **_: made.woken.append(source)
        ),
        providers=providers,
        patience=0.0,  # nobody makes archives here
    )
    app = create_app(context)
    app.test_client_class = Client
    app.jinja_env.bytecode_cache = Templates()
    health = Health(alive=True, ready=True)
    made = Stand(app, app.test_client(), catalog, open_storage(root), root, [], health, settings)
    declare(catalog)
    yield made
    catalog.close()


# ---------------------------------------------------------------- steps


def declare(catalog: Catalog) -> None:
    team = SourceSettings("team", SourceKind.GIT, "analyst", url="x", branch="main")
    local = SourceSettings("local", SourceKind.DIRECTORY, "global", directory=Path("/opt/envs"))
    catalog.sources.declare(
        [(team, "https://git.example.org/data/environments.git"), (local, "/opt/envs")]
    )


def ask(key: EnvKey, digest: str, text: str = SPEC_TEXT, description: str = "") -> Ask:
    spec = Spec(key.name, (), (), (), (), (), description, digest)
    return Ask(key, f"{key.namespace}/{key.name}.yml", spec, text, digest)


def commit(catalog: Catalog, *asks: Ask, source: str = "team", **values: object) -> None:
    revision = hashlib.sha1(repr((asks, values)).encode(), usedforsecurity=False).hexdigest()
    told = Commit(revision, "Ada Example", "a@example.org", "need pandas 2.2", datetime.now(UTC))
    plan = replace(Plan(source, revision, told, build=asks), **values)
    catalog.sources.apply(plan, fingerprint=revision, rules="r")


def claim(catalog: Catalog) -> BuildRecord:
    build = catalog.builds.claim()
    assert build is not None
    return build


def packages(count: int, pandas: str = "2.1.4") -> tuple[Package, ...]:
    """As an environment has them, `pandas` among them in this version."""
    first = [
        ("pandas", pandas, "py311h320fe9a_0"),
        ("python", "3.11.7", "hab00c5b_1_cpython"),
        ("libopenblas", "0.3.25", "pthreads_h413a1c8_0"),
    ]
    rest = [(f"lib-number-{i:02}", f"1.{i}.0", f"h{i:06}_0") for i in range(count - 4)]
    conda = [
        Package(
            name, version, build, Manager.CONDA, CONDA_FORGE, 3_000_000, "BSD-3-Clause",
            f"{CONDA_FORGE}/linux-64/{name}-{version}-{build}.conda", "ab" * 32,
            name in ("pandas", "python"),
        )
        for name, version, build in (*first, *rest)
    ]  # fmt: skip
    return (*conda, Package("hvplot", "0.9", "", Manager.PIP, "", 400_000, "BSD", requested=True))


PHASES = (
    Phase(BuildState.SOLVING, 4.2),
    Phase(BuildState.DOWNLOADING, 21.4),
    Phase(BuildState.LINKING, 7.9),
    Phase(BuildState.PIP, 3.1),
    Phase(BuildState.CHECKING, 1.2),
)


def result(build: BuildRecord, found: tuple[Package, ...], *, own_size: int = 5_000_000) -> Result:
    return Result(
        build.id,
        prefix=Path(f"/srv/envwatch/builds/{build.id}-abcdef12"),
        prefix_digest=f"prefix-{build.id}",
        lock_digest=f"{build.id:064}",
        packages=found,
        size=2_100_000_000 + build.id * 40_000_000,
        own_size=own_size,
        phases=PHASES,
        kernels=(Kernel("python3", "Python 3 (ipykernel)", "python"),),
        python="3.11.7",
    )


def publish(catalog: Catalog, *found: Package) -> int:
    """End the next queued build well; its generation."""
    build = claim(catalog)
    return catalog.generations.publish(build, result(build, found or packages(6)))[1]


def fail(catalog: Catalog, failure: Failure) -> BuildRecord:
    build = claim(catalog)
    phases = (Phase(BuildState.SOLVING, 40.1),)
    catalog.builds.end(
        build.id, BuildState.FAILED, Result(build.id, failure=failure, phases=phases)
    )
    return catalog.builds.get(build.id)


def beat(catalog: Catalog, build: BuildRecord, done: int) -> None:
    progress = Progress(BuildState.DOWNLOADING, done, 73, done * 2**20, 420 * 2**20)
    catalog.builds.beat(build.id, progress, PHASES[:1])


def keep_files(made: Stand, key: EnvKey, number: int) -> None:
    """Artifacts as a build leaves them."""
    record = made.root / "record" / key.label
    record.mkdir(parents=True, exist_ok=True)
    for kind in artifacts.FROM_RECORD:
        # an item of a list where it is read as yaml
        (record / kind).write_text(f"- {kind} of {key} #{number}\n" * 40)
    generation = made.catalog.generations.get(key, number)
    kept = artifacts.publish(record, key, number, made.storage)
    made.catalog.generations.keep_artifacts(generation.id, kept)


def keep_archive(made: Stand, key: EnvKey, number: int, data: bytes) -> None:
    path = made.root / "made.tar.zst"
    path.write_bytes(data)
    generation = made.catalog.generations.get(key, number)
    others = made.catalog.generations.artifacts(generation.id)
    kept = artifacts.add_archive(path, ArtifactKind.TAR_ZST, key, number, made.storage, others)
    made.catalog.generations.keep_artifacts(generation.id, kept)


# ---------------------------------------------------------------- a whole team

NO_NUMPYY = Failure(
    "SolveError",
    FailureKind.STALLED,
    "`numpyy`: no candidates were found in conda-forge for linux-64",
    "did you mean `numpy`?",
    line=8,
    column=5,
)
NOT_A_LIST = Message(
    Level.ERROR, "`dependencies` must be a list", "analyst/broken.yml", 4, 1, "begin each with `- `"
)
LOG = b"""\
solve for linux-64, channel conda-forge, strict priority
conda-forge/linux-64: 41 203 records (cached, 3 min old)
conda-forge/noarch: 18 441 records (cached, 3 min old)
\x1b[31merror:\x1b[0m nothing provides numpyy
"""


def fill(made: Stand) -> None:
    """One of everything: ready, failed, building, queued, held, invalid, retired."""
    catalog = made.catalog
    _demo(made)
    _others(catalog)
    commit(catalog, ask(TORCH, "t1"))
    publish(catalog)
    commit(catalog, ask(TORCH, "t2"))
    build = claim(catalog)
    beat(catalog, build, 31)
    made.log(build.id, b"solve for linux-64\n" + b"downloaded pkg-1.0-0.conda\n" * 60)
    commit(catalog, ask(FRESH, "f1"), files=_files())
    _hooks(catalog)
    _telling(catalog)
    catalog.sources.failed(
        "local", "`/opt/envs`: permission denied", "let envwatch read the folder", stalled=True
    )


def _hooks(catalog: Catalog) -> None:
    """One of each kind that is listed, and more than are shown at once."""
    now, sha = datetime.now(UTC), "bffeb74224043ba2feb48d137756c8a9331c449a"
    for n in range(12):
        at, name = now - timedelta(hours=12 - n), f"72d3162e-cc78-11e3-81ab-4c9367dc{n:04}"
        new = NewDelivery("team", at, Forge.GITHUB, "push", name, str(n), Decision.WOKEN)
        catalog.deliveries.take(replace(new, ref="refs/heads/main", revision=sha))
    for decision, reason in (
        (Decision.REFUSED, "it is signed with a secret that is not known here"),
        (Decision.FLOODED, "too many came at once"),
        (Decision.TOO_LARGE, "it is larger than 1.0 MiB"),
        (Decision.UNCHECKED, "no secret could be read"),
    ):
        refused = NewDelivery("team", now, Forge.GITLAB, "Push Hook", "", "", decision)
        catalog.deliveries.refuse(replace(refused, reason=reason), unlisted=3)
    for decision, ref in ((Decision.ELSEWHERE, "refs/heads/a/long/name-of-a-branch"), ("ping", "")):
        new = NewDelivery("team", now, Forge.OTHER, "", "", str(decision), Decision(decision))
        catalog.deliveries.take(replace(new, ref=ref))
        catalog.deliveries.take(replace(new, ref=ref))


def _telling(catalog: Catalog) -> None:
    """A forge that refuses the token, a web hook that is well, a command that fails."""
    now = datetime.now(UTC)
    catalog.recipients.declare(
        [
            Recipient("forge", "team", "github", "https://api.github.com · data/environments"),
            Recipient("notifier", "chatops", "webhook", "https://hooks.example.org"),
            Recipient("notifier", "pager", "command", "/usr/local/bin/page"),
        ]
    )
    source = catalog.sources.get("team")
    assert source is not None
    status = Status("envwatch/analyst/demo", StatusState.FAILURE, "no `numpyy`", DEMO)
    catalog.statuses.want("team", source.revision, [status], now)
    record = catalog.statuses.due("team", now)
    assert record is not None
    text, hint = "api.github.com answers 401: Bad credentials", "is the token right?"
    again = now + timedelta(minutes=9)
    catalog.statuses.failed(record, Trouble(text, hint, again, stalled=True), now)
    kinds = (NoticeKind.BROKEN, NoticeKind.STALLED)
    notice = Notice(kinds, f"environment {DEMO}", now, "build 4 failed: no `numpyy`")
    names = ("chatops", "pager")
    letters = [Letter(f"evt_{name}", name, NoticeKind.BROKEN, notice) for name in names]
    catalog.notices.turn({}, (), letters, now)
    well, bad = (catalog.notices.due(name, now) for name in names)
    assert well is not None
    assert bad is not None
    catalog.notices.told(well, now)
    catalog.notices.failed(bad, Trouble("`page` ended with 1: line busy", "", again), now)


def _demo(made: Stand) -> None:
    catalog = made.catalog
    words = "Plots and panel for the weekly report"
    for i, pandas in enumerate(("2.1.3", "2.1.4", "2.2.0")):
        text = SPEC_TEXT.replace("2.1", pandas[:3]).replace("  - numpyy\n", "")
        commit(catalog, ask(DEMO, f"d{i}", text, words))
        number = publish(catalog, *packages(60 + i, pandas))
        keep_files(made, DEMO, number)
    keep_archive(made, DEMO, 2, b"archive" * 1000)
    commit(catalog, ask(DEMO, "d9", description=words))
    build = fail(catalog, NO_NUMPYY)
    made.log(build.id, LOG)


def _others(catalog: Catalog) -> None:
    for digest in ("w1", "w2"):
        commit(catalog, ask(HELD, digest))
        publish(catalog)
        if digest == "w1":
            catalog.generations.hold(HELD, 1, by="ada")
    commit(catalog, ask(DASK, "k1"))
    publish(catalog)
    commit(catalog, ask(INVALID, "b1"))
    publish(catalog)
    commit(catalog, invalid=((INVALID, NOT_A_LIST),))
    commit(catalog, ask(GONE, "g1"))
    publish(catalog)
    commit(catalog, retire=(GONE,))


def _files() -> tuple[FileOutcome, ...]:
    return (
        FileOutcome("analyst/demo.yml", FileState.UNDERSTOOD, DEMO),
        FileOutcome("analyst/broken.yml", FileState.REFUSED, INVALID, (NOT_A_LIST,)),
        FileOutcome("ml/torch.yml", FileState.UNDERSTOOD, TORCH),
        FileOutcome(".github/workflows/ci.yml", FileState.IGNORED),
    )
