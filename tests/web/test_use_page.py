"""The page for those who use environments: their paths, their policies, their next steps."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from flask.testing import FlaskClient
from web_helpers import (
    DASK,
    DEMO,
    HELD,
    Stand,
    ask,
    claim,
    commit,
    fill,
    packages,
    publish,
    result,
    stand,
)

from envwatch.access import Identity
from envwatch.kernels import kernel_names
from envwatch.model import EnvKey, Kernel
from envwatch.settings import (
    AccessSettings,
    Binding,
    Grant,
    NamespaceSettings,
    PackageRules,
    Role,
    SourceKind,
    SourceSettings,
)

SESSION = "__Host-envwatch_session"
VIEWER, DEVELOPER, _ = Role
RULES = PackageRules(("python",), ("ipykernel",), ("distributed=2024.1", "numpy<2", "dask=2024.1"))
SOURCES = tuple(
    SourceSettings(name, SourceKind.MANAGED, namespace, url="x", branch="main")
    for name, namespace in (("ada", "ada"), ("team", "analyst"), ("secret", "secret"))
)
ACCESS = AccessSettings(
    bindings=(
        Binding(Grant("analyst/*", DEVELOPER), users=("ada",)),
        Binding(Grant("analyst/demo", VIEWER), users=("bob",)),
    )
)


@pytest.fixture
def made(empty_root: Path, tmp_path: Path) -> Iterator[Stand]:
    shutil.copytree(empty_root, tmp_path / "root")
    spaces = (NamespaceSettings("analyst", packages=RULES), NamespaceSettings("secret"))
    more = {"sources": SOURCES, "namespaces": spaces, "access": ACCESS}
    with stand(tmp_path / "root", **more) as made:
        fill(made)
        yield made


def client(made: Stand, name: str) -> FlaskClient:
    made.catalog.people.seen(Identity(name), "oidc")
    found = made.app.test_client()
    found.set_cookie(SESSION, made.catalog.people.open_session(name, 600))
    return found


def page(made: Stand, name: str, query: str = "") -> str:
    answer = client(made, name).get(f"/use{query}")
    assert answer.status_code == 200
    return answer.text


def text(shown: str, name: str) -> str:
    found = re.search(rf'id="t-{name}"[^>]*><code>(.*?)</code>', shown, re.DOTALL)
    assert found, name
    return html.unescape(found[1])


def words(shown: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def test_it_names_the_namespaces_that_somebody_sees(made: Stand) -> None:
    for name, spaces in (("ada", ("ada", "analyst")), ("bob", ("analyst",))):
        said = yaml.safe_load(text(page(made, name), "condarc"))
        folders = [str(made.root / "envs" / s) for s in spaces]
        assert said["envs_dirs"] == ["~/.conda/envs", *folders]
        assert "secret" not in page(made, name)


def test_it_is_for_one_environment_which_can_be_chosen(made: Stand) -> None:
    assert text(page(made, "ada"), "conda") == "conda activate analyst-broken"
    chosen = page(made, "ada", f"?environment={HELD}")
    assert text(chosen, "conda") == f"conda activate {HELD.label}"
    assert f"<option selected>{HELD}</option>" in chosen
    assert text(page(made, "bob"), "conda") == f"conda activate {DEMO.label}"


def test_one_of_their_own_comes_first(made: Stand) -> None:
    mine = EnvKey("bob", "zebra")
    commit(made.catalog, ask(mine, "z"))
    for _ in range(2):  # another one waits before it
        publish(made.catalog)
    assert text(page(made, "bob"), "conda") == f"conda activate {mine.label}"


def test_what_is_not_seen_is_as_what_is_not_there(made: Stand) -> None:
    foreign, missing = (page(made, "bob", f"?environment={k}") for k in (DASK, "global/none"))
    for sign in ("/", "%2F"):
        foreign = foreign.replace(f"global{sign}dask", f"global{sign}none")
    assert foreign == missing
    assert text(foreign, "conda") == f"conda activate {DEMO.label}"


def test_policies_are_told_to_whom_they_affect(made: Stand) -> None:
    said = words(page(made, "bob"))
    assert "analyst python ipykernel distributed=2024.1 , numpy<2 , dask=2024.1" in said
    assert "it is held to dask=2024.1 , distributed=2024.1" in said
    assert "dask=2024.1" not in page(made, "eve")


def test_a_developer_is_led_to_the_file_and_a_viewer_to_who_can(made: Stand) -> None:
    query = f"?environment={DEMO}"
    assert 'href="/analyst/demo/edit"' in page(made, "ada", query)
    told = words(page(made, "bob", query))
    assert "commit it to analyst/demo.yml of team , or ask a developer of analyst" in told


def test_repositories_are_those_that_one_may_push_to(made: Stand) -> None:
    lines = text(page(made, "ada"), "clone").splitlines()
    assert lines == [f"git clone https://env.example.org/git/{n}.git" for n in ("ada", "analyst")]
    assert 'id="t-clone"' not in page(made, "bob")


def test_a_file_that_not_everybody_sees_takes_a_token(made: Stand) -> None:
    line = text(page(made, "ada"), "download")
    assert "Bearer $ENVWATCH_TOKEN" in line
    made.settings = replace(
        made.settings, access=replace(ACCESS, anonymous=(Grant("*/*", VIEWER),))
    )
    url = f"https://env.example.org/{DEMO}/current/conda-lock.yml"
    shown = made.text(f"/use?environment={DEMO}")
    assert text(shown, "download") == f"curl -fsSO {url}"


def test_who_sees_nothing_is_told_so_and_how_to_go_on(made: Stand) -> None:
    told = words(made.text("/use"))
    assert "Nothing is published yet that you may see" in told
    assert "Sign in , and it names what is yours as well" in told
    assert "export PYTHONNOUSERSITE=1" in told


def test_an_environment_without_python_shows_none(made: Stand) -> None:
    tool = EnvKey("ada", "tool")
    commit(made.catalog, ask(tool, "t"))
    for build in (claim(made.catalog), claim(made.catalog)):
        bare = replace(result(build, packages(6)), python="", kernels=())
        made.catalog.generations.publish(build, bare)
    shown = page(made, "ada")
    assert text(shown, "shell").endswith(f"/{tool.label} bash")
    assert 'id="t-python"' not in shown
    assert 'id="t-venv"' not in shown
    assert "its file must name a kernel" in words(shown)


def test_kernels_are_named_as_jupyter_shows_them(made: Stand) -> None:
    assert "analyst/demo is there as analyst-demo" in words(page(made, "bob"))
    two = (Kernel("ir", "R", "r"), Kernel("python3", "Python 3", "python"))
    assert kernel_names(DEMO, two) == ("analyst-demo--ir", "analyst-demo--python3")


def test_the_twin_has_the_same_texts(made: Stand) -> None:
    shown, twin = page(made, "ada"), client(made, "ada").get("/use.json").json
    named = re.findall(r'id="t-([a-z-]+)"', shown)
    assert {n.replace("-", "_") for n in named} == set(twin["texts"])
    assert [s["name"] for s in twin["spaces"]] == ["ada", "analyst"]
    assert all(text(shown, n) == twin["texts"][n.replace("-", "_")].rstrip() for n in named)
