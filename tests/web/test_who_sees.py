"""Nothing of a namespace shows to who has no right to it: every address, every kind of visitor."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from inspect import getmembers, isfunction, signature
from pathlib import Path
from types import ModuleType

import pytest
from seeing_helpers import (
    CANARY,
    FOREIGN,
    HUSHED,
    MISSING,
    NEIGHBOURS,
    NEVER,
    NEVER_WAS,
    OTHER,
    OWN,
    PACKAGE,
    RETIRED,
    Cast,
    fill,
    preview_of,
    rules,
)
from web_helpers import ask, commit, stand

from envwatch import web
from envwatch.model import EnvKey, Plan
from envwatch.settings import EVERYWHERE, AccessSettings, Grant, NamespaceSettings, Role
from envwatch.views import environments, lists, pages
from envwatch.views.scope import EVERYTHING, scope_of

OPEN, ENV, SPACE, LIST, SOURCE, ALL, GIT, EDIT, OWN_PAGE, API = range(10)
# What each address tells of. One that is not here fails the test: say who may see it.
MEANING = {
    "/healthz": OPEN,
    "/readyz": OPEN,
    "/<any('style.css', 'script.js', 'favicon.svg'):name>": OPEN,
    "/metrics": ALL,
    "/notifiers": ALL,
    "/notifiers.json": ALL,
    "/": LIST,
    "/index.json": LIST,
    "/builds": LIST,
    "/builds.json": LIST,
    "/sources": LIST,
    "/sources.json": LIST,
    "/use": LIST,
    "/use.json": LIST,
    "/packages": LIST,
    "/packages.json": LIST,
    "/feed.atom": LIST,
    "/<namespace>/feed.atom": SPACE,
    "/source": SOURCE,
    "/source.json": SOURCE,
    "/<namespace>/": SPACE,
    "/<namespace>/index.json": SPACE,
    "/<namespace>/<name>/": ENV,
    "/<namespace>/<name>/index.json": ENV,
    "/<namespace>/<name>/builds/<int:build_id>": ENV,
    "/<namespace>/<name>/builds/<int:build_id>.json": ENV,
    "/<namespace>/<name>/builds/<int:build_id>/log": ENV,
    "/<namespace>/<name>/builds/<int:build_id>/log.txt": ENV,
    "/<namespace>/<name>/<int:generation>/": ENV,
    "/<namespace>/<name>/<int:generation>/<file>": ENV,
    "/<namespace>/<name>/current/<file>": ENV,
    "/<namespace>/<name>/diff/<int:old>..<int:new>": ENV,
    "/<namespace>/<name>/diff/<int:old>..<int:new>.json": ENV,
    "/<namespace>/<name>/diff": ENV,
    "/badge/<namespace>/<name>.svg": ENV,
    "/git/<namespace>.git/info/refs": GIT,
    "/<namespace>/<name>/edit": EDIT,
    "/<namespace>/<name>/manage": EDIT,
    "/new": OWN_PAGE,
    "/access": OWN_PAGE,
    "/find": OWN_PAGE,
    "/audit": OWN_PAGE,
    "/me": OWN_PAGE,
    "/device": OWN_PAGE,
    "/signin": OWN_PAGE,
    "/signin/<provider>": OWN_PAGE,
    "/signin/<provider>/callback": OWN_PAGE,
    "/api/v1/": API,
    "/api/v1/audit/": API,
    "/api/v1/build/": API,
    "/api/v1/build/<int:build_id>/": API,
    "/api/v1/build/<int:build_id>/archive/": API,
    "/api/v1/build/<int:build_id>/conda-lock.yaml": API,
    "/api/v1/build/<int:build_id>/conda-lock.yml": API,
    "/api/v1/build/<int:build_id>/lockfile/": API,
    "/api/v1/build/<int:build_id>/logs/": API,
    "/api/v1/build/<int:build_id>/packages/": API,
    "/api/v1/build/<int:build_id>/yaml/": API,
    "/api/v1/channel/": API,
    "/api/v1/channel/package/": API,
    "/api/v1/docs": API,
    "/api/v1/environment/": API,
    "/api/v1/environment/<namespace>/": API,
    "/api/v1/environment/<namespace>/<name>/": API,
    "/api/v1/environment/<namespace>/<name>/conda-lock.yaml": API,
    "/api/v1/environment/<namespace>/<name>/conda-lock.yml": API,
    "/api/v1/environment/<namespace>/<name>/diff/": API,
    "/api/v1/environment/<namespace>/<name>/file/": API,
    "/api/v1/environment/<namespace>/<name>/generation/": API,
    "/api/v1/environment/<namespace>/<name>/generation/<int:number>/": API,
    "/api/v1/environment/<namespace>/<name>/lockfile/": API,
    "/api/v1/event/": API,
    "/api/v1/grant/": API,
    "/api/v1/namespace/": API,
    "/api/v1/namespace/<namespace>/": API,
    "/api/v1/openapi.json": API,
    "/api/v1/package/": API,
    "/api/v1/permission/": API,
    "/api/v1/setting/": API,
    "/api/v1/setting/<namespace>/": API,
    "/api/v1/setting/<namespace>/<name>/": API,
    "/api/v1/source/": API,
    "/api/v1/source/<name>/": API,
    "/api/v1/source/<name>/revision/": API,
    "/api/v1/source/<name>/revision/<revision>/": API,
    "/api/v1/specification/": API,
    "/api/v1/token/": API,
    "/api/v1/usage/": API,
}
SEE_ONE = ("one", "narrower", "viewer", "developer", "admin", "owner")
SEE_LAB = ("viewer", "developer", "admin", "owner")
SEE_ALL = ("owner",)
EVERYBODY = ("anonymous", "stranger", *SEE_ONE)
STRANGERS = tuple(p for p in EVERYBODY if p != "owner")
METHODS = ("GET", "HEAD")
each_person = pytest.mark.parametrize("who", EVERYBODY)
each_stranger = pytest.mark.parametrize("who", STRANGERS)


@pytest.fixture(scope="module")
def cast(empty_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    """Nothing changes it: it is shared by the tests."""
    root = tmp_path_factory.mktemp("two-teams") / "root"
    shutil.copytree(empty_root, root)
    with stand(root, access=rules()) as made:
        names = ("lab", "canary")
        made.settings = replace(
            made.settings, namespaces=tuple(NamespaceSettings(n) for n in names)
        )
        yield fill(made)


@pytest.fixture
def alone(empty_root: Path, tmp_path: Path) -> Iterator[Cast]:
    """One to be changed."""
    shutil.copytree(empty_root, tmp_path / "root")
    with stand(tmp_path / "root", access=rules()) as made:
        yield fill(made)


def routes(cast: Cast, *meanings: int) -> list[str]:
    found = (r for r in cast.made.app.url_map.iter_rules() if "GET" in (r.methods or ()))
    return [r.rule for r in found if MEANING[r.rule] in meanings]


def address(rule: str, key: EnvKey, build: int) -> str:
    values = {
        "namespace": key.namespace, "name": key.name, "build_id": str(build), "generation": "2",
        "old": "1", "new": "2", "file": "conda-lock.yml", "provider": "oidc", "number": "1",
        "source": "lab", "source_name": "lab", "revision": "0" * 40,
    }  # fmt: skip
    return re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m: values[m[1]], rule)


def names_hidden_from(who: str) -> tuple[str, ...]:
    if who in SEE_ALL:
        return ()
    return (CANARY,) if who in SEE_LAB else (CANARY, HUSHED)


def asked(module: ModuleType, tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The calls of functions that could be narrowed, and how they are called."""
    narrow = {n for n, f in getmembers(module, isfunction) if "scope" in signature(f).parameters}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            of = ast.unparse(call.func.value)
            if call.func.attr in narrow and of in ("views", "lists", "environments", "previews"):
                yield call.func.attr, ast.unparse(call)


# ---------------------------------------------------------------- the matrix


@pytest.mark.parametrize("module", [environments, lists, pages], ids=lambda m: m.__name__)
def test_no_question_of_the_web_forgets_who_asks(module: ModuleType) -> None:
    trees = [ast.parse(p.read_text()) for p in Path(web.__file__).parent.glob("*.py")]
    found = [call for tree in trees for call in asked(module, tree)]
    assert found
    assert [text for _, text in found if "scope()" not in text] == []


def test_it_is_said_of_each_address_who_sees_it(cast: Cast) -> None:
    rules = {r.rule for r in cast.made.app.url_map.iter_rules() if "GET" in (r.methods or ())}
    assert rules == set(MEANING)


@each_person
def test_edits_are_for_developers_and_hidden_from_who_sees_nothing(cast: Cast, who: str) -> None:
    for rule in routes(cast, EDIT):
        own, foreign = (cast.get(who, address(rule, k, 0)).status_code for k in (OWN, FOREIGN))
        if who not in SEE_ALL:
            assert foreign == 404, rule
        if who in SEE_ONE:
            # without a daemon behind the page nothing can be read of the file
            assert own in ((200, 409) if who in ("developer", "admin") else (200, 403, 409)), rule
        else:
            assert own == 404, rule


@each_person
def test_own_pages_and_the_api_name_nothing_that_is_not_seen(cast: Cast, who: str) -> None:
    for rule in routes(cast, OWN_PAGE, API):
        for key in (OWN, OTHER, FOREIGN):
            found = cast.get(who, address(rule, key, cast.builds[key]))
            assert found.status_code < 500, rule
            asked_for = {n for n in (CANARY, HUSHED) if n in address(rule, key, 0)}
            text = found.text.lower()
            assert not [n for n in names_hidden_from(who) if n in text and n not in asked_for], rule
            if who not in SEE_ALL and key == FOREIGN and "_" in rule:
                assert found.status_code in (401, 404), (rule, found.text)


@each_person
@pytest.mark.parametrize("method", METHODS)
def test_an_environment_is_there_for_who_may_see_it(cast: Cast, who: str, method: str) -> None:
    for rule in routes(cast, ENV):
        for key, seen_by in ((OWN, SEE_ONE), (OTHER, SEE_LAB), (FOREIGN, SEE_ALL)):
            path = address(rule, key, cast.builds[key])
            found = cast.get(who, path, method).status_code
            assert found in ((200, 302) if who in seen_by else (404,)), (path, found)


@each_person
@pytest.mark.parametrize("method", METHODS)
def test_a_namespace_is_there_for_who_may_see_of_it(cast: Cast, who: str, method: str) -> None:
    for rule in routes(cast, SPACE):
        for key, seen_by in ((OWN, SEE_ONE), (FOREIGN, SEE_ALL)):
            found = cast.get(who, address(rule, key, 0), method).status_code
            assert found == (200 if who in seen_by else 404), (rule, found)


@each_person
@pytest.mark.parametrize("method", METHODS)
def test_a_source_is_there_for_who_sees_its_whole_namespace(
    cast: Cast, who: str, method: str
) -> None:
    for rule in routes(cast, SOURCE):
        for name, seen_by in (("lab", SEE_LAB), ("canary-source", SEE_ALL)):
            found = cast.get(who, f"{rule}?name={name}", method).status_code
            assert found == (200 if who in seen_by else 404), (rule, name, found)


@each_person
@pytest.mark.parametrize("method", METHODS)
def test_what_tells_of_everything_is_for_who_sees_everything(
    cast: Cast, who: str, method: str
) -> None:
    for rule in routes(cast, ALL):
        found = cast.get(who, rule, method).status_code
        assert found == (200 if who in SEE_ALL else 404), (rule, found)


@each_person
@pytest.mark.parametrize("method", METHODS)
def test_health_and_assets_are_for_everybody(cast: Cast, who: str, method: str) -> None:
    for rule in routes(cast, OPEN):
        path = "/style.css" if "<" in rule else rule
        assert cast.get(who, path, method).status_code == 200


@each_person
def test_git_is_refused_alike_for_what_is_there_and_what_is_not(cast: Cast, who: str) -> None:
    (rule,) = routes(cast, GIT)
    query = "?service=git-upload-pack"
    foreign, missing = (
        cast.without_name(who, address(rule, key, 0) + query, key.namespace)
        for key in (FOREIGN, MISSING)
    )
    assert foreign == missing


@each_person
def test_lists_name_nothing_that_is_not_seen(cast: Cast, who: str) -> None:
    queries = ("", "?retired=yes", "?state=queued", "?page=2", "?name=python", "?label=team")
    paths = [address(r, OWN, 0) + q for r in routes(cast, LIST) for q in queries]
    paths += [address(r, OWN, 0) for r in routes(cast, SPACE)]
    paths += [address(r, OWN, cast.builds[OWN]) for r in routes(cast, ENV)]
    paths += [f"{r}?name=lab" for r in routes(cast, SOURCE)]
    for path in paths:
        text = cast.get(who, path).text.lower()
        assert not [n for n in names_hidden_from(who) if n in text], path


# ---------------------------------------------------------------- as if it were not there


@each_stranger
@pytest.mark.parametrize("method", METHODS)
def test_what_is_foreign_answers_as_what_is_missing(cast: Cast, who: str, method: str) -> None:
    build = cast.builds[FOREIGN]
    for rule in routes(cast, ENV, SPACE, LIST):
        foreign, missing = (
            cast.without_name(who, address(rule, key, build), key.namespace, method)
            for key in (FOREIGN, MISSING)
        )
        assert foreign == missing, rule


@each_stranger
def test_a_retired_one_answers_as_one_that_never_was(cast: Cast, who: str) -> None:
    build = cast.builds[RETIRED]
    for rule in routes(cast, ENV):
        retired, never = (
            cast.without_name(who, address(rule, key, build), key.name)
            for key in (RETIRED, NEVER_WAS)
        )
        assert retired == never, rule


@pytest.mark.parametrize("who", ["one", "narrower"])
def test_within_a_namespace_too(cast: Cast, who: str) -> None:
    build = cast.builds[OTHER]
    for rule in routes(cast, ENV):
        hidden, missing = (
            cast.without_name(who, address(rule, EnvKey("lab", name), build), name)
            for name in (OTHER.name, "absent")
        )
        assert hidden == missing, rule


@each_person
def test_a_build_of_another_answers_as_one_that_never_was(cast: Cast, who: str) -> None:
    for rule in (r for r in routes(cast, ENV) if "build_id" in r):
        foreign, never = (
            re.sub(
                rf"(build (?:`|<code>)){n}\b",
                "",
                cast.without_name(who, address(rule, OWN, n), "-"),
            )
            for n in (cast.builds[FOREIGN], NEVER)
        )
        assert foreign == never, rule


@each_stranger
def test_a_source_and_a_package_answer_as_if_they_were_not(cast: Cast, who: str) -> None:
    for rule in ("/source", "/source.json"):
        foreign, missing = (
            cast.without_name(who, f"{rule}?name={n}", n) for n in ("canary-source", "absent")
        )
        assert foreign == missing, rule
    for rule in ("/packages", "/packages.json"):
        for asked in ("name", "q"):
            foreign, missing = (
                cast.without_name(who, f"{rule}?{asked}={n}", n) for n in (PACKAGE, "absent")
            )
            assert foreign == missing, (rule, asked)


@each_stranger
def test_a_search_finds_no_more_than_one_for_nothing(cast: Cast, who: str) -> None:
    for query in ("?q=", "?retired=yes&q=", "?label="):
        foreign, missing = (cast.without_name(who, f"/{query}{n}", n) for n in (CANARY, "absent"))
        assert foreign == missing, query


@each_stranger
def test_builds_of_a_foreign_namespace_are_none(cast: Cast, who: str) -> None:
    foreign, missing = (
        cast.without_name(who, f"/builds.json?namespace={n}", n) for n in (CANARY, "absent")
    )
    assert foreign == missing


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("who", "environments"),
    [("anonymous", 0), ("one", 1), ("narrower", 1), ("viewer", 2), ("owner", 6)],
)
def test_what_is_not_seen_is_not_counted(cast: Cast, who: str, environments: int) -> None:
    listing = cast.get(who, "/index.json").json
    assert listing["total"] == environments
    counts = listing["counts"]
    shown = sum(counts[s] for s in ("building", "failed", "ready", "missing", "solved"))
    assert shown == environments


@pytest.mark.parametrize(
    ("who", "counts", "sources"),
    [
        ("anonymous", "0 building, 0 failed, 0 ready", "0 sources"),
        ("one", "1 building, 0 failed, 0 ready", "0 sources"),
        ("viewer", "1 building, 0 failed, 1 ready", "1 source"),
        ("owner", "2 building, 0 failed, 4 ready", "2 sources"),
    ],
)
def test_the_frame_of_a_page_counts_what_is_seen(
    cast: Cast, who: str, counts: str, sources: str
) -> None:
    text = cast.get(who, "/packages").text
    assert f">{counts}<" in text
    assert f">{sources}<" in text


def test_who_is_told_is_for_who_sees_everything(cast: Cast) -> None:
    seen = {who for who in EVERYBODY if "none in trouble" in cast.get(who, "/sources").text}
    assert seen == set(SEE_ALL)


def test_a_build_waits_for_those_only_that_are_seen(cast: Cast) -> None:
    waiting = cast.get("viewer", "/builds.json?state=queued").json["builds"]
    (build,) = (b["build"]["id"] for b in waiting)
    places = {w: cast.get(w, f"/lab/demo/builds/{build}.json").json["place"] for w in SEE_LAB}
    assert places == {"viewer": 1, "developer": 1, "admin": 1, "owner": 2}


def test_the_store_is_measured_for_who_sees_everything(cast: Cast) -> None:
    seen = {who: "<span>store " in cast.get(who, "/").text for who in EVERYBODY}
    assert {who for who, it in seen.items() if it} == set(SEE_ALL)


@pytest.mark.parametrize("key", NEIGHBOURS, ids=str)
def test_a_name_that_is_nearly_the_same_is_another(cast: Cast, key: EnvKey) -> None:
    assert cast.get("admin", f"/{key}/").status_code == 404
    assert cast.get("admin", f"/{key.namespace}/").status_code == 404
    assert cast.get("owner", f"/{key}/").status_code == 200


# ---------------------------------------------------------------- one after the other


def test_no_answer_is_remembered_for_somebody_else(alone: Cast) -> None:
    paths = [address(r, FOREIGN, alone.builds[FOREIGN]) for r in routes(alone, ENV, SPACE, LIST)]
    for path in paths:
        before = alone.without_name("viewer", path, "-")
        alone.get("owner", path)
        assert alone.without_name("viewer", path, "-") == before, path


def test_a_right_that_is_taken_away_is_gone_at_once(alone: Cast) -> None:
    assert alone.get("viewer", "/lab/demo/").status_code == 200
    alone.made.settings = replace(alone.made.settings, access=AccessSettings())
    assert alone.get("viewer", "/lab/demo/").status_code == 404
    assert alone.get("viewer", "/index.json").json["total"] == 0


def test_caches_keep_what_is_for_one_person_apart(cast: Cast) -> None:
    for path in ("/", "/lab/demo/", "/lab/demo/2/conda-lock.yml", "/lab/demo/builds/1/log.txt"):
        answer = cast.get("owner", path)
        kept = "no-store" if path.endswith("log.txt") else "private, "
        assert answer.headers["Cache-Control"].startswith(kept), path
        assert {"Cookie", "Authorization"} <= set(answer.vary), path
    assert "private" not in cast.get("anonymous", "/").headers["Cache-Control"]


def test_a_wrong_token_is_told_so(cast: Cast) -> None:
    headers = {"Authorization": "Bearer wrong"}
    page, data = (cast.made.client.get(p, headers=headers) for p in ("/", "/index.json"))
    assert (page.status_code, data.status_code) == (401, 401)
    assert "WWW-Authenticate" not in page.headers
    assert data.headers["WWW-Authenticate"].startswith("Bearer")


def test_who_is_not_signed_in_is_told_to(cast: Cast) -> None:
    assert "sign in to see" in cast.get("anonymous", "/lab/demo/").text
    assert "sign in to see" not in cast.get("stranger", "/lab/demo/").text


# ---------------------------------------------------------------- previews, patterns


def test_a_preview_is_seen_by_who_sees_its_target(alone: Cast) -> None:
    preview = preview_of(OTHER, "demo-pr-7")
    commit(alone.made.catalog, preview, source="lab")
    seen = {who: alone.get(who, "/lab/demo-pr-7/").status_code for who in EVERYBODY}
    assert {who for who, status in seen.items() if status == 200} == set(SEE_LAB)
    hidden, missing = (
        alone.without_name("one", f"/lab/{n}/", n) for n in ("demo-pr-7", "demo-absent")
    )
    assert hidden == missing


def test_the_api_hides_a_preview_whose_target_is_not_seen(alone: Cast) -> None:
    commit(alone.made.catalog, preview_of(OTHER, "demo-pr-7"), source="lab")
    env = alone.made.catalog.generations.environment(EnvKey("lab", "demo-pr-7"))
    (build,) = alone.made.catalog.builds.of(env.id, limit=1)
    for path in ("/environment/lab/demo-pr-7/", f"/build/{build.id}/", f"/build/{build.id}/logs/"):
        found = {who: alone.get(who, f"/api/v1{path}").status_code for who in SEE_ONE}
        assert {who for who, it in found.items() if it == 404} == {"one", "narrower"} | (
            set(SEE_ONE) if path.endswith("logs/") else set()
        )


def test_the_api_lists_sources_as_the_pages_do(cast: Cast) -> None:
    for who in EVERYBODY:
        listed = cast.get(who, "/api/v1/source/").json["data"]
        shown = cast.get(who, "/sources.json").json
        assert {s["name"] for s in listed} == {s["record"]["name"] for s in shown}, who


def test_builds_that_a_source_once_had_elsewhere_are_hidden(alone: Cast) -> None:
    """What it made in a namespace that it fills no more is nothing of who sees the new one."""
    catalog = alone.made.catalog
    commit(catalog, ask(EnvKey(CANARY, "formerly"), "gone"), source="lab")
    revision = catalog.sources.get("lab").revision
    catalog.sources.apply(
        Plan("lab", "f" * 40, None, retire=(EnvKey(CANARY, "formerly"),)),
        fingerprint="f",
        rules="r",
    )
    for who, builds in (("viewer", 0), ("owner", 1)):
        path = f"/api/v1/source/lab/revision/{revision}/"
        assert len(alone.get(who, path).json["data"]["builds"]) == builds, who
        assert ("formerly" in alone.get(who, "/source?name=lab").text) is bool(builds), who


def test_a_pattern_of_any_namespace_tells_of_none(alone: Cast) -> None:
    alone.made.catalog.bindings.grant(Grant("*/de*", Role.VIEWER), user="stranger", by="x")
    alone.tokens["stranger"] = alone.made.catalog.tokens.create(
        "wide", ("*/*",), role=Role.ADMIN, owner="stranger"
    ).secret
    named = alone.get("stranger", "/api/v1/namespace/").json["data"]
    assert [n["name"] for n in named] == ["lab"]
    assert alone.get("stranger", "/api/v1/namespace/canary/").status_code == 404
    assert alone.get("one", "/api/v1/namespace/").json["count"] == 1


def test_previews_that_are_not_seen_are_not_listed_with_their_target(alone: Cast) -> None:
    commit(alone.made.catalog, preview_of(OWN, "hushed-pr-7"), source="lab")
    pages = {who: alone.get(who, "/lab/demo/index.json").json for who in SEE_ONE}
    seen = {who for who, page in pages.items() if page["previews"]}
    assert seen == set(SEE_LAB)


def test_an_open_place_pays_nothing() -> None:
    assert scope_of((Grant(EVERYWHERE, Role.VIEWER), Grant("a/*", Role.ADMIN))) == EVERYTHING
    assert EVERYTHING.where() == []


def test_who_is_not_signed_in_sees_what_is_public(alone: Cast) -> None:
    public = AccessSettings(anonymous=(Grant("lab/*", Role.VIEWER),))
    alone.made.settings = replace(alone.made.settings, access=public)
    assert alone.get("anonymous", "/index.json").json["total"] == 2
    assert alone.get("anonymous", "/canary/secret/").status_code == 404
