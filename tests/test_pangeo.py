"""The tree of pangeo's images: what each file becomes, and that their own locks count.

A small file of the outcomes lies in `data/pangeo`; the tree itself is a real one, and not ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_helpers import cli
from needs import lack
from repos import make_repo

from envwatch import layers, lockfile
from envwatch.git.mirrors import Mirrors
from envwatch.model import Ask, Composition, Layer, Plan, Snapshot, SourceFile
from envwatch.plan import Rules, make_plan
from envwatch.settings import NamespaceSettings, Network, SourceKind, SourceSettings
from envwatch.sources import open_source

DATA = Path(__file__).parent / "data/pangeo"
TREE = Path(__file__).parents[2] / "shared/corpus/envs/sidecars/pangeo-tree"
SAID = (DATA / "envwatch.yml").read_text()


def tree() -> dict[str, bytes]:
    if not TREE.is_dir():
        lack("the corpus is not there")
    return {str(f.relative_to(TREE)): f.read_bytes() for f in TREE.rglob("*") if f.is_file()}


def plan(said: str = SAID) -> Plan:
    files = {**tree(), **({"envwatch.yml": said.encode()} if said else {})}
    yaml = {path: data for path, data in files.items() if path.endswith(".yml")}
    listed = tuple(SourceFile(path, path, data) for path, data in sorted(yaml.items()))
    rules = Rules(NamespaceSettings("pangeo"), Network(), ("linux-64",))
    return make_plan(Snapshot("pangeo", "r1", listed), (), rules)


def outcomes(made: Plan) -> Iterator[str]:
    """One line for each file, and what is said of it."""
    for file in made.files:
        yield "\t".join([file.path, file.state, str(file.key or "-")])
        yield from (f"\t{m}" for m in file.messages)


@pytest.mark.parametrize(("said", "name"), [(SAID, "with"), ("", "without")])
def test_every_file_becomes_what_is_written_down(said: str, name: str) -> None:
    found = "".join(f"{line}\n" for line in outcomes(plan(said)))
    assert found == (DATA / f"{name}.txt").read_text()


ASKED = {a.key.name: a for a in plan().build} if TREE.is_dir() else {}


@pytest.mark.parametrize("name", ["base", "pangeo", "ml", "pytorch"])
def test_the_locks_that_pangeo_commits_count(name: str) -> None:
    ask = _ask(f"{name}-notebook")
    assert lockfile.matches(ask.lock_text, ask.text, "linux-64", ask.composition)


@pytest.mark.parametrize("name", ["pangeo", "ml", "pytorch"])
def test_every_package_that_the_layers_ask_for_is_in_the_lock(name: str) -> None:
    ask = _ask(f"{name}-notebook")
    lock = lockfile.mark_requested(lockfile.read(ask.lock_text), ask.spec)
    requested = {p.name for p in lock.on("linux-64") if p.requested}
    assert len(requested) == len(ask.spec.dependencies)
    assert {"python", "pangeo-notebook", "xarray"} <= requested


def test_a_lock_of_pangeo_is_stale_where_a_layer_asks_for_more() -> None:
    ask = _ask("ml-notebook")
    first, second, third = ask.composition.layers
    more = Layer("p.yml", second.text.replace("- zarr>=3.0.8", "- zarr>=99"))
    changed = Composition((first, more, third))
    spec = layers.read("", "envwatch.yml", changed)
    assert spec is not None
    message = lockfile.stale(ask.lock_text, "", spec, "linux-64", changed)
    assert message.path == "p.yml"
    assert "it has `zarr` 3" in message.text


def test_check_finds_nothing_wrong(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    repo.commit({**tree(), "envwatch.yml": SAID})
    told = cli("check", repo.path)
    assert (told.code, told.out) == (0, "")
    assert cli("check", repo.path / "envwatch.yml").code == 0


def test_git_delivers_the_whole_of_it(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    repo.commit({**tree(), "envwatch.yml": SAID})
    settings = SourceSettings(
        "pangeo", SourceKind.GIT, "pangeo", url=repo.url, include=("*/environment.yml",)
    )
    files = {
        f.path
        for f in open_source(settings, mirrors=Mirrors(tmp_path / "mirrors")).snapshot().files
    }
    assert {"envwatch.yml", "ml-notebook/environment.yml", "ml-notebook/conda-lock.yml"} <= files
    assert "ml-notebook/virtual-packages.yml" not in files


def _ask(name: str) -> Ask:
    if name not in ASKED:
        lack("the corpus is not there")
    return ASKED[name]
