"""The pages: what each says at first glance, its JSON twin, its address, its paging."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from web_helpers import (
    DASK,
    DEMO,
    FRESH,
    HELD,
    INVALID,
    NO_NUMPYY,
    SPEC_TEXT,
    Stand,
    ask,
    claim,
    commit,
    fail,
    packages,
    publish,
    result,
)

from envwatch.model import RUNNING, Commit, EnvKey, FileOutcome, FileState, Plan
from envwatch.settings import SourceKind, SourceSettings
from envwatch.web.cache import EACH, Answer, Cache

DOCS = Path(__file__).parents[2] / "docs" / "http.md"
PAGES = (
    "/",
    "/analyst/",
    "/analyst/demo/",
    "/analyst/demo/builds/4",
    "/analyst/demo/builds/3",
    "/analyst/demo/diff/1..3",
    "/builds",
    "/sources",
    "/source?name=team",
    "/packages",
    "/packages?name=pandas",
    "/use?environment=analyst/demo",
    "/notifiers",
)


def words(html: str) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def row(html: str, key: EnvKey) -> str:
    """The rows of one environment in a list."""
    found = re.findall(r"<tbody.*?</tbody>", html, re.DOTALL)
    return next(words(t) for t in found if f'href="/{key}/"' in t)


# ---------------------------------------------------------------- home


def test_a_failed_build_does_not_hide_what_is_serving(filled: Stand) -> None:
    assert "#3 serving, build #4 failed" in row(filled.text("/"), DEMO)


def test_a_failure_is_told_with_file_line_and_remedy(filled: Stand) -> None:
    text = row(filled.text("/"), DEMO)
    assert "analyst/demo.yml:8" in text
    assert "no candidates were found" in text
    assert "did you mean numpy" in text


def test_git_and_environment_have_states_of_their_own(filled: Stand) -> None:
    text = row(filled.text("/"), INVALID)
    assert "invalid ready #1 serving" in text


def test_a_held_environment_says_what_waits(filled: Stand) -> None:
    assert "held at #1, #2 ready" in row(filled.text("/"), HELD)


def test_what_needs_attention_comes_first(filled: Stand) -> None:
    html = filled.text("/")
    order = re.findall(r'<th scope="row"><a href="/([^"]+)/"', html)
    assert {*order[:2]} == {str(DEMO), str(INVALID)}
    assert "2 environments need attention" in words(html)


def test_every_environment_is_counted_once(filled: Stand) -> None:
    listing = json.loads(filled.text("/index.json"))
    counts = listing["counts"]
    states = ("building", "failed", "ready", "missing")
    assert sum(counts[s] for s in states) == listing["total"] == len(listing["rows"])
    assert (counts["building"], counts["queued"], counts["attention"]) == (2, 1, 2)


def test_the_list_is_filtered_by_state(filled: Stand) -> None:
    rows = json.loads(filled.text("/index.json?state=failed"))["rows"]
    assert [r["key"]["name"] for r in rows] == ["demo"]


def test_the_search_finds_words_of_the_description(filled: Stand) -> None:
    rows = json.loads(filled.text("/index.json?q=weekly+plots"))["rows"]
    assert [r["key"]["name"] for r in rows] == ["demo"]


def test_a_sign_of_the_database_in_a_search_is_a_letter(filled: Stand) -> None:
    assert json.loads(filled.text("/index.json?q=%25"))["total"] == 0


def test_every_row_is_reached_by_paging(empty: Stand) -> None:
    for i in range(120):
        commit(empty.catalog, ask(EnvKey("many", f"env-{i:03}"), f"m{i}"))
    seen: list[str] = []
    url: str | None = "/many/"
    while url:
        html = empty.text(url)
        seen += re.findall(r'<th scope="row"><a href="/many/([^"]+)/"', html)
        found = re.search(r'rel="next" href="([^"]+)"', html)
        url = found[1].replace("&amp;", "&") if found else None
    assert sorted(seen) == [f"env-{i:03}" for i in range(120)]


def test_a_page_that_does_not_exist_is_the_last(filled: Stand) -> None:
    assert json.loads(filled.text("/index.json?page=99"))["page"] == 1


def test_a_retired_environment_is_listed_only_when_asked_for(filled: Stand) -> None:
    assert "old-thing" not in filled.text("/")
    assert "old-thing" in filled.text("/?retired=yes")


def test_a_retired_environment_keeps_its_page_and_history(filled: Stand) -> None:
    text = words(filled.text("/analyst/old-thing/"))
    assert "Retired" in text
    assert "retired, #1 is kept" in text
    assert "#1 serving" not in text
    assert "published" in text


def test_an_empty_catalog_says_what_to_do(empty: Stand) -> None:
    assert "Commit an environment.yml" in words(empty.text("/"))


def test_a_namespace_that_nobody_made_is_not_found(filled: Stand) -> None:
    filled.text("/nobody/", 404)


# ---------------------------------------------------------------- environment and build


def test_the_page_of_an_environment_says_how_to_use_it(filled: Stand) -> None:
    text = words(filled.text("/analyst/demo/"))
    assert "conda activate analyst-demo" in text
    assert f"{filled.root}/envs/analyst/analyst-demo" in text
    assert "micromamba create" in text
    assert "https://env.example.org/analyst/demo/3/conda-lock.yml" in text


def test_an_environment_without_a_kernel_says_what_is_missing(empty: Stand) -> None:
    commit(empty.catalog, ask(DASK, "k"))
    build = claim(empty.catalog)
    bare = replace(result(build, packages(6)), kernels=())
    empty.catalog.generations.publish(build, bare)
    assert "not visible in Jupyter: add ipykernel" in words(empty.text("/global/dask/"))


def test_builds_say_what_changed_and_by_whom(filled: Stand) -> None:
    text = words(filled.text("/analyst/demo/"))
    assert "pandas 2.1.4 → 2.2.0" in text
    assert "need pandas 2.2 by Ada Example" in text


def test_older_builds_are_reached_by_paging(empty: Stand) -> None:
    for i in range(25):
        commit(empty.catalog, ask(DEMO, f"d{i}"))
        fail(empty.catalog, NO_NUMPYY)
    assert '/builds/1"' not in empty.text("/analyst/demo/")
    assert '/builds/1"' in empty.text("/analyst/demo/?page=2")


def test_the_charts_say_in_words_what_they_show(filled: Stand) -> None:
    html = filled.text("/analyst/demo/")
    assert re.search(r'role="img" aria-label="time: 3 builds took [^"]+, 1 failed"', html)
    assert 'aria-label="size: from ' in html


def test_the_error_of_a_build_stands_above_its_log(filled: Stand) -> None:
    text = words(filled.text("/analyst/demo/builds/4"))
    assert text.index("no candidates were found") < text.index("nothing provides numpyy")


def test_the_line_at_fault_is_marked_in_the_spec(filled: Stand) -> None:
    html = filled.text("/analyst/demo/builds/4")
    assert 'href="#L8"' in html
    assert re.search(r'<li id="L8" class="fault"><code>  - numpyy</code>', html)


def test_a_line_of_an_older_text_is_not_marked_in_a_newer_one(filled: Stand) -> None:
    assert 'class="fault"' in filled.text("/analyst/demo/")
    commit(filled.catalog, touch=(ask(DEMO, "d9", "# a comment\n" + SPEC_TEXT),))
    html = filled.text("/analyst/demo/")
    assert 'class="fault"' not in html
    assert 'href="/analyst/demo/builds/4#L8"' in html


def test_the_phases_of_a_build_have_their_seconds(filled: Stand) -> None:
    text = words(filled.text("/analyst/demo/builds/3"))
    assert "solving 4.2 s" in text
    assert "downloading 0:21" in text


def test_a_running_build_says_how_far_it_is(filled: Stand) -> None:
    running = filled.catalog.builds.in_state(*RUNNING)[0]
    text = words(filled.text(f"/ml/torch/builds/{running.id}"))
    assert "31 of 73" in text


def test_a_queued_build_says_its_place_in_the_queue(filled: Stand) -> None:
    queued = filled.catalog.generations.environment(FRESH)
    build = filled.catalog.builds.of(queued.id)[0]
    assert "waits as number 1 in the queue" in words(filled.text(f"/ml/fresh/builds/{build.id}"))


def test_a_build_is_found_only_under_its_environment(filled: Stand) -> None:
    filled.text("/ml/torch/builds/4", 404)


def test_a_generation_leads_to_its_build(filled: Stand) -> None:
    answer = filled.client.get("/analyst/demo/2/")
    assert (answer.status_code, answer.location) == (302, "/analyst/demo/builds/2")


def test_a_comparison_shows_spec_and_packages(filled: Stand) -> None:
    text = words(filled.text("/analyst/demo/diff/1..3"))
    assert "− - pandas&gt;=2.1 + - pandas&gt;=2.2" in text
    assert "upgraded pandas asked for 2.1.3 2.2.0" in text
    assert "1 changed, 2 new, 0 gone, 59 the same" in text


def test_the_form_of_a_comparison_leads_to_it(filled: Stand) -> None:
    answer = filled.client.get("/analyst/demo/diff?old=1&new=2")
    assert answer.location == "/analyst/demo/diff/1..2"


# ---------------------------------------------------------------- sources, builds, packages


def test_a_source_in_trouble_says_why_and_what_helps(filled: Stand) -> None:
    text = words(filled.text("/sources"))
    assert "stalled" in text
    assert "permission denied let envwatch read the folder" in text


def test_refused_files_are_shown_with_their_place(filled: Stand) -> None:
    text = words(filled.text("/sources"))
    assert "2 understood, 1 ignored, 1 refused" in text
    assert "analyst/broken.yml:4:1 dependencies must be a list" in text


def test_a_source_says_what_it_follows_and_when_it_is_looked_at(filled: Stand) -> None:
    branch = SourceSettings(
        "apps@v1", SourceKind.GIT, "apps", url="/srv/apps", semver="1.x", family="apps"
    )
    signed = Commit("c" * 40, "Ada", "ada@example.org", "Maps", signature="ada@example.org (key)")
    filled.catalog.sources.declare([(branch, branch.place)], family="apps")
    plan = Plan("apps@v1", "c" * 40, signed, ref="refs/tags/v1.4.0")
    filled.catalog.sources.apply(plan, fingerprint="f", rules="r")
    text = filled.text("/source?name=apps@v1")
    for said in ("tags 1.x", "refs/tags/v1.4.0", "signed by ada@example.org", "next look"):
        assert said in text
    assert 'href="/source?name=apps"' in text


def test_a_source_tells_what_was_built_of_each_commit(filled: Stand) -> None:
    shown = filled.text("/source?name=team")
    newest, rest = shown[shown.index('id="commits"') :].split("<tr>")[2:4]
    assert "need pandas 2.2" in newest
    assert re.search(r'href="/ml/fresh/builds/\d+">.*queued</span> fresh</a>', newest)
    assert "torch" in rest
    told = filled.client.get("/source.json?name=team").json["commits"]
    assert told[0]["builds"][0]["key"] == {"namespace": "ml", "name": "fresh"}


def test_every_file_of_a_source_is_reached_by_paging(empty: Stand) -> None:
    files = tuple(FileOutcome(f"f{i:03}.yml", FileState.IGNORED) for i in range(150))
    commit(empty.catalog, files=files)
    pages = [json.loads(empty.text(f"/source.json?name=team&page={n}")) for n in (1, 2)]
    assert [len(p["source"]["files"]) for p in pages] == [100, 50]


def test_builds_are_filtered_by_state(filled: Stand) -> None:
    builds = json.loads(filled.text("/builds.json?state=failed"))["builds"]
    assert [b["build"]["id"] for b in builds] == [4]


def test_all_running_builds_are_one_filter(filled: Stand) -> None:
    builds = json.loads(filled.text("/builds.json?state=running"))["builds"]
    assert [b["build"]["state"] for b in builds] == ["downloading"]


def test_a_package_names_the_environments_that_use_it(filled: Stand) -> None:
    uses = json.loads(filled.text("/packages.json?name=pandas"))["uses"]
    assert ("demo", "2.2.0") in [(u["key"]["name"], u["package"]["version"]) for u in uses]


def test_a_package_is_looked_for_in_one_version(filled: Stand) -> None:
    every = json.loads(filled.text("/packages.json?name=pandas"))
    assert sum(every["versions"].values()) == every["total"]
    for version, count in every["versions"].items():
        one = json.loads(filled.text(f"/packages.json?name=pandas&version={version}"))
        assert {u["package"]["version"] for u in one["uses"]} == {version}
        assert one["total"] == count
        assert one["versions"] == every["versions"]
    assert json.loads(filled.text("/packages.json?name=pandas&version=0"))["uses"] == []


def test_packages_are_listed_and_searched(filled: Stand) -> None:
    first = json.loads(filled.text("/packages.json"))
    names = [p["name"] for p in first["packages"]]
    assert names == sorted(set(names))
    found = json.loads(filled.text("/packages.json?q=anda"))
    assert [p["name"] for p in found["packages"]] == ["pandas"]
    uses = json.loads(filled.text("/packages.json?name=pandas"))
    assert found["packages"][0]["environments"] == uses["total"]
    assert found["packages"][0]["versions"] == len(uses["versions"])
    assert json.loads(filled.text("/packages.json?q=%25"))["packages"] == []


# ---------------------------------------------------------------- addresses and forms


@pytest.mark.parametrize("path", PAGES)
def test_each_page_names_its_twin_and_the_twin_is_json(filled: Stand, path: str) -> None:
    found = re.search(r'rel="alternate" type="application/json" href="([^"]+)"', filled.text(path))
    assert found
    answer = filled.client.get(found[1].replace("&amp;", "&"))
    assert answer.content_type == "application/json"
    assert answer.json


def test_times_in_json_are_utc(filled: Stand) -> None:
    changed = json.loads(filled.text("/index.json"))["rows"][0]["changed_at"]
    assert changed.endswith("Z")


@pytest.mark.parametrize("name", ["index.json", "feed.atom", "current", "demo.svg", "12"])
@pytest.mark.parametrize("namespace", ["builds", "sources", "packages", "badge", "index.json"])
def test_no_name_of_an_environment_is_taken_by_a_page(
    empty: Stand, namespace: str, name: str
) -> None:
    key = EnvKey(namespace, name)
    commit(empty.catalog, ask(key, f"{key}"))
    publish(empty.catalog)
    assert f"conda activate {key.label}" in empty.text(f"/{key}/")
    assert json.loads(empty.text(f"/{key}/index.json"))["row"]["key"]["name"] == name
    assert name in json.loads(empty.text(f"/{namespace}/index.json"))["rows"][0]["key"]["name"]


def test_every_address_is_in_the_documentation(empty: Stand) -> None:
    documented = set(re.findall(r"^\| `(/[^`]*)`", DOCS.read_text(), re.MULTILINE))
    rules = {
        re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", r.rule)
        for r in empty.app.url_map.iter_rules()
        if not r.rule.startswith("/api/")  # described by themselves, see test_api.py
    }
    assert documented == rules


def test_an_error_is_a_page_or_json_as_the_address_asks(filled: Stand) -> None:
    assert "there is no environment" in words(filled.text("/analyst/nope/", 404))
    assert filled.client.get("/analyst/nope/index.json").json["title"] == "Not Found"


def test_pages_change_nothing(filled: Stand) -> None:
    before = filled.catalog.database.version
    for path in PAGES:
        assert filled.client.post(path).status_code == 405
        filled.text(path)
    assert filled.catalog.database.version == before


def test_every_answer_carries_a_strict_policy(filled: Stand) -> None:
    for path in (*PAGES, "/nope/x/", "/style.css", "/healthz"):
        policy = filled.client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_no_page_asks_for_anything_from_elsewhere(filled: Stand) -> None:
    for path in PAGES:
        html = filled.text(path)
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="([^"]+)"', html)
        assert loaded
        assert all(url.startswith("/") for url in loaded), path


def test_addresses_for_people_never_come_from_the_host_header(filled: Stand) -> None:
    for path in ("/analyst/demo/", "/feed.atom", "/analyst/demo/builds/3"):
        assert "evil.example" not in filled.client.get(path, headers={"Host": "evil.example"}).text


@pytest.mark.parametrize(
    "path",
    ["/%2fevil.example/x", "/%2f%2fevil.example/x", "/%5cevil.example/x", "/.//evil.example"],
)
def test_no_address_leads_elsewhere(filled: Stand, path: str) -> None:
    answer = filled.client.get(path)
    assert answer.status_code in (308, 404)
    assert re.match(r"/[^/\\]", answer.headers.get("Location", "/x"))


def test_behind_a_prefix_links_carry_it(filled: Stand) -> None:
    html = filled.client.get("/", environ_overrides={"SCRIPT_NAME": "/envwatch"}).text
    assert 'href="/envwatch/analyst/demo/"' in html


def test_a_page_that_only_waits_reloads_itself_without_a_script(filled: Stand) -> None:
    reload = '<noscript><meta http-equiv="refresh"'
    assert reload in filled.text("/ml/torch/")
    assert reload not in filled.text("/analyst/demo/")


def test_trouble_of_the_daemon_is_said_on_the_page(filled: Stand) -> None:
    filled.text("/")
    filled.health = type(filled.health)(alive=True, ready=False, reasons=("the first pass runs",))
    assert "the first pass runs" in filled.text("/")


# ---------------------------------------------------------------- kept answers


def test_polling_without_a_change_costs_nothing(filled: Stand) -> None:
    tag = filled.client.get("/").headers["ETag"]
    assert filled.client.get("/", headers={"If-None-Match": tag}).status_code == 304


def test_a_page_is_never_older_than_the_catalog(filled: Stand) -> None:
    filled.text("/ml/fresh/")
    claim(filled.catalog)
    assert "build #12 solving" in words(filled.text("/ml/fresh/"))


def answer_of(text: str) -> Answer:
    return Answer(text.encode(), "text/plain", text)


def test_one_answer_is_made_once_for_all_who_wait() -> None:
    cache, made, gate = Cache(lambda: 1), [], threading.Event()

    def make() -> Answer:
        made.append(1)
        gate.wait(10)
        return answer_of("page")

    threads = [threading.Thread(target=cache.get, args=("home", make)) for _ in range(8)]
    for t in threads:
        t.start()
    gate.set()
    for t in threads:
        t.join(10)
    assert made == [1]


def test_an_answer_begun_before_a_change_is_not_given_to_who_asks_after_it() -> None:
    version, begun, gate = [1], threading.Event(), threading.Event()
    cache = Cache(lambda: version[0])

    def old() -> Answer:
        begun.set()
        gate.wait(10)
        return answer_of("old")

    first = threading.Thread(target=cache.get, args=("home", old))
    first.start()
    begun.wait(10)
    version[0] = 2
    later: list[Answer] = []
    second = threading.Thread(
        target=lambda: later.append(cache.get("home", lambda: answer_of("new")))
    )
    second.start()
    gate.set()
    first.join(10)
    second.join(10)
    assert later[0].body == b"new"


def test_a_failed_answer_is_not_kept() -> None:
    cache = Cache(lambda: 1)
    with pytest.raises(ZeroDivisionError):
        cache.get("home", lambda: answer_of(str(1 // 0)))
    assert cache.get("home", lambda: answer_of("good")).body == b"good"


def test_the_address_of_an_answer_takes_space_too() -> None:
    cache, made = Cache(lambda: 1, size=1000), []
    for n in (1, 2, 1):
        cache.get(("lists", f"/?x={n}{'0' * 900}"), lambda n=n: made.append(n) or answer_of(""))
    assert made == [1, 2, 1]


def test_kept_answers_take_a_bounded_space() -> None:
    cache, made = Cache(lambda: 1, size=2 * (EACH + 40)), []

    def make(n: int) -> Answer:
        made.append(n)
        return answer_of("x" * 40)

    for n in (1, 2, 3, 1):
        cache.get(n, lambda n=n: make(n))
    assert made == [1, 2, 3, 1]
