"""What a request to merge is held against, who is one, and what is written into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from catalog_helpers import SPEC
from git_helpers import SPEC as FILE
from git_helpers import Repo, new_repo
from standin import TOKEN, Answer, Forge

from envwatch.commenting import LONGEST, comment, marker, marker_in
from envwatch.config.fill import with_previews
from envwatch.diff import PackageDiff, packages
from envwatch.errors import NotifyError, NotifyStalled, SourceError, SourceStalled
from envwatch.git.mirrors import Mirrors
from envwatch.model import (
    Ask,
    EnvKey,
    FileOutcome,
    FileState,
    Level,
    Manager,
    Message,
    Package,
    Plan,
    PullRequest,
    Standing,
)
from envwatch.notifiers import open_forge
from envwatch.previews import Target, narrowed
from envwatch.settings import ForgeSettings, Network, Previews, SourceKind, SourceSettings
from envwatch.sources.branches import Gathered
from envwatch.sources.family import open_family
from envwatch.sources.previews import Requests, nobody
from envwatch.telling import EnvFacts, Status, StatusState

RENAME = "{name}-pr-7"
DEMO = Target("demo", "demo.yml", "d" * 64, "lock")


def ask(name: str, digest: str, lock_text: str = "") -> Ask:
    return Ask(EnvKey("lab", f"{name}-pr-7"), f"{name}.yml", SPEC, "", digest * 64, lock_text)


def plan(*asks: Ask, **more: object) -> Plan:
    files = tuple(FileOutcome(a.path, FileState.UNDERSTOOD, a.key) for a in asks)
    return replace(Plan("team@pr-7", "1" * 40, None, build=asks, files=files), **more)  # type: ignore[arg-type]  # by its fields


def narrow(
    found: Plan, *targets: Target, standing: tuple[Standing, ...] = (), install: bool = False
) -> Plan:
    return narrowed(found, standing, targets, rename=RENAME, install=install)


# ---------------------------------------------------------------- what differs


def test_only_what_differs_is_asked_for() -> None:
    made = narrow(
        plan(ask("demo", "e"), ask("same", "s")), DEMO, Target("same", "same.yml", "s" * 64)
    )
    (only,) = made.build
    assert only.key.name == "demo-pr-7"
    assert only.preview is not None
    assert (only.preview.of, only.preview.install) == ("demo", False)
    same = next(f for f in made.files if f.path == "same.yml")
    assert same.key is None
    assert "nothing to preview" in same.messages[0].text


def test_what_nobody_has_yet_is_a_change() -> None:
    assert [a.key.name for a in narrow(plan(ask("new", "n")), DEMO).build] == ["new-pr-7"]


def test_another_current_lock_is_another_question() -> None:
    first, second, none = (
        narrow(plan(ask("demo", "e")), replace(DEMO, lock_digest=lock)).build[0].digest
        for lock in ("lock", "another", "")
    )
    assert len({first, second, none}) == 3


def test_a_lock_beside_the_file_is_the_same_whatever_is_current() -> None:
    first, second = (
        narrow(plan(ask("demo", "e", "a lock")), replace(DEMO, lock_digest=lock)).build[0].digest
        for lock in ("lock", "another")
    )
    assert first == second


def test_to_build_it_is_another_question_than_to_solve_it() -> None:
    (solved,), (built,) = (
        narrow(plan(ask("demo", "e")), DEMO, install=install).build for install in (False, True)
    )
    assert solved.digest != built.digest


def test_what_is_asked_already_is_not_asked_again() -> None:
    (wanted,) = narrow(plan(ask("demo", "e")), DEMO).build
    known = Standing(wanted.key, "team@pr-7", "demo.yml", wanted.digest)
    again = narrow(plan(ask("demo", "e")), DEMO, standing=(known,))
    assert (again.build, [a.key for a in again.touch], again.retire) == ((), [wanted.key], ())


def test_a_change_that_is_taken_back_retires_its_preview() -> None:
    known = Standing(EnvKey("lab", "demo-pr-7"), "team@pr-7", "demo.yml", "old")
    assert narrow(plan(ask("demo", "d")), DEMO, standing=(known,)).retire == (known.key,)


def test_a_file_that_goes_is_told_and_retires_nothing() -> None:
    made = narrow(plan(), DEMO)
    assert (made.build, made.retire) == ((), ())
    assert [str(m) for m in made.files[0].messages] == ["warning: merging it would retire `demo`"]


def test_a_file_that_is_refused_is_not_called_gone() -> None:
    bad = FileOutcome("demo.yml", FileState.REFUSED, None, (Message(Level.ERROR, "no"),))
    made = narrow(plan(files=(bad,)), DEMO)
    assert made.files == (bad,)


def test_a_preview_whose_file_is_refused_stays() -> None:
    key = EnvKey("lab", "demo-pr-7")
    known = Standing(key, "team@pr-7", "demo.yml", "old")
    broken = Message(Level.ERROR, "no", "demo.yml")
    made = narrow(plan(invalid=((key, broken),)), DEMO, standing=(known,))
    assert (made.retire, made.invalid) == ((), ((key, broken),))


# ---------------------------------------------------------------- who is one


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": FILE})
    return repo


def offer(repo: Repo, *refs: str) -> None:
    for ref in refs:
        repo.git("update-ref", ref, repo.head)


def gathered(
    tmp_path: Path, repo: Repo, requests: Requests = nobody, *, forge: bool = False, most: int = 50
) -> Gathered:
    told = ForgeSettings("gitea", tmp_path / "token", "https://x", "a/b") if forge else None
    source = SourceSettings(
        "team", SourceKind.GIT, "lab", url=repo.url, branch="main", forge=told,
        previews=Previews(most=most),
    )  # fmt: skip
    _, beside = with_previews(source)
    return open_family(beside, Mirrors(tmp_path / "mirrors"), requests).gather()


def test_each_request_is_a_source_the_newest_first(tmp_path: Path, repo: Repo) -> None:
    offer(repo, "refs/pull/9/head", "refs/pull/10/head", "refs/pull/10/merge")
    offer(repo, "refs/merge-requests/8/head", "refs/heads/pull/7/head")
    members = gathered(tmp_path, repo).members
    assert [(m.name, m.ref, m.rename) for m in members] == [
        ("team@pr-10", "refs/pull/10/head", "{name}-pr-10"),
        ("team@pr-9", "refs/pull/9/head", "{name}-pr-9"),
        ("team@pr-8", "refs/merge-requests/8/head", "{name}-pr-8"),
    ]
    assert {(m.base, m.family, m.branch) for m in members} == {("team", "team@previews", "")}


def test_a_repository_without_requests_is_well(tmp_path: Path, repo: Repo) -> None:
    assert gathered(tmp_path, repo) == Gathered(())


def test_only_the_newest_are_tried_out_and_the_rest_is_told(tmp_path: Path, repo: Repo) -> None:
    offer(repo, *(f"refs/pull/{n}/head" for n in range(1, 6)))
    found = gathered(tmp_path, repo, most=2)
    assert [m.request for m in found.members] == [5, 4]
    assert "3 older requests" in found.left[0].text


def test_the_forge_says_which_are_open_and_for_this_branch(tmp_path: Path, repo: Repo) -> None:
    offer(repo, *(f"refs/pull/{n}/head" for n in (1, 2, 3)))
    known = (PullRequest(1, "one", "ada", "main", "https://x/1"), PullRequest(2, target="dev"))
    (only,) = gathered(tmp_path, repo, lambda _: known, forge=True).members
    assert (only.request, only.title, only.link) == (1, "one by ada", "https://x/1")


def test_a_forge_that_does_not_say_changes_nothing(tmp_path: Path, repo: Repo) -> None:
    def silent(_: ForgeSettings) -> tuple[PullRequest, ...]:
        raise SourceError("no answer in time")

    offer(repo, "refs/pull/1/head")
    with pytest.raises(SourceError, match="no answer"):
        gathered(tmp_path, repo, silent, forge=True)


@pytest.mark.parametrize("ref", ["refs/pull/12/head", "pull/*/head", "refs/*/head", "refs/pull/ *"])
def test_a_pattern_must_name_requests(tmp_path: Path, ref: str) -> None:
    source = SourceSettings("t", SourceKind.GIT, "lab", url="/x", previews=Previews(refs=(ref,)))
    with pytest.raises(SourceStalled, match="not a pattern of refs"):
        open_family(with_previews(source)[1], Mirrors(tmp_path), nobody)


# ---------------------------------------------------------------- what the forges are asked


@pytest.fixture(params=["github", "gitlab", "gitea"])
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with Forge(request.param) as made:
        made.open[7] = ("a newer tiny", "main")
        yield made


def told(forge: Forge, tmp_path: Path) -> ForgeSettings:
    (tmp_path / "token").write_text(TOKEN)
    return ForgeSettings(forge.kind, tmp_path / "token", forge.api, forge.repository)


def test_open_requests_are_listed(forge: Forge, tmp_path: Path) -> None:
    found = open_forge(told(forge, tmp_path), Network()).requests()
    url = "https://git.example.org/7"
    assert found == (PullRequest(7, "a newer tiny", "ada", "main", url),)


def test_one_comment_is_written_and_then_changed(forge: Forge, tmp_path: Path) -> None:
    it = open_forge(told(forge, tmp_path), Network())
    name = it.say(7, "<!-- x -->\nfirst", "<!-- x -->", "")
    assert it.say(7, "<!-- x -->\nsecond", "<!-- x -->", name) == name
    assert list(forge.comments[7].values()) == ["<!-- x -->\nsecond"]


def test_a_comment_whose_answer_was_lost_is_found_by_its_marker(
    forge: Forge, tmp_path: Path
) -> None:
    it = open_forge(told(forge, tmp_path), Network())
    it.say(7, "<!-- x -->\nfirst", "<!-- x -->", "")
    it.say(7, "<!-- x -->\nagain", "<!-- x -->", "")
    assert list(forge.comments[7].values()) == ["<!-- x -->\nagain"]


def test_a_comment_that_somebody_deleted_is_written_anew(forge: Forge, tmp_path: Path) -> None:
    it = open_forge(told(forge, tmp_path), Network())
    it.say(7, "first", "<!-- x -->", "4711")
    assert list(forge.comments[7].values()) == ["first"]


@pytest.mark.parametrize("body", ["no json", {"a": 1}, [1, "x", {"number": "7", "iid": None}]])
def test_odd_answers_are_no_requests(forge: Forge, tmp_path: Path, body: object) -> None:
    forge.fault = lambda r: Answer(200, body if "page=1" in r.path.split("&")[-1] else [])
    it = open_forge(told(forge, tmp_path), Network())
    if isinstance(body, list):
        assert it.requests() == ()
    else:
        with pytest.raises(NotifyError, match="something else"):
            it.requests()


def test_a_token_that_may_not_is_for_a_person(forge: Forge, tmp_path: Path) -> None:
    forge.fault = lambda _: Answer(403, {"message": "Resource not accessible"})
    it = open_forge(told(forge, tmp_path), Network())
    with pytest.raises(NotifyStalled, match="answers 403"):
        it.requests()
    with pytest.raises(NotifyStalled):
        it.say(7, "text", "<!-- x -->", "")


# ---------------------------------------------------------------- what is written


def package(name: str, version: str) -> Package:
    return Package(name, version, "0", Manager.CONDA, "forge")


def facts(change: PackageDiff) -> EnvFacts:
    return EnvFacts(
        EnvKey("lab", "demo-pr-7"), 1, None, None, False, None, "", None, "demo", True, change
    )


def written(change: PackageDiff, text: str = "said", *notes: Message) -> str:
    status = Status("c/lab/demo", StatusState.SUCCESS, text)
    return comment("c", "1" * 40, [(status, facts(change))], notes, lambda k: f"https://x/{k}")


def test_a_comment_lists_each_package() -> None:
    change = packages(
        [package("a", "1"), package("b", "1")], [package("a", "2"), package("c", "3")]
    )
    text = written(change, "a 1 -> 2")
    assert "| [lab/demo](https://x/lab/demo-pr-7) | a 1 -&gt; 2 |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "lab" not in line]
    assert rows[2:] == ["| a | 1 | 2 |", "| c |  | 3 |", "| b | 1 |  |"]


def test_a_comment_is_known_by_its_marker() -> None:
    text = written(PackageDiff())
    assert marker_in(text) == marker("c")
    assert marker("a --> <script>") == "<!-- a------script- -->"


@pytest.mark.parametrize(
    "text",
    ["![x](https://spy.example.org/p.png)", "<img src=x>", "@everyone", "a | b", "</details>",
     "`code`", "#12", "line\nbreak"],
)  # fmt: skip
def test_what_a_request_says_is_text_and_no_markup(text: str) -> None:
    found = written(PackageDiff(), text, Message(Level.WARNING, text))
    assert text not in found
    assert found.count("\n|") == 3


def test_a_comment_is_never_too_long() -> None:
    change = packages([], [package(f"package-{n}-{'x' * 400}", "1") for n in range(5000)])
    found = [(Status(f"c/lab/e{n}", StatusState.SUCCESS, "x"), facts(change)) for n in range(20)]
    text = comment("c", "1" * 40, found, (), lambda _: "")
    assert LONGEST // 2 < len(text) < 65_536
    assert "and 4900 more" in text


def test_a_request_that_changes_nothing_any_more_says_so() -> None:
    assert "No environment would change." in comment("c", "1" * 40, [], (), lambda _: "")


def test_a_forge_that_limits_requests_gets_no_second_comment(forge: Forge, tmp_path: Path) -> None:
    it = open_forge(told(forge, tmp_path), Network())
    name = it.say(7, "<!-- x -->\nfirst", "<!-- x -->", "")
    limited = Answer(403, {"message": "API rate limit exceeded"}, {"Retry-After": "60"})
    forge.fault = lambda r: limited if r.method != "POST" else None
    with pytest.raises(NotifyError, match="rate limit"):
        it.say(7, "<!-- x -->\nsecond", "<!-- x -->", name)
    assert list(forge.comments[7].values()) == ["<!-- x -->\nfirst"]
