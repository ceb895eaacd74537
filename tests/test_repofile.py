"""`envwatch.yml` as it is read: every word, every mistake with its place, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.model import Level, Message
from envwatch.repofile import MOST_ENVIRONMENTS, RepoFile, read
from envwatch.repowords import over

WHOLE = """
environments:
  ocean:
    files: [../base/environment.yml, environment.yml]
    lock: conda-lock.yml
    platforms: [linux-64, osx-arm64]
    virtual_packages: ["__cuda=12.4"]
    description: For the
      ocean
    labels: {team: ocean, year: 2026}
    kernel: {display_name: "Ocean (2026)"}
    retention: {keep_last: 10, keep_days: 90.5}
    update: "@weekly"
  plain:
defaults:
  platforms: [win-64]
  labels: {team: all, cost: "7"}
layers: [common.yml]
"""


def repo(text: str, path: str = "team/envwatch.yml") -> RepoFile:
    return read(text.encode(), path=path)


def error(text: str) -> Message:
    (found,) = [m for m in repo(text).messages if m.level is Level.ERROR]
    return found


def test_every_word_is_read() -> None:
    read_ = repo(WHOLE)
    ocean, plain = read_.environments
    words = ocean.words
    assert read_.messages == ()
    assert [f.text for f in ocean.files] == ["base/environment.yml", "team/environment.yml"]
    assert (words.lock, words.platforms) == ("team/conda-lock.yml", ("linux-64", "osx-arm64"))
    assert (words.description, words.kernel) == ("For the ocean", "Ocean (2026)")
    assert (words.keep_last, words.keep_days, words.update) == (10, 90.5, "@weekly")
    assert words.labels == (("team", "ocean"), ("year", "2026"))
    assert [v.text for v in words.virtual_packages] == ["__cuda=12.4"]
    assert (plain.name, plain.files) == ("plain", ())
    assert [f.text for f in read_.layers] == ["team/common.yml"]


def test_an_entry_goes_before_the_defaults_and_labels_add_up() -> None:
    read_ = repo(WHOLE)
    words = over(read_.environments[0].words, read_.defaults)
    assert words.platforms == ("linux-64", "osx-arm64")
    assert words.labels == (("cost", "7"), ("team", "ocean"), ("year", "2026"))
    assert over(read_.environments[1].words, read_.defaults).platforms == ("win-64",)


@pytest.mark.parametrize(
    ("said", "place", "text"),
    [
        ("files: [../../x.yml]", (3, 13), "`../../x.yml` leads out of the source"),
        ("files: [/etc/x.yml]", (3, 13), "`/etc/x.yml` is not a path in the source"),
        ('files: ["C:\\\\x.yml"]', (3, 13), "`C:\\x.yml` is not a path in the source"),
        (
            "files: [envwatch.yml]",
            (3, 13),
            "`envwatch.yml` is an `envwatch.yml`, not an environment",
        ),
        ("files: [x.txt]", (3, 13), "`x.txt` is not a yaml file"),
        ("files: [a.yml, ./a.yml]", (3, 20), "`./a.yml` is already on line 3"),
        ("files: a.yml", (3, 12), "`files` must be a list, not text"),
        ('files: ["a\\u202e.yml"]', (3, 13), "`a\\u202e.yml` is not a path"),
        ("platforms: [linux64]", (3, 17), "`linux64` is not a platform"),
        ("virtual_packages: [cuda]", (3, 24), "`cuda` is not a virtual package"),
        ("labels: {-a: b}", (3, 14), "`-a` cannot be a label"),
        ("labels: {a: [b]}", (3, 17), "the label `a` must be text, not a list"),
        ('labels: {a: "b\\tc"}', (3, 17), "the label `a` is `b\\tc`, which does not print"),
        ("kernel: Ocean", (3, 13), "`kernel` must be a mapping, not text"),
        ("retention: {keep_last: 0}", (3, 28), "`keep_last` cannot be `0`"),
        ("retention: {keep_days: ten}", (3, 28), "`keep_days` cannot be `ten`"),
        ("update: sometimes", (3, 13), "`sometimes` is not a time in cron's words"),
        ("lock: locks.yml", (3, 11), "`locks.yml` is not called as a lock is"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_spoils_its_entry(
    said: str, place: tuple[int, int], text: str
) -> None:
    read_ = repo(f"environments:\n  x:\n    {said}\n  y:\n")
    problem = read_.environments[0].problem
    assert problem is not None
    assert (problem.text, (problem.line, problem.column)) == (text, place)
    assert read_.environments[1].problem is None
    assert read_.broken is None


@pytest.mark.parametrize(
    "text",
    [
        "environments: [x]\n",
        "- a\n",
        "environments: {\n",
        "dependencies: [x]\n",
        "defaults: {platforms: [dos]}\n",
        "layers: [../../x.yml]\n",
        "environments: &a {x: }\ndefaults: *a\n",
        "environments:\n  x:\n  x:\n",
        "environments: {x: \x07}\n",
        "",
    ],
)
def test_a_mistake_outside_of_one_environment_spoils_the_file(text: str) -> None:
    assert repo(text).broken is not None


def test_an_unknown_key_is_a_warning_with_the_nearest_known_one() -> None:
    (message,) = repo("environments:\n  x:\n    file: [a.yml]\n").messages
    assert str(message) == (
        "team/envwatch.yml:3:5: warning: the key `file` is not known and is ignored "
        "(did you mean `files`?)"
    )


def test_environments_are_counted() -> None:
    entries = "".join(f"  e{n}:\n" for n in range(MOST_ENVIRONMENTS + 1))
    assert error(f"environments:\n{entries}").text == "201 environments, at most 200 are read"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("labels: {" + ", ".join(f"l{n}: x" for n in range(33)) + "}", "33 labels, at most 32"),
        ("labels: {a: " + "x" * 101 + "}", "the label `a` has 101 characters, at most 100"),
        ("labels: {" + "a" * 64 + ": x}", "cannot be a label"),
        ("description: " + "x" * 1001, "`description` has 1001 characters, at most 1000"),
        ("files: [" + ", ".join(f"{n}.yml" for n in range(17)) + "]", "17 entries, at most 16"),
    ],
)
def test_what_is_too_long_is_refused(said: str, text: str) -> None:
    assert text in error(f"environments:\n  x:\n    {said}\n").text


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_it_can_bear(data: bytes) -> None:
    read(data, path="envwatch.yml")


PATHS = st.lists(st.sampled_from(["..", ".", "a", "b", "", "x.yml", "~"]), min_size=1, max_size=6)


@given(PATHS)
def test_no_path_leads_out_of_the_source(names: list[str]) -> None:
    text = f'environments: {{x: {{files: ["{"/".join(names)}/y.yml"]}}}}'
    for file in repo(text, "a/b/envwatch.yml").environments[0].files:
        assert not file.text.startswith(("/", "..", "~"))
        assert "/../" not in file.text
