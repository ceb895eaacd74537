"""What an `envwatch.yml` says is on the pages: files, labels, wishes, and where a line stands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from web_helpers import DEMO, Stand, ask, commit, fail, publish

from envwatch.model import (
    Ask,
    Composition,
    EnvKey,
    Failure,
    FailureKind,
    Layer,
    Level,
    Message,
    Requirement,
    Wishes,
)

TEXT = "# merged by envwatch.yml from\n#   base.yml\n#   ocean.yml\ndependencies:\n  - tiny\n"
LAYERS = (Layer("base.yml", "dependencies: [tiny]\n"), Layer("ocean.yml", "dependencies: []\n"))
WISHES = Wishes(
    labels=(("cost", "7 %"), ("team", "ocean")),
    kernel="Ocean (2026)",
    keep_last=10,
    keep_days=90,
    update="@weekly",
)
NOTE = Message(Level.NOTE, "`tiny` stands in for `tiny=1` of base.yml:1", "ocean.yml", 4, 3)
FAILURE = Failure(
    "SolveError", FailureKind.STALLED, "no such package", line=1, column=16, path="base.yml"
)


def layered(key: EnvKey = DEMO) -> Ask:
    virtual = Requirement("__cuda=12.0", platforms=("linux-64",))
    return replace(
        ask(key, "l1", TEXT),
        path="envwatch.yml",
        composition=Composition(LAYERS, virtual_packages=(virtual,)),
        wishes=WISHES,
        messages=(NOTE,),
    )


@pytest.fixture
def page(empty: Stand) -> str:
    commit(empty.catalog, layered())
    publish(empty.catalog)
    return empty.text("/analyst/demo/")


@pytest.mark.parametrize(
    "text",
    [
        '<h2 id="spec">Spec, merged from 2 files</h2>',
        "<code>base.yml</code>, <code>ocean.yml</code>",
        ">team=ocean</a>",
        '"/?label=cost%3D7+%25"',
        "analyst-demo</code>, Ocean (2026)",
        "to be kept 10 generations and 90 days, updates @weekly",
        "the solver to believe in __cuda=12.0 (linux-64)",
    ],
)
def test_the_page_says_what_the_repository_says(page: str, text: str) -> None:
    assert text in page


def test_a_remark_about_a_layer_stands_below_the_merged_file(page: str) -> None:
    spec = page.partition('aria-label="environment file"')[2]
    inside, _, below = spec.partition("</ol>")
    assert "ocean.yml:4:3" not in inside
    assert "ocean.yml:4:3" in below


def test_the_twin_has_the_same(empty: Stand) -> None:
    commit(empty.catalog, layered())
    twin = json.loads(empty.text("/analyst/demo/index.json"))
    assert twin["layers"] == ["base.yml", "ocean.yml"]
    assert twin["row"]["labels"] == [["cost", "7 %"], ["team", "ocean"]]
    assert twin["record"]["wishes"]["update"] == "@weekly"


def test_a_failure_names_the_layer_and_marks_no_line_of_the_merged_file(empty: Stand) -> None:
    commit(empty.catalog, layered())
    build = fail(empty.catalog, FAILURE)
    for path in ("/analyst/demo/", f"/analyst/demo/builds/{build.id}"):
        text = empty.text(path)
        assert '<span class="place">base.yml:1:16</span>' in text
        assert 'class="fault"' not in text
    assert ">base.yml:1</a>" in empty.text("/")


@pytest.mark.parametrize(
    ("label", "found"), [("team=ocean", True), ("team", True), ("cost=7 %", True), ("x", False)]
)
def test_the_list_is_filtered_by_label(empty: Stand, label: str, found: bool) -> None:
    commit(empty.catalog, layered(), ask(EnvKey("analyst", "other"), "o1"))
    answer = empty.client.get("/", query_string={"label": label})
    assert ("/analyst/demo/" in answer.text) is found
    assert "/analyst/other/" not in answer.text
    assert f"with the label <q>{label}</q>" in answer.text


def test_a_page_without_an_envwatch_yml_is_as_it_was(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d1"))
    text = empty.text("/analyst/demo/")
    assert '<h2 id="spec">Spec as committed</h2>' in text
    assert "The repository asks for" not in text
    assert 'class="labels"' not in text
