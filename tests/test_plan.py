"""The plan: pure decisions over snapshots and what was asked for last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.model import (
    EnvKey,
    FileState,
    Level,
    Message,
    Plan,
    Snapshot,
    SourceFile,
    Standing,
)
from envwatch.plan import Rules, make_plan
from envwatch.settings import NamespaceSettings, Network, SolveOptions

RULES = Rules(NamespaceSettings("analyst"), Network(), ("linux-64",))
DEMO = EnvKey("analyst", "demo")


def text(*dependencies: str, name: str = "demo", extra: str = "") -> str:
    listed = "".join(f"  - {d}\n" for d in dependencies)
    return f"name: {name}\nchannels: [conda-forge]\ndependencies:\n{listed}{extra}"


def snapshot(files: dict[str, str], **more: object) -> Snapshot:
    listed = tuple(SourceFile(p, str(hash(t)), t.encode()) for p, t in files.items())
    return replace(Snapshot("team", "r1", listed), **more)


def plan(
    files: dict[str, str], standing: Sequence[Standing] = (), rules: Rules = RULES, **more: object
) -> Plan:
    return make_plan(snapshot(files, **more), standing, rules)


def standing_after(files: dict[str, str], rules: Rules = RULES) -> tuple[Standing, ...]:
    """What the catalog would know after these files."""
    return tuple(Standing(a.key, "team", a.path, a.digest) for a in plan(files, rules=rules).build)


def test_a_new_file_is_built() -> None:
    made = plan({"demo/environment.yml": text("python")})
    assert [a.key for a in made.build] == [DEMO]
    assert made.files[0].state is FileState.UNDERSTOOD


def test_comments_and_order_are_no_change() -> None:
    known = standing_after({"e.yml": text("python", "numpy")})
    made = plan({"e.yml": "# hello\n" + text("numpy", "python")}, known)
    assert made.build == ()
    assert [a.key for a in made.touch] == [DEMO]


@pytest.mark.parametrize(
    "changed",
    [
        text("python").replace("[conda-forge]", "[conda-forge, bioconda]"),
        text("python", extra="variables: {A: b}\n"),
        text("python", extra="platforms: [osx-arm64]\n"),
        text("python=3.12"),
    ],
    ids=["channel", "variable", "platform", "version"],
)
def test_what_may_lead_to_other_files_is_a_change(changed: str) -> None:
    known = standing_after({"e.yml": text("python")})
    assert len(plan({"e.yml": changed}, known).build) == 1


def test_the_order_of_channels_is_a_change() -> None:
    first = text("python").replace("[conda-forge]", "[conda-forge, bioconda]")
    second = text("python").replace("[conda-forge]", "[bioconda, conda-forge]")
    assert len(plan({"e.yml": second}, standing_after({"e.yml": first})).build) == 1


def test_a_lock_beside_it_is_a_change_and_is_handed_on() -> None:
    file = {"demo/environment.yml": text("python")}
    made = plan({**file, "demo/conda-lock.yml": "version: 1\n"}, standing_after(file))
    assert [a.lock_text for a in made.build] == ["version: 1\n"]


def test_a_lock_named_after_its_file_belongs_to_it_alone() -> None:
    files = {
        "a.yml": text("python", name="a"),
        "b.yml": text("python", name="b"),
        "a.conda-lock.yml": "version: 1\n",
    }
    assert {a.key.name: a.lock_text for a in plan(files).build} == {"a": "version: 1\n", "b": ""}


def test_other_solver_options_are_a_change() -> None:
    known = standing_after({"e.yml": text("python")})
    namespace = replace(RULES.namespace, solve=SolveOptions(strict_channel_priority=False))
    assert (
        len(plan({"e.yml": text("python")}, known, replace(RULES, namespace=namespace)).build) == 1
    )


def test_a_name_comes_from_the_file_or_its_folder() -> None:
    nameless = "dependencies: [python]\n"
    made = plan(
        {"ml/environment.yml": nameless, "plots.yaml": nameless, "environment.yml": nameless}
    )
    assert {a.path: a.key.name for a in made.build} == {
        "environment.yml": "team",
        "ml/environment.yml": "ml",
        "plots.yaml": "plots",
    }


def test_a_broken_file_keeps_what_it_asked_for_before() -> None:
    known = standing_after({"e.yml": text("python")})
    made = plan({"e.yml": "name: demo\ndependencies: python\n"}, known)
    assert made.retire == ()
    assert made.invalid[0][0] == DEMO
    assert made.invalid[0][1].line == 2


def test_a_broken_file_does_not_stop_the_others() -> None:
    made = plan({"a.yml": "dependencies: [", "b.yml": text("python", name="b")})
    assert [a.key.name for a in made.build] == ["b"]


def test_a_file_that_cannot_be_read_now_retires_nothing() -> None:
    known = standing_after({"e.yml": text("python")})
    unreadable = SourceFile("e.yml", "", None, Message(Level.ERROR, "permission denied", "e.yml"))
    made = make_plan(Snapshot("team", "r2", (unreadable,)), known, RULES)
    assert made.retire == ()
    assert [k for k, _ in made.invalid] == [DEMO]


def test_a_deleted_file_retires_its_environment() -> None:
    known = standing_after({"e.yml": text("python")})
    assert plan({"other.yml": text("python", name="other")}, known).retire == (DEMO,)


def test_a_commit_without_files_retires_everything() -> None:
    known = standing_after({"e.yml": text("python")})
    assert plan({}, known).retire == (DEMO,)


def test_an_emptied_directory_retires_nothing_until_confirmed() -> None:
    known = standing_after({"e.yml": text("python")})
    unsure = plan({}, known, authoritative=False)
    assert (unsure.empty, unsure.retire) == (True, ())
    sure = plan({}, known, replace(RULES, confirmed_empty=True), authoritative=False)
    assert (sure.empty, sure.retire) == (False, (DEMO,))


def test_a_renamed_file_is_no_build() -> None:
    made = plan({"new.yml": text("python")}, standing_after({"old.yml": text("python")}))
    assert (made.build, made.retire) == ((), ())
    assert made.touch[0].path == "new.yml"


def test_of_two_files_with_one_name_the_second_is_refused() -> None:
    made = plan({"b.yml": text("python"), "a.yml": text("numpy")})
    assert [a.path for a in made.build] == ["a.yml"]
    refused = next(f for f in made.files if f.state is FileState.REFUSED)
    assert refused.path == "b.yml"
    assert "a.yml" in refused.messages[0].text


def test_the_file_that_has_the_name_keeps_it() -> None:
    known = standing_after({"z.yml": text("python")})
    made = plan({"z.yml": text("python"), "a.yml": text("numpy")}, known)
    assert [a.path for a in made.touch] == ["z.yml"]
    assert made.build == ()


def test_names_that_differ_in_case_alone_clash() -> None:
    made = plan({"a.yml": text("python", name="Demo"), "b.yml": text("python", name="demo")})
    assert len(made.build) == 1


def test_a_name_of_another_source_is_refused() -> None:
    other = Standing(DEMO, "others", "their.yml", "d")
    made = plan({"e.yml": text("python")}, [other])
    assert made.build == ()
    assert "others" in made.files[0].messages[0].text


def test_a_retired_environment_comes_back() -> None:
    known = [replace(s, retired=True) for s in standing_after({"e.yml": text("python")})]
    assert [a.key for a in plan({"e.yml": text("python")}, known).touch] == [DEMO]


def test_other_yaml_is_ignored_by_rule() -> None:
    made = plan({"mkdocs.yml": "site_name: x\n", "list.yml": "- a\n"})
    assert {f.state for f in made.files} == {FileState.IGNORED}


NAMES = st.sampled_from(["a", "b", "c", "A"])
FILES = st.dictionaries(
    st.sampled_from(["a.yml", "b.yml", "c/environment.yml", "c/x.yml"]),
    st.one_of(
        st.builds(lambda n: text("python", name=n), NAMES),
        st.just("site: x\n"),
        st.just("dependencies: [\n"),
    ),
)


@given(FILES, FILES)
def test_every_list_of_a_plan_is_disjoint_and_every_file_has_one_outcome(
    before: dict[str, str], after: dict[str, str]
) -> None:
    made = plan(after, standing_after(before))
    keys = [a.key for a in (*made.build, *made.touch)]
    keys += [*made.retire, *(k for k, _ in made.invalid)]
    assert len(keys) == len(set(keys))
    assert sorted(f.path for f in made.files) == sorted(after)


@given(FILES)
def test_the_same_snapshot_again_changes_nothing(files: dict[str, str]) -> None:
    again = plan(files, standing_after(files))
    assert (again.build, again.retire, again.invalid) == ((), (), ())
