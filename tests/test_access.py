"""Roles on patterns: who may do what, and what a token takes away."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch import access
from envwatch.access import (
    HOST,
    Identity,
    Visitor,
    bears_on,
    limited,
    own_namespace,
    read_grants,
    visitor,
)
from envwatch.errors import Conflict
from envwatch.grants import Given, concerns
from envwatch.model import EnvKey
from envwatch.settings import AccessSettings, Binding, Grant, Role

VIEWER, DEVELOPER, ADMIN = Role
DEMO = EnvKey("lab", "demo")


def somebody(*grants: tuple[str, Role], name: str = "ada") -> Visitor:
    return Visitor(name, tuple(Grant(p, r) for p, r in grants))


# ---------------------------------------------------------------- one person


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("lab/*", True),
        ("lab/demo", True),
        ("la*/de*", True),
        ("*/*", True),
        ("lab/dem", False),
        ("lab2/*", False),
        ("la/*", False),
        ("LAB/*", False),
        ("*/other", False),
    ],
)
def test_a_pattern_says_where(pattern: str, fits: bool) -> None:
    assert somebody((pattern, VIEWER)).may(VIEWER, DEMO) is fits


def test_a_role_holds_those_before_it() -> None:
    who = somebody(("lab/*", DEVELOPER))
    assert [who.may(role, DEMO) for role in Role] == [True, True, False]


def test_of_several_grants_the_best_counts() -> None:
    who = somebody(("*/*", VIEWER), ("lab/demo", ADMIN))
    assert who.may(ADMIN, DEMO)
    assert not who.may(DEVELOPER, EnvKey("lab", "other"))


def test_a_whole_namespace_is_more_than_some_of_it() -> None:
    who = somebody(("lab/de*", DEVELOPER))
    assert (who.may_some(DEVELOPER, "lab"), who.may_all(VIEWER, "lab")) == (True, False)
    assert who.role_in("lab") is DEVELOPER
    assert who.role_in("elsewhere") is None


def test_the_host_may_everything() -> None:
    assert HOST.may(ADMIN, DEMO)
    assert HOST.may_all(ADMIN, "anything")


# ---------------------------------------------------------------- where rights come from

RULES = AccessSettings(
    anonymous=(Grant("public/*", VIEWER),),
    signed_in=(Grant("shared/*", VIEWER),),
    bindings=(
        Binding(Grant("lab/*", DEVELOPER), groups=("lab",)),
        Binding(Grant("*/*", ADMIN), users=("grace",)),
    ),
)


def test_whoever_comes_sees_what_is_public() -> None:
    who = access.anonymous(RULES)
    assert (who.signed_in, who.may(VIEWER, EnvKey("public", "x"))) == (False, True)
    assert not who.may(VIEWER, EnvKey("shared", "x"))


def test_who_is_signed_in_has_what_everybody_has_and_an_own_namespace() -> None:
    who = visitor(Identity("ada"), RULES)
    assert who.may(VIEWER, EnvKey("public", "x"))
    assert who.may(VIEWER, EnvKey("shared", "x"))
    assert who.may(ADMIN, EnvKey("ada", "x"))
    assert not who.may(VIEWER, DEMO)


@pytest.mark.parametrize("group", ["lab", "/lab"])
def test_a_group_gives_what_is_bound_to_it(group: str) -> None:
    assert visitor(Identity("ada", (group,)), RULES).may(DEVELOPER, DEMO)


def test_what_was_granted_here_counts_as_well() -> None:
    granted = Binding(Grant("lab/demo", VIEWER), users=("ada",))
    assert visitor(Identity("ada"), RULES, [granted]).may(VIEWER, DEMO)
    assert not visitor(Identity("eve"), RULES, [granted]).may(VIEWER, DEMO)


@pytest.mark.parametrize("name", ["lab", "LAB", "envs", "ada@example.org", "..", "", "-x", "a/b"])
def test_a_name_that_is_taken_or_odd_has_no_own_namespace(name: str) -> None:
    assert own_namespace(name, ["lab"]) == ""
    assert not visitor(Identity(name), RULES, taken=["lab"]).may(VIEWER, EnvKey("lab", "x"))


def test_own_namespaces_can_be_switched_off() -> None:
    rules = AccessSettings(own_namespace=False)
    assert visitor(Identity("ada"), rules).grants == ()


def test_nebari_scopes_are_understood_and_odd_ones_give_nothing() -> None:
    text = "viewer!namespace=x, admin!namespace=team-*,god!namespace=y,admin!namespace=a b,admin"
    assert read_grants(text) == (Grant("x/*", VIEWER), Grant("team-*/*", ADMIN))
    assert read_grants("editor!namespace=x") == (Grant("x/*", DEVELOPER),)


@pytest.mark.parametrize("text", ["", " , ", "a/b/c", "[a-z]", "-x", "a\nb", "a/", "/a"])
def test_odd_patterns_are_refused(text: str) -> None:
    with pytest.raises(Conflict):
        access.read_patterns(text)


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("mine", "scope", "left"),
    [
        (("*/*", ADMIN), ("lab/*", DEVELOPER), ("lab/*", DEVELOPER)),
        (("lab/*", VIEWER), ("*/*", ADMIN), ("lab/*", VIEWER)),
        (("team-*/*", DEVELOPER), ("team-a/x*", ADMIN), ("team-a/x*", DEVELOPER)),
        (("lab/*", ADMIN), ("other/*", ADMIN), None),
        (("a*/*", ADMIN), ("*b/*", ADMIN), None),
        (("lab/*", ADMIN), ("*/demo", VIEWER), ("lab/demo", VIEWER)),
        (("*/stats", DEVELOPER), ("lab/s*", ADMIN), ("lab/stats", DEVELOPER)),
    ],
)
def test_a_token_may_what_it_and_its_owner_may(
    mine: tuple[str, Role], scope: tuple[str, Role], left: tuple[str, Role] | None
) -> None:
    who = limited(somebody(mine), [Grant(*scope)], "ci", 7)
    assert who.grants == ((Grant(*left),) if left else ())
    assert (who.name, who.token, who.token_id) == ("ada", "ci", 7)


def test_a_token_tells_of_no_namespace_that_its_owner_is_not_told_of() -> None:
    owner = somebody(("*/stats", ADMIN), ("lab/*", VIEWER))
    scope = [Grant("lab/stats", ADMIN), Grant("secret/stats", ADMIN)]
    who = limited(owner, scope, "ci", 7)
    assert who.may(ADMIN, EnvKey("secret", "stats"))
    assert (who.is_told_of("lab"), who.is_told_of("secret")) == (True, False)
    given = Given(Grant("secret/*", VIEWER), user="eve")
    assert not concerns(owner, given)
    assert not concerns(who, given)


NAMES = st.text("ab*", min_size=1, max_size=3)
GRANTS = st.builds(
    lambda ns, name, role: Grant(f"{ns}/{name}", role), NAMES, NAMES, st.sampled_from(Role)
)
KEYS = st.builds(EnvKey, st.text("ab", min_size=1, max_size=3), st.text("ab", max_size=3))


@given(st.lists(GRANTS, max_size=4), st.lists(GRANTS, max_size=4), KEYS, st.sampled_from(Role))
def test_a_token_never_gives_more_than_either(
    mine: list[Grant], scope: list[Grant], key: EnvKey, role: Role
) -> None:
    owner = Visitor("ada", tuple(mine))
    if limited(owner, scope, "ci", 7).may(role, key):
        assert owner.may(role, key)
        assert Visitor("x", tuple(scope)).may(role, key)


@given(st.lists(GRANTS, max_size=4), st.lists(GRANTS, max_size=4), KEYS, st.sampled_from(Role))
def test_what_somebody_hands_on_they_have_themselves(
    mine: list[Grant], wanted: list[Grant], key: EnvKey, role: Role
) -> None:
    owner = Visitor("ada", tuple(mine))
    if Visitor("bob", owner.within(wanted)).may(role, key):
        assert owner.may(role, key)


@given(st.lists(GRANTS, max_size=4), st.text("ab", min_size=1, max_size=3), st.sampled_from(Role))
def test_the_whole_of_a_namespace_holds_each_of_it(
    mine: list[Grant], namespace: str, role: Role
) -> None:
    who = Visitor("ada", tuple(mine))
    if who.may_all(role, namespace):
        assert who.may(role, EnvKey(namespace, "anything"))
        assert who.may_some(role, namespace)


# ---------------------------------------------------------------- what concerns whom


@pytest.mark.parametrize(
    ("wide", "pattern", "so"),
    [
        ("*/*", "lab/*", True),
        ("lab/*", "lab/stats", True),
        ("lab/web-*", "lab/*", True),
        ("*/web-*", "lab/*", True),
        ("*/web-*", "lab/*-old", True),
        ("*/web-*", "lab/stats", False),
        ("lab/*", "*/stats", False),
        ("team-*/*", "*/*", False),
        ("*-a/*", "team-*/*", False),
    ],
)
def test_who_has_roles_in_what_somebody_is_admin_of_concerns_them(
    wide: str, pattern: str, so: bool
) -> None:
    assert bears_on(wide, pattern) is so


TEXTS = ["".join(t) for n in range(1, 7) for t in product("ab", repeat=n)]


@given(NAMES, NAMES)
def test_patterns_meet_where_a_name_matches_both(one: str, other: str) -> None:
    both = any(fnmatchcase(t, one) and fnmatchcase(t, other) for t in TEXTS)
    assert bears_on(f"lab/{one}", f"lab/{other}") is both
