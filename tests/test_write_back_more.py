"""Where locks lie, what their lists say, and that the conda-lock program takes what is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import fake_conda
import pytest
from git_servers import PASSWORD, https_server
from managed_helpers import settings_for
from needs import lack
from repos import GitRepo, make_repo
from writeback_helpers import BRANCH, FILE, LOCK, Lab, lab_on, text

from envwatch import locklist
from envwatch.catalog.schema import WriteState
from envwatch.daemon.parts import Parts, assemble, reload
from envwatch.git import bringing
from envwatch.git.bare import Bare
from envwatch.git.bringing import Bot, Made
from envwatch.model import Ask, Snapshot, SourceFile
from envwatch.plan import Rules, make_plan
from envwatch.settings import NamespaceSettings, Network, WriteBack

PROGRAM = Path(sys.executable).with_name("conda-lock")
BOT = Bot(BRANCH, "bot", "bot@example.org")


# ---------------------------------------------------------------- the program


@pytest.mark.peer
def test_a_lock_that_was_written_back_is_taken_by_conda_lock(tmp_path: Path, channel: Path) -> None:
    if not PROGRAM.exists():
        lack("the program `conda-lock` is not there")
    named = f"channels: [{channel.as_uri()}]\n{text('stepped', 'native')}"
    with lab_on(tmp_path, channel, {FILE: named}) as lab:
        lab.settle()
        lab.merge()
    said = conda_lock(tmp_path / "work" / "demo")
    assert "Spec hash already locked for" in said
    assert "Skipping solve" in said


def conda_lock(folder: Path) -> str:
    program = fake_conda.install(folder)
    (folder / "names.json").write_text("{}")
    lock = ("lock", "-f", "environment.yml", "--check-input-hash", "-p", "linux-64")
    names = ("--pypi_to_conda_lookup_file", (folder / "names.json").as_uri())
    command = (str(PROGRAM), *lock, "--conda", str(program), "--no-mamba", *names)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


# ---------------------------------------------------------------- layers and managed sources


def test_the_lock_of_merged_files_lies_beside_their_envwatch_yml(
    tmp_path: Path, channel: Path
) -> None:
    said = "environments:\n  both:\n    files: [a.yml, b.yml]\n"
    files = {"x/envwatch.yml": said, "x/a.yml": text("tiny=1.0"), "x/b.yml": text("stepped")}
    with lab_on(tmp_path, channel, files) as lab:
        assert lab.settle() == 1
        assert lab.changed() == ["x/both.conda-lock.yml", "x/both.packages.txt"]
        lab.merge()
        assert lab.settle() == 0


@dataclass(frozen=True)
class Managed:
    """A repository of our own, and the work tree of somebody who pushes to it."""

    parts: Parts
    bare: Bare
    work: GitRepo

    def push(self, files: dict[str, str | bytes | None]) -> None:
        self.work.commit(files)
        self.work.git("push", "--quiet", "origin", "main")

    def settle(self) -> int:
        self.parts.look("people")
        built = 0
        while self.parts.worker.run_one():
            built += 1
        self.parts.writer.flush(60)
        return built


@pytest.fixture
def managed(tmp_path: Path, channel: Path) -> Iterator[Managed]:
    settings = settings_for(tmp_path / "root")
    url = channel.as_uri()
    people = NamespaceSettings("people", channels=(url,), allowed_channels=(url,))
    source = replace(settings.sources[0], write_back=WriteBack())
    with assemble(replace(settings, sources=(source,), namespaces=(people,))) as parts:
        parts.executor.start()
        work = make_repo(tmp_path / "ada")
        work.git("remote", "add", "origin", source.url)
        yield Managed(parts, Bare(Path(source.url)), work)
        parts.executor.stop()


def test_a_managed_source_writes_to_its_own_repository(managed: Managed) -> None:
    managed.push({FILE: text("tiny=1.0")})
    assert managed.settle() == 1
    assert managed.bare.run("show", f"{BRANCH}:{LOCK}").startswith(b"# This lock file")
    managed.work.git("pull", "--quiet", "--ff-only", "origin", BRANCH)
    managed.work.git("push", "--quiet", "origin", "main")
    before = managed.bare.tip(BRANCH)
    assert (managed.settle(), managed.bare.tip(BRANCH)) == (0, before)
    managed.bare.run("fsck", "--strict", "--connectivity-only")


def test_commits_of_others_in_a_managed_repository_are_not_overwritten(managed: Managed) -> None:
    managed.push({FILE: text("tiny=1.0")})
    theirs = managed.bare.tip("main")
    managed.bare.run("update-ref", f"refs/heads/{BRANCH}", theirs)
    managed.settle()
    record = managed.parts.catalog.writebacks.get("people")
    assert record is not None
    assert (record.state, managed.bare.tip(BRANCH)) == (WriteState.STALLED, theirs)


# ---------------------------------------------------------------- with a key of its own


@pytest.fixture
def https(tmp_path: Path, channel: Path) -> Iterator[Lab]:
    """The remote is behind a password, of which envwatch has one file to read and one to write."""
    with lab_on(tmp_path, channel, {FILE: text("tiny=1.0")}) as lab:
        lab.forge.git("config", "http.receivepack", "true")
        with https_server(lab.forge.path, tmp_path / "server") as (server, _):
            own = tmp_path / "own"
            own.write_text(f"{PASSWORD}\n")
            bot = replace(server.credentials, password_file=own)
            settings = lab.parts.settings()
            source = replace(
                settings.sources[0],
                url=server.url,
                credentials=server.credentials,
                write_back=WriteBack(credentials=bot),
            )
            reload(lab.parts, replace(settings, sources=(source,)))
            yield lab


def test_locks_are_pushed_over_https_with_a_key_of_their_own(https: Lab) -> None:
    https.settle()
    assert https.told("%s") == "Lock 1 environment"


def test_a_key_that_may_not_write_is_told_and_read_again(https: Lab, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("wrong\n")
    https.settle()
    assert (https.state.state, https.tip()) == (WriteState.STALLED, "")
    assert "refuses access" in https.state.message
    (tmp_path / "own").write_text(f"{PASSWORD}\n")
    https.again()
    https.write()
    assert https.told("%s") == "Lock 1 environment"


# ---------------------------------------------------------------- several at once


def test_one_dead_remote_does_not_hold_up_the_others(tmp_path: Path, channel: Path) -> None:
    with lab_on(tmp_path, channel, {FILE: text("tiny=1.0")}) as lab:
        settings = lab.parts.settings()
        dead = replace(settings.sources[0], name="dead", url=str(tmp_path / "nowhere"))
        with_dead = replace(settings, sources=(dead, *settings.sources))
        reload(lab.parts, with_dead)
        lab.settle()
        assert lab.told("%s") == "Lock 1 environment"


def test_a_source_that_is_not_written_back_any_more_is_forgotten(
    tmp_path: Path, channel: Path
) -> None:
    with lab_on(tmp_path, channel, {FILE: text("tiny=1.0")}) as lab:
        lab.settle()
        settings = lab.parts.settings()
        reload(
            lab.parts, replace(settings, sources=(replace(settings.sources[0], write_back=None),))
        )
        lab.write()
        assert lab.parts.catalog.writebacks.all() == ()


# ---------------------------------------------------------------- where locks lie


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["environment.yml"], ["conda-lock.yml"]),
        (["a/environment.yaml"], ["a/conda-lock.yml"]),
        (["a/stats.yml"], ["a/stats.conda-lock.yml"]),
        (["a/stats.yml", "a/conda-lock.yml"], ["a/conda-lock.yml"]),
        (["s.yml", "b.yml", "conda-lock.yml"], ["b.conda-lock.yml", "s.conda-lock.yml"]),
        (["environment.yml", "environment.conda-lock.yml"], ["environment.conda-lock.yml"]),
    ],
)  # fmt: skip
def test_a_lock_lies_where_it_is_read(paths: list[str], expected: list[str]) -> None:
    assert sorted(ask.lock_path for ask in plan_of(*paths)) == expected


@pytest.mark.parametrize("path", ["environment.yml", "a/environment.yaml", "a/stats.yml"])
def test_a_lock_that_is_put_there_is_read(path: str) -> None:
    (new,) = plan_of(path)
    (again,) = plan_of(path, new.lock_path)
    assert (again.lock_text, again.lock_path) == ("lock", new.lock_path)


def plan_of(*paths: str) -> tuple[Ask, ...]:
    files = [
        SourceFile(p, p, b"lock" if "lock" in p else text("tiny", name=f"n{i}").encode())
        for i, p in enumerate(paths)
    ]
    rules = Rules(NamespaceSettings("team"), Network(), ("linux-64",))
    return make_plan(Snapshot("s", "r", tuple(files)), (), rules).build


# ---------------------------------------------------------------- lists


LOCK_TEXT = """
package:
- {name: zlib, version: '1.3', manager: conda, platform: linux-64,
   url: 'https://conda.example.org/forge/linux-64/zlib-1.3-h1_0.conda'}
- {name: click, version: '8.1', manager: pip, platform: linux-64,
   url: 'https://files.example.org/click-8.1-py3-none-any.whl'}
- {name: zlib, version: '1.2', manager: conda, platform: osx-64, build: h2_1,
   url: 'https://ada:secret@conda.example.org/forge/osx-64/zlib-1.2-h2_1.conda'}
"""


def test_a_list_is_sorted_in_sections_and_holds_no_secret() -> None:
    lines = locklist.read(LOCK_TEXT)
    assert lines is not None
    assert locklist.render(lines).splitlines()[1:] == [
        "",
        "[linux-64]",
        "click 8.1 - pip",
        "zlib 1.3 h1_0 https://conda.example.org/forge",
        "",
        "[osx-64]",
        "zlib 1.2 h2_1 https://***@conda.example.org/forge",
    ]


@pytest.mark.parametrize("bad", ["", "[", "package: 1", "package: [1]", "package: [{name: x}]"])
def test_what_is_no_lock_has_no_list(bad: str) -> None:
    assert locklist.read(bad) is None


def test_no_package_can_begin_a_line_of_its_own() -> None:
    lines = locklist.read(LOCK_TEXT.replace("'8.1'", '"8.1\\n[win-64]\\nevil 1"'))
    assert lines is not None
    assert locklist.render(lines).count("\n[") == 2


def test_changes_are_told_in_a_line() -> None:
    old = tuple(locklist.Line("linux-64", f"p{n}", "1", "0") for n in range(7))
    new = tuple(replace(line, version="2") for line in old)
    told = locklist.changes(old, (*new[:6], locklist.Line("linux-64", "q", "1")))
    assert told.startswith("p0 1 0 -> 2 0, p1 ")
    assert told.endswith(", and 3 more")
    assert locklist.changes(old, old) == ""


# ---------------------------------------------------------------- whose a commit is


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({}, True),
        ({"committer": ("bot", "else@example.org")}, False),
        ({"trailer": ""}, False),
        ({"trailer": "", "parents": ()}, False),
        ({"parents": ("b" * 40,)}, False),
        ({"parents": ("a" * 40, "b" * 40)}, False),
    ],
)
def test_a_commit_is_ours_only_where_all_of_it_is(changes: dict[str, object], ours: bool) -> None:
    made = Made("r", "t", ("a" * 40,), ("bot", "bot@example.org"), "a" * 40)
    assert replace(made, **changes).is_by(BOT) is ours  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["a b/c.yml", 'q"uote.yml', "back\\slash.yml", "ü/\n.yml"])
def test_files_of_any_name_are_written(git_repo: object, path: str) -> None:
    repo: GitRepo = git_repo("odd", {"x": "1"})  # type: ignore[operator]

    def run(*arguments: str, data: bytes = b"", limit: int = 0) -> bytes:
        command = ("git", "-C", str(repo.path), *arguments)
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    made = bringing.commit(run, repo.head, {path: b"data"}, BOT, "m")
    assert run("show", f"{made.revision}:{path}") == b"data"
    assert made.is_by(BOT)
