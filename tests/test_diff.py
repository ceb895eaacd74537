"""What changed between two generations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.diff import LineKind, compare, lines, packages
from envwatch.model import Manager, Package

VERSIONS = st.from_regex(r"\A([0-9]!)?[0-9a-z._+-]{1,10}\Z")


def package(name: str, version: str = "1.0", build: str = "0", **more: str) -> Package:
    manager = Manager(more.get("manager", "conda"))
    return Package(name, version, build, manager, "c", sha256=more.get("sha256", ""))


PACKAGES = st.lists(
    st.builds(package, st.sampled_from("abcdef"), VERSIONS), unique_by=lambda p: p.name
)


def test_every_change_has_its_list() -> None:
    old = [package("a"), package("b", "1.9"), package("c", "2"), package("d"), package("e")]
    new = [package("b", "1.10"), package("c", "1"), package("d", "1.0", "1"), package("e")]
    new += [package("f")]
    found = packages(old, new)
    assert [p.name for p in found.added] == ["f"]
    assert [p.name for p in found.removed] == ["a"]
    assert [(c.old.version, c.new.version) for c in found.upgraded] == [("1.9", "1.10")]
    assert [c.name for c in found.downgraded] == ["c"]
    assert [(c.old.build, c.new.build) for c in found.rebuilt] == [("0", "1")]
    assert found.same == 1


def test_the_lists_are_in_the_order_of_names() -> None:
    found = packages([], [package("b"), package("C"), package("a")])
    assert [p.name for p in found.added] == ["a", "b", "C"]


def test_nothing_changed_is_empty() -> None:
    assert packages([package("a")], [package("a")]).empty
    assert not packages([package("a")], []).empty


def test_other_bytes_of_one_build_are_a_rebuild() -> None:
    found = packages([package("a", sha256="00")], [package("a", sha256="11")])
    assert [c.name for c in found.rebuilt] == ["a"]


def test_a_pip_and_a_conda_package_of_one_name_are_two() -> None:
    found = packages([package("a")], [package("a", manager="pip")])
    assert (len(found.added), len(found.removed)) == (1, 1)


def test_spellings_of_one_pip_name_are_one_package() -> None:
    found = packages([package("A_b", manager="pip")], [package("a.b", "2", manager="pip")])
    assert [c.new.version for c in found.upgraded] == ["2"]


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("3.9", "3.10"), ("1.0rc1", "1.0"), ("1.0.dev1", "1.0a1"), ("1.0", "1.0.post1"),
        ("1.1.1", "1.1.1w"), ("1.1.1v", "1.1.1w"), ("2024a", "2024b"), ("9e", "9f"),
        ("4.1_2", "4.1_10"), ("2.0x", "1!1.0x"), ("1.0x", "1.0x+1"),
        ("1.x.dev", "1.x.1"), ("1.0rcx", "1.0w"),
    ],
)  # fmt: skip
def test_up_is_up_and_down_is_down(lower: str, higher: str) -> None:
    assert compare(lower, higher) < 0
    assert compare(higher, lower) > 0


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0.0"), ("1x", "1x.0"), ("1.0X", "1.0x")])
def test_two_spellings_of_one_version_are_equal(one: str, other: str) -> None:
    assert compare(one, other) == 0


@given(VERSIONS, VERSIONS)
def test_comparing_the_other_way_round_turns_the_answer(one: str, other: str) -> None:
    assert compare(one, other) == -compare(other, one)


@given(VERSIONS)
def test_a_version_equals_itself(version: str) -> None:
    assert compare(version, version) == 0


@given(PACKAGES, PACKAGES)
def test_the_way_back_undoes_the_way_there(old: list[Package], new: list[Package]) -> None:
    there, back = packages(old, new), packages(new, old)
    assert there.added == back.removed
    assert [c.new for c in there.upgraded] == [c.old for c in back.downgraded]
    assert [c.new for c in there.rebuilt] == [c.old for c in back.rebuilt]
    assert there.same == back.same


@given(PACKAGES, PACKAGES)
def test_no_package_is_lost(old: list[Package], new: list[Package]) -> None:
    found = packages(old, new)
    both = len(found.upgraded) + len(found.downgraded) + len(found.rebuilt) + found.same
    assert len(found.added) + both == len(new)
    assert len(found.removed) + both == len(old)


def test_lines_show_what_went_and_what_came() -> None:
    assert lines("a\nb\nc\n", "a\nx\nc\n") == (
        (LineKind.SAME, "a"),
        (LineKind.REMOVED, "b"),
        (LineKind.ADDED, "x"),
        (LineKind.SAME, "c"),
    )


def test_far_apart_changes_have_a_gap_between_them() -> None:
    middle = "\n".join(f"m{n}" for n in range(20))
    kinds = [kind for kind, _ in lines(f"a\n{middle}\nb", f"x\n{middle}\ny")]
    assert kinds.count(LineKind.GAP) == 1
    assert kinds.count(LineKind.SAME) == 6


def test_equal_texts_have_no_lines() -> None:
    assert lines("a\n", "a\n") == ()


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_the_lines_that_went_and_came_are_those_of_the_texts(
    old: list[str], new: list[str]
) -> None:
    found = lines("\n".join(old), "\n".join(new))
    removed = [text for kind, text in found if kind is LineKind.REMOVED]
    added = [text for kind, text in found if kind is LineKind.ADDED]
    assert len(new) - len(old) == len(added) - len(removed)
