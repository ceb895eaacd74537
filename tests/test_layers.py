"""Files merged into one spec, by conda-lock's rules, each entry with the line it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch import layers, spec
from envwatch.errors import SpecError
from envwatch.model import Composition, Layer, Requirement, Spec
from envwatch.selectors import PLATFORMS, expression, select


def part(path: str, text: str) -> Spec:
    parsed = spec.parse(text.encode(), path=path)
    assert parsed is not None
    return parsed


def listed(path: str, *dependencies: str, channels: str = "[conda-forge]", tail: str = "") -> Spec:
    lines = "".join(f"- {d}\n" for d in dependencies)
    return part(path, f"channels: {channels}\ndependencies:\n{lines}{tail}")


def merged(*parts: Spec) -> Spec:
    return layers.merge(parts, "envwatch.yml")


def texts(found: tuple[Requirement, ...]) -> list[str]:
    return [r.text for r in found]


def test_every_entry_keeps_its_file_and_line() -> None:
    made = merged(listed("base.yml", "python", "numpy"), listed("extra.yml", "scipy"))
    places = [(r.text, r.path, r.line) for r in made.dependencies]
    assert places == [
        ("python", "base.yml", 3),
        ("numpy", "base.yml", 4),
        ("scipy", "extra.yml", 3),
    ]


def test_a_later_entry_stands_in_for_an_earlier_one_and_that_is_noted() -> None:
    made = merged(listed("base.yml", "python", "numpy=1.26"), listed("extra.yml", "NumPy=2"))
    assert texts(made.dependencies) == ["python", "NumPy=2"]
    (note,) = made.messages
    assert str(note) == ("extra.yml:3:3: note: `NumPy=2` stands in for `numpy=1.26` of base.yml:4")


def test_the_same_entry_again_is_no_news() -> None:
    made = merged(listed("base.yml", "numpy >= 2"), listed("extra.yml", "numpy>=2"))
    assert made.messages == ()


def test_an_entry_for_some_platforms_leaves_the_others_as_they_were() -> None:
    made = merged(listed("base.yml", "numpy=1"), listed("extra.yml", "numpy=2  # [linux]"))
    on = {p: texts(spec.on(made, p)) for p in ("linux-64", "osx-arm64")}
    assert on == {"linux-64": ["numpy=2"], "osx-arm64": ["numpy=1"]}


def test_conda_and_pip_are_looked_at_apart() -> None:
    pip = "- pip:\n  - Some_Thing==1\n"
    made = merged(
        listed("base.yml", "some-thing=3", tail=pip),
        listed("extra.yml", "python", tail=pip.replace("Some_Thing==1", "some-thing==2")),
    )
    assert texts(made.dependencies) == ["some-thing=3", "python"]
    assert texts(made.pip) == ["some-thing==2"]


def test_of_a_variable_the_later_value_counts() -> None:
    made = merged(
        listed("a.yml", "x", tail="variables: {A: 1, B: 2}\n"),
        listed("b.yml", "y", tail="variables: {A: 3}\n"),
    )
    assert made.variables == (("A", "3"), ("B", "2"))


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("[b]", "[a, b]", ["a", "b"]),
        ("[a, b]", "[b]", ["a", "b"]),
        ("[]", "[a]", ["a"]),
        ("[a, nodefaults]", "[a]", ["a"]),
    ],
)
def test_the_longest_list_of_channels_is_used(first: str, second: str, whole: list[str]) -> None:
    made = merged(listed("a.yml", "x", channels=first), listed("b.yml", "y", channels=second))
    assert texts(made.channels) == whole


def test_channels_that_do_not_agree_are_refused_at_their_place() -> None:
    with pytest.raises(SpecError) as caught:
        merged(listed("a.yml", "x", channels="[a, b]"), listed("b.yml", "y", channels="[a]"))
    assert (caught.value.path, caught.value.line, caught.value.column) == ("b.yml", 1, 12)
    assert caught.value.message == "these channels do not go with those of a.yml: `a`, `b`"


def test_an_envwatch_yml_says_platforms_in_place_of_the_files() -> None:
    single = listed("a.yml", "x", tail="platforms: [win-64]\n")
    made = layers.compose([single], "a.yml", Composition(platforms=("osx-arm64",)))
    assert made.platforms == ("osx-arm64",)
    assert made.digest != single.digest


def test_what_says_nothing_changes_nothing() -> None:
    single = listed("a.yml", "x")
    assert layers.compose([single], "a.yml", Composition()) is single


def test_virtual_packages_are_part_of_the_identity() -> None:
    single = listed("a.yml", "x")
    made = layers.compose(
        [single], "a.yml", Composition(virtual_packages=(Requirement("__cuda=12.4"),))
    )
    assert made.digest != single.digest
    assert spec.virtual_overrides(made, "linux-64") == (("__cuda", "12.4"),)


def test_what_is_kept_of_the_layers_gives_the_same_spec_again() -> None:
    kept = Composition(
        (Layer("a.yml", "dependencies: [x=1, y]\n"), Layer("b.yml", "dependencies: [x=2]\n"))
    )
    made = layers.read("whatever was rendered", "envwatch.yml", kept)
    parts = [part(layer.path, layer.text) for layer in kept.layers]
    assert made == layers.merge(parts, "envwatch.yml")


# ---------------------------------------------------------------- rules that hold for all files

NAMES = st.sampled_from(["numpy", "scipy", "zlib", "r-base", "py_thing"])
VERSIONS = st.sampled_from(["", "=1", ">=2,<3", "==1.0=py*_0", " >=1.5"])
SELECTORS = st.sampled_from(["", "  # [linux]", "  # [not win]", "  # [osx or win]", "  # [arm64]"])
LINES = st.lists(st.tuples(NAMES, VERSIONS, SELECTORS).map("".join), unique=True, max_size=5)
TAILS = st.sampled_from(["", "variables: {A: 'x # y', B: \"\\x85\"}\n", "platforms: [win-64]\n"])
PIPS = st.sampled_from(
    ["", "- pip:\n  - httpx[http2]>=0.27\n  - a @ https://e.org/a-1-py3-none-any.whl\n"]
)
FILES = st.tuples(LINES, PIPS, TAILS)


def files_of(found: list[tuple[list[str], str, str]]) -> list[Spec]:
    return [
        part(
            f"f{n}.yml",
            "channels: [a]\ndependencies:"
            + ("\n" + "".join(f"- {line}\n" for line in lines) + pip if lines or pip else " []\n")
            + tail,
        )
        for n, (lines, pip, tail) in enumerate(found)
    ]


@given(st.tuples(FILES, FILES, FILES))
def test_merging_is_associative(found: tuple[tuple[list[str], str, str], ...]) -> None:
    a, b, c = files_of(list(found))
    assert (
        merged(merged(a, b), c).digest == merged(a, merged(b, c)).digest == merged(a, b, c).digest
    )


@given(FILES)
def test_a_file_merged_with_itself_is_itself(found: tuple[list[str], str, str]) -> None:
    (single,) = files_of([found])
    assert merged(single, single).digest == single.digest


@given(st.lists(FILES, min_size=1, max_size=4))
def test_the_merged_file_asks_for_the_same(found: list[tuple[list[str], str, str]]) -> None:
    made = merged(*files_of(found))
    text = layers.render(replace(made, description='a "b": c'), "demo", ["f0.yml"])
    again = part("environment.yml", text)
    assert again.digest == made.digest
    assert (again.name, again.description) == ("demo", 'a "b": c')


@given(st.lists(st.sampled_from(PLATFORMS), min_size=1, unique=True))
def test_a_selector_names_exactly_its_platforms(platforms: list[str]) -> None:
    wanted = tuple(p for p in PLATFORMS if p in platforms)
    assert select(expression(wanted)) == wanted
