"""Edits are commits: by the person, on what the person saw, refused as a look would refuse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from managed_helpers import FILE, Lab, push, served, settings_for, text
from repos import GitRepo, make_repo

from envwatch.config.fill import with_previews
from envwatch.edit import Author, Edit
from envwatch.errors import Conflict, NotFound, SpecError
from envwatch.git import commits
from envwatch.model import EnvKey
from envwatch.settings import Previews, SourceKind, SourceSettings
from envwatch.views import pages

ADA = Author("Ada Lovelace", "ada@example.org")
NEW = Edit("people", FILE, text("python=3.11"), ADA)
KEY = EnvKey("people", "demo")


@pytest.fixture
def remote(tmp_path: Path) -> GitRepo:
    """What somebody's forge holds; its clone is the remote of the sources `open` and `closed`."""
    repo = make_repo(tmp_path / "work")
    repo.commit({FILE: text("python=3.11"), "other.yml": text("python", name="other")}, "first")
    repo.bare(tmp_path / "forge.git")
    return repo


@pytest.fixture
def lab(tmp_path: Path, remote: GitRepo) -> Iterator[Lab]:
    url = str(tmp_path / "forge.git")
    opened = SourceSettings("open", SourceKind.GIT, "open", url=url, branch="main", edits="branch")
    closed = replace(opened, name="closed", namespace="closed", edits="refuse")
    folder = SourceSettings("folder", SourceKind.DIRECTORY, "folder", directory=Path("/opt/envs"))
    with served(settings_for(tmp_path / "root", opened, closed, folder)) as lab:
        yield lab


def edit(lab: Lab, wanted: Edit) -> str:
    """The commit of an edit."""
    return lab.parts.editor.edit(wanted).revision


def put(lab: Lab, path: str, content: str) -> None:
    """A file that came when nobody looked at what it is."""
    run, tip = lab.bare.run, lab.tip()
    made = commits.commit(run, tip, commits.Change(path, content.encode()), ADA, "put")
    assert commits.move(run, "main", made, tip)


def shown(lab: Lab, what: str) -> str:
    return lab.bare.run("show", "--no-patch", f"--format={what}", "main").decode().strip()


# ---------------------------------------------------------------- commits


def test_an_edit_is_one_commit_by_the_person(lab: Lab) -> None:
    revision = edit(lab, replace(NEW, message="For the report\n\nAs agreed"))
    assert lab.tip() == revision
    assert shown(lab, "%an <%ae>") == "Ada Lovelace <ada@example.org>"
    assert shown(lab, "%cn") == "envwatch"
    assert shown(lab, "%B") == "For the report\n\nAs agreed"
    assert lab.bare.run("show", f"main:{FILE}").decode() == NEW.text
    assert lab.is_whole()


def test_an_edit_leaves_all_other_files_as_they_are(lab: Lab, tmp_path: Path) -> None:
    repo = lab.clone(tmp_path / "ada", lab.token())
    (repo.path / "run.sh").write_text("#!/bin/sh\n")
    (repo.path / "run.sh").chmod(0o755)
    push(repo, {FILE: text("python"), "demo/notes.txt": "x", "a/b/c.yml": text("x", name="c")})
    edit(lab, replace(NEW, seen=lab.tip()))
    changed = lab.bare.run("diff", "--raw", "--no-abbrev", "main~1", "main").decode().split("\n")
    assert [line.split("\t")[1] for line in changed if line] == [FILE]
    assert b"100755" in lab.bare.run("ls-tree", "main", "run.sh")


def test_an_edit_has_its_source_looked_at_and_says_what_it_means(lab: Lab) -> None:
    made = lab.parts.editor.edit(NEW)
    assert [str(o) for o in made.outcomes] == [
        "people/demo: will be solved and built: https://env.example.org/people/demo/"
    ]
    assert (made.branch, made.live) == ("main", True)
    assert lab.parts.dirty.take(5) == "people"
    lab.parts.look("people")
    assert lab.parts.editor.read(KEY).revision == made.revision


def test_an_edit_that_changes_nothing_makes_no_commit(lab: Lab) -> None:
    first = edit(lab, NEW)
    again = lab.parts.editor.edit(replace(NEW, seen=first))
    assert (again.changed, again.revision, lab.tip()) == (False, first, first)


def test_a_file_that_goes_takes_its_empty_folder_with_it(lab: Lab) -> None:
    edit(lab, NEW)
    edit(lab, replace(NEW, path="other.yml", text=text("python", name="other")))
    edit(lab, replace(NEW, text=None, seen=lab.tip()))
    assert lab.bare.run("ls-tree", "-r", "--name-only", "main").decode() == "other.yml\n"


def test_the_last_file_may_go(lab: Lab) -> None:
    edit(lab, NEW)
    edit(lab, replace(NEW, text=None, seen=lab.tip()))
    assert lab.bare.run("ls-tree", "main") == b""
    assert lab.is_whole()


def test_odd_authors_cannot_write_other_lines(lab: Lab) -> None:
    edit(lab, replace(NEW, author=Author("a\nparent x <b>", "c>\nd\0")))
    assert shown(lab, "%an|%ae") == "a parent x  b|cd"


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name: demo\ndependencies: x\n", f"{FILE}:2:15: `dependencies` must be a list"),
        (text("python") + "channels: [nvidia]\n", "`nvidia`"),
        ("", "the file is empty"),
        ("a: 1\n", "not an environment"),
        ("x" * 70_000, "too large"),
    ],
)
def test_a_text_that_a_look_would_refuse_makes_no_commit(lab: Lab, content: str, told: str) -> None:
    edit(lab, NEW)
    lab.parts.look("people")
    before = lab.tip()
    with pytest.raises(SpecError) as caught:
        edit(lab, replace(NEW, text=content, seen=before))
    assert told in caught.value.message
    assert lab.tip() == before


def test_a_name_that_another_file_has_is_refused(lab: Lab) -> None:
    edit(lab, NEW)
    lab.parts.look("people")
    with pytest.raises(SpecError, match=f"is defined by {FILE} already"):
        edit(lab, replace(NEW, path="a.yml"))


def test_an_edit_of_one_environment_never_overwrites_the_file_of_another(lab: Lab) -> None:
    other = replace(NEW, path="other.yml", text=text("python", name="other"))
    edit(lab, other)
    lab.parts.look("people")
    before = lab.tip()
    # `demo` is free, and whoever may make it saw the newest revision
    with pytest.raises(Conflict, match=r"`other\.yml` is not the file of `demo`"):
        edit(lab, replace(NEW, path="other.yml", seen=before, name="demo"))
    assert lab.tip() == before
    edit(lab, replace(other, text=text("python", "pip", name="other"), seen=before, name="other"))
    assert lab.tip() != before


@pytest.mark.parametrize("content", ["site_name: x\n", "name: demo\ndependencies: x\n"])
def test_an_edit_of_one_environment_never_overwrites_a_file_that_is_none(
    lab: Lab, content: str
) -> None:
    put(lab, "mkdocs.yml", content)
    before = lab.tip()
    for seen in ("", before):
        with pytest.raises(Conflict, match=r"`mkdocs\.yml` is not the file of `demo`"):
            edit(lab, replace(NEW, path="mkdocs.yml", seen=seen, name="demo"))
    assert lab.tip() == before


def test_an_edit_of_one_environment_mends_its_broken_file(lab: Lab) -> None:
    edit(lab, NEW)
    lab.parts.look("people")
    put(lab, FILE, "name: demo\ndependencies: x\n")
    before = lab.tip()
    assert edit(lab, replace(NEW, seen=before, name="demo")) != before


@pytest.mark.parametrize("path", ["envwatch.yml", "other/conda-lock.yml"])
def test_an_edit_of_one_environment_is_told_of_no_other_file(lab: Lab, path: str) -> None:
    edit(lab, replace(NEW, path="other/environment.yml", text=text("python", name="other")))
    before = lab.tip()
    with pytest.raises(Conflict) as caught:
        edit(lab, replace(NEW, path=path, text="environments: 1\n", name="demo"))
    assert str(caught.value).startswith(f"`{path}` is not the file of one environment")
    assert lab.tip() == before


def test_a_name_that_is_taken_does_not_tell_by_which_file(lab: Lab) -> None:
    edit(lab, replace(NEW, path="secret.yml", text=text("python", name="other")))
    lab.parts.look("people")
    with pytest.raises(Conflict, match="calls its environment `other`, not `demo`"):
        edit(lab, replace(NEW, text=text("python", name="other"), name="demo"))


def test_what_an_edit_of_one_environment_does_to_others_is_told_without_their_files(
    lab: Lab,
) -> None:
    edit(lab, replace(NEW, path="secret.yml"))  # nobody has looked at it yet
    with pytest.raises(Conflict) as caught:
        edit(lab, replace(NEW, path="a.yml", name="demo"))
    assert caught.value.message == "with `a.yml` other files would be refused"


def test_what_an_edit_of_one_environment_means_is_told_without_the_others(lab: Lab) -> None:
    edit(lab, replace(NEW, path="secret.yml", text=text("python", name="other")))
    made = lab.parts.editor.edit(replace(NEW, name="demo"))
    assert [o.key for o in made.outcomes] == [KEY]


BASE = "dependencies:\n- python={}\n"
TWO = "environments:\n  one: {files: [base.yml]}\n  two: {files: [base.yml, two.yml]}\n"


def layered(lab: Lab) -> None:
    """`one` is of base.yml alone, `two` of that and another file."""
    put(lab, "base.yml", BASE.format("3.11"))
    put(lab, "two.yml", "dependencies: [numpy]\n")
    put(lab, "envwatch.yml", TWO)
    lab.parts.look("people")


def test_a_file_of_several_environments_is_changed_by_who_may_change_all_of_them(lab: Lab) -> None:
    layered(lab)
    before, two = lab.tip(), EnvKey("people", "two")
    wanted = Edit("people", "base.yml", BASE.format("3.12"), ADA, seen=before, name="one")
    for content in (wanted.text, None):
        with pytest.raises(Conflict, match=r"`base\.yml` is a part of other environments too"):
            edit(lab, replace(wanted, text=content))
    assert lab.tip() == before
    with pytest.raises(Conflict, match=r"`envwatch\.yml` is not the file of one environment"):
        edit(lab, replace(wanted, path="envwatch.yml", text=None, name="two"))
    made = lab.parts.editor.edit(replace(wanted, may=lambda key: key == two))
    assert {o.key.name for o in made.outcomes} == {"one", "two"}


@pytest.mark.parametrize(
    ("meanwhile", "changed"),
    [
        ({"two.yml": "dependencies: x\n"}, {"text": BASE.format("3.12")}),
        ({"two.yml": "dependencies: x\n"}, {"text": None}),
        ({"envwatch.yml": "environments: 1\n"}, {"text": None}),
        ({}, {"text": f"{BASE.format('3.11')}description: mine\n"}),
        (
            {"envwatch.yml": TWO.replace("two.yml", "new.yml")},
            {"text": text("python", name="demo"), "path": "new.yml", "name": "demo", "seen": ""},
        ),
    ],
    ids=["invalid", "invalid-removed", "broken", "described", "missing"],
)
def test_a_file_of_others_is_theirs_whatever_keeps_it_from_showing(
    lab: Lab, meanwhile: dict[str, str], changed: dict[str, str]
) -> None:
    layered(lab)
    for path, content in meanwhile.items():
        put(lab, path, content)
    before = lab.tip()
    wanted = Edit("people", "base.yml", "", ADA, seen=before, name="one")
    with pytest.raises(Conflict, match="is a part of other environments too"):
        edit(lab, replace(wanted, **changed))
    assert lab.tip() == before


@pytest.mark.parametrize(
    "path",
    ["", "/etc/x.yml", "../x.yml", "a/../b.yml", "a//b.yml", ".git/x.yml", "a/.GIT/hooks/x.yml",
     "x.txt", "a\n.yml", "a/b", ".hidden/x.yml", "x/" * 300 + "a.yml"],
)  # fmt: skip
def test_a_path_that_is_none_of_the_source_is_refused(lab: Lab, path: str) -> None:
    with pytest.raises(Conflict):
        edit(lab, replace(NEW, path=path))
    assert not lab.tip()


def test_a_file_does_not_become_a_folder(lab: Lab) -> None:
    edit(lab, replace(NEW, path="demo.yml"))
    with pytest.raises(Conflict, match=r"`demo\.yml` is a file, so nothing can lie in it"):
        edit(lab, replace(NEW, path="demo.yml/x.yml", text=text("x", name="x")))


def test_what_is_not_there_cannot_go(lab: Lab) -> None:
    with pytest.raises(NotFound, match=f"there is no `{FILE}`"):
        edit(lab, replace(NEW, text=None))


def test_a_namespace_that_no_source_fills_takes_no_edit(lab: Lab) -> None:
    with pytest.raises(NotFound, match="no source fills the namespace `nobody`"):
        edit(lab, replace(NEW, namespace="nobody"))


# ---------------------------------------------------------------- two people


def test_the_second_edit_of_one_file_is_told_who_was_faster(lab: Lab) -> None:
    seen = edit(lab, NEW)
    theirs = edit(lab, replace(NEW, text=text("python=3.12"), seen=seen, message="Newer"))
    mine = replace(NEW, text=text("python=3.10"), author=Author("Ben", "b@x"), seen=seen)
    with pytest.raises(Conflict) as caught:
        edit(lab, mine)
    assert caught.value.message == (
        f"`{FILE}` was changed by Ada Lovelace in {theirs[:12]} (Newer), "
        f"after {seen[:12]} that you saw"
    )
    assert lab.tip() == theirs


def test_a_change_of_another_file_is_no_conflict(lab: Lab) -> None:
    seen = edit(lab, NEW)
    edit(lab, replace(NEW, path="other.yml", text=text("python", name="other")))
    edit(lab, replace(NEW, text=text("python=3.12"), seen=seen))
    assert len(lab.bare.run("rev-list", "main").split()) == 3


def test_a_file_that_somebody_removed_is_a_conflict(lab: Lab) -> None:
    seen = edit(lab, NEW)
    edit(lab, replace(NEW, text=None, seen=seen))
    with pytest.raises(Conflict, match="was changed by Ada Lovelace"):
        edit(lab, replace(NEW, text=text("python=3.12"), seen=seen))


def test_a_new_file_does_not_replace_one_that_is_there(lab: Lab) -> None:
    edit(lab, NEW)
    with pytest.raises(Conflict, match=f"`{FILE}` is there already"):
        edit(lab, replace(NEW, text=text("python=3.12")))


@pytest.mark.parametrize("seen", ["main", "--all", "0" * 40, "HEAD~1"])
def test_a_revision_that_nobody_saw_is_a_conflict(lab: Lab, seen: str) -> None:
    edit(lab, NEW)
    with pytest.raises(Conflict, match="cannot be compared"):
        edit(lab, replace(NEW, text=text("python=3.12"), seen=seen))


def test_edits_of_many_files_at_the_same_time_all_arrive(lab: Lab) -> None:
    def write(number: int) -> None:
        edit(lab, replace(NEW, path=f"{number}.yml", text=text("x", name=f"e{number}")))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(lab.bare.run("ls-tree", "--name-only", "main").split()) == 4
    assert lab.is_whole()


# ---------------------------------------------------------------- sources elsewhere


def test_a_source_without_edits_says_where_to_edit(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Conflict) as caught:
        edit(lab, replace(NEW, namespace="closed"))
    assert caught.value.message == "source `closed` takes no edits"
    assert f"edit it in {tmp_path / 'forge.git'}" in caught.value.hint
    with pytest.raises(Conflict) as caught:
        edit(lab, replace(NEW, namespace="folder"))
    assert caught.value.hint == "edit it in /opt/envs"


def test_a_source_without_edits_is_not_opened_for_one(lab: Lab) -> None:
    lab.parts.look("closed")
    with pytest.raises(Conflict, match="source `closed` takes no edits"):
        lab.parts.editor.read(EnvKey("closed", "demo"))


def test_edits_are_in_the_story_of_their_source(lab: Lab, remote: GitRepo) -> None:
    revision = edit(lab, NEW)
    proposed = replace(NEW, namespace="open", text=text("python=3.12"), seen=remote.head)
    lab.parts.editor.edit(proposed)
    (event,) = pages.source(lab.parts.catalog, "people").source.events
    assert event.message == f"{FILE} by Ada Lovelace: {revision[:12]} on `main`"
    assert len(pages.source(lab.parts.catalog, "open").source.events) == 1


def test_an_edit_of_a_remote_source_is_a_commit_on_a_new_branch(
    lab: Lab, remote: GitRepo, tmp_path: Path
) -> None:
    forge = GitRepo(tmp_path / "forge.git")
    wanted = replace(NEW, namespace="open", text=text("python=3.12"), seen=remote.head)
    made = lab.parts.editor.edit(wanted)
    assert (made.branch, made.live) == ("envwatch/edit-1-demo-environment", False)
    assert forge.git("rev-parse", "main") == remote.head
    assert forge.git("rev-parse", f"{made.branch}^") == remote.head
    assert forge.git("log", "-1", "--format=%an", made.branch) == "Ada Lovelace"
    assert forge.git("diff", "--name-only", "main", made.branch) == FILE
    again = lab.parts.editor.edit(replace(wanted, text=text("python=3.13")))
    assert again.branch == "envwatch/edit-2-demo-environment"
    forge.git("fsck", "--strict")


def test_a_proposal_that_a_look_would_refuse_is_not_pushed(
    lab: Lab, remote: GitRepo, tmp_path: Path
) -> None:
    with pytest.raises(SpecError):
        edit(lab, replace(NEW, namespace="open", text="dependencies: x", seen=remote.head))
    assert "edit" not in GitRepo(tmp_path / "forge.git").git("branch")


def test_a_proposal_for_a_file_that_has_moved_on_is_a_conflict(lab: Lab, remote: GitRepo) -> None:
    seen = remote.head
    remote.commit({FILE: text("python=3.9")})
    remote.git("push", "--quiet", "origin", "main")
    with pytest.raises(Conflict, match="cannot be compared"):
        edit(lab, replace(NEW, namespace="open", text=text("python=3.12"), seen=seen))


def test_a_remote_that_refuses_the_branch_is_told(
    lab: Lab, remote: GitRepo, tmp_path: Path
) -> None:
    GitRepo(tmp_path / "forge.git").git("branch", "envwatch")
    with pytest.raises(Conflict, match=r"does not take `envwatch/edit-1-.*`: failed to update ref"):
        edit(lab, replace(NEW, namespace="open", text=text("python=3.12"), seen=remote.head))


def test_requests_to_change_a_source_do_not_take_its_edits(tmp_path: Path, remote: GitRepo) -> None:
    url = str(tmp_path / "forge.git")
    opened = SourceSettings("open", SourceKind.GIT, "open", url=url, branch="main", edits="branch")
    both = with_previews(replace(opened, previews=Previews()))
    remote.git("push", "-q", "origin", "HEAD:refs/pull/1/head")
    with served(settings_for(tmp_path / "root", *both)) as lab:
        for name in ("open", "open@previews", "open@pr-1"):
            lab.parts.look(name)
        assert lab.parts.roster.get("open@pr-1") is not None
        made = lab.parts.editor.edit(Edit("open", "new.yml", text("python", name="new"), ADA))
    assert made.source == "open"
