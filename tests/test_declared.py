"""`envwatch.yml` in a snapshot: what becomes an environment, what keeps serving, what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from envwatch.model import EnvKey, FileState, Plan, Snapshot, SourceFile, Standing
from envwatch.plan import Rules, make_plan
from envwatch.settings import NamespaceSettings, Network

NAMESPACE = NamespaceSettings("analyst")
RULES = Rules(NAMESPACE, Network(), ("linux-64",))
BASE = "dependencies: [python, numpy=1.26]\n"
OCEAN = "dependencies: [xarray]\n"
TWO = "environments:\n  ocean:\n    files: [base.yml, ocean.yml]\n"
TREE = {"base.yml": BASE, "ocean.yml": OCEAN, "envwatch.yml": TWO}


def plan(files: Mapping[str, str], standing: Sequence[Standing] = (), rules: Rules = RULES) -> Plan:
    listed = tuple(SourceFile(p, f"{hash(t)}", t.encode()) for p, t in files.items())
    return make_plan(Snapshot("team", "r1", listed), standing, rules)


def after(files: Mapping[str, str]) -> tuple[Standing, ...]:
    """What the catalog would know after these files."""
    return tuple(Standing(a.key, "team", a.path, a.digest) for a in plan(files).build)


def built(made: Plan) -> dict[str, str]:
    return {a.key.name: a.path for a in made.build}


def states(made: Plan) -> dict[str, FileState]:
    return {f.path: f.state for f in made.files}


def said(made: Plan) -> list[str]:
    return [str(m) for f in made.files for m in f.messages if m.level != "note"]


def test_files_are_merged_into_one_environment_and_are_none_themselves() -> None:
    made = plan(TREE)
    assert built(made) == {"ocean": "envwatch.yml"}
    assert [r.text for r in made.build[0].spec.dependencies] == ["python", "numpy=1.26", "xarray"]
    assert set(states(made).values()) == {FileState.UNDERSTOOD}
    assert "a part of `ocean`" in [m.text for f in made.files for m in f.messages]


def test_what_is_shown_is_the_merged_file() -> None:
    text = plan(TREE).build[0].text
    assert text.startswith(
        "# merged by envwatch.yml from\n#   base.yml\n#   ocean.yml\nname: ocean\n"
    )


def test_a_part_that_is_declared_too_is_an_environment_as_well() -> None:
    text = TWO + "  base:\n    files: [base.yml]\n"
    assert built(plan({**TREE, "envwatch.yml": text})) == {
        "ocean": "envwatch.yml",
        "base": "base.yml",
    }


def test_a_file_that_another_folder_merges_stays_what_it_is() -> None:
    files = {
        "base/environment.yml": BASE,
        "ocean/environment.yml": OCEAN,
        "ocean/envwatch.yml": (
            "environments: {sea: {files: [environment.yml, ../base/environment.yml]}}\n"
        ),
    }
    assert built(plan(files)) == {"base": "base/environment.yml", "sea": "ocean/envwatch.yml"}


def test_a_layer_is_no_environment() -> None:
    files = {
        "common.yml": BASE,
        "envwatch.yml": "layers: [common.yml]\n",
        "a/own.yml": OCEAN,
        "a/envwatch.yml": "environments: {a: {files: [../common.yml, own.yml]}}\n",
    }
    assert built(plan(files)) == {"a": "a/envwatch.yml"}


def test_a_layer_that_is_not_there_is_told() -> None:
    made = plan({"base.yml": BASE, "envwatch.yml": "layers: [comon.yml]\n"})
    (line,) = said(made)
    assert line.startswith("envwatch.yml:1:10: warning: the layer `comon.yml` has no effect")


def test_a_change_of_one_layer_builds_what_uses_it_and_nothing_else() -> None:
    text = TWO + "  sea: {files: [sea.yml]}\n  ice: {files: [base.yml, ice.yml]}\n"
    files = {**TREE, "envwatch.yml": text, "sea.yml": OCEAN, "ice.yml": "dependencies: [zlib]\n"}
    standing = after(files)
    changed = {**files, "base.yml": BASE.replace("1.26", "2.0")}
    assert sorted(built(plan(changed, standing))) == ["ice", "ocean"]
    assert sorted(built(plan({**files, "ice.yml": OCEAN}, standing))) == ["ice"]


def test_a_comment_in_a_layer_is_no_change() -> None:
    made = plan({**TREE, "base.yml": f"# hello\n{BASE}"}, after(TREE))
    assert (made.build, len(made.touch)) == ((), 1)


def test_labels_kernel_and_description_are_no_change_of_the_packages() -> None:
    text = TWO + "    labels: {team: ocean}\n    description: Sea\n    kernel: {display_name: K}\n"
    made = plan({**TREE, "envwatch.yml": text}, after(TREE))
    (ask,) = made.touch
    assert made.build == ()
    assert (ask.wishes.labels, ask.wishes.kernel) == ((("team", "ocean"),), "K")
    assert ask.spec.description == "Sea"


def test_platforms_are_a_change() -> None:
    text = TWO + "    platforms: [osx-arm64]\n"
    assert built(plan({**TREE, "envwatch.yml": text}, after(TREE))) == {"ocean": "envwatch.yml"}


def test_an_entry_without_files_speaks_of_the_file_of_that_name() -> None:
    files = {
        "sea.yml": OCEAN,
        "envwatch.yml": "environments: {sea: {labels: {a: b}}}\ndefaults: {labels: {c: d}}\n",
    }
    (ask,) = plan(files).build
    assert (ask.path, ask.wishes.labels) == ("sea.yml", (("a", "b"), ("c", "d")))


def test_an_entry_that_nothing_is_called_so_is_told() -> None:
    made = plan({"sea.yml": OCEAN, "envwatch.yml": "environments: {see: {labels: {a: b}}}\n"})
    assert built(made) == {"sea": "sea.yml"}
    assert states(made)["envwatch.yml"] is FileState.REFUSED
    assert "no environment file in this folder or below is called `see`" in said(made)[0]


def test_the_nearest_envwatch_yml_speaks_alone() -> None:
    files = {
        "a/x.yml": OCEAN,
        "a/envwatch.yml": "defaults: {labels: {a: b}}\n",
        "envwatch.yml": "defaults: {labels: {c: d}}\n",
        "y.yml": OCEAN,
    }
    labels = {a.key.name: a.wishes.labels for a in plan(files).build}
    assert labels == {"x": (("a", "b"),), "y": (("c", "d"),)}


def test_one_file_may_become_two_environments() -> None:
    text = "environments:\n  cpu: {files: [ml.yml]}\n"
    text += '  gpu: {files: [ml.yml], virtual_packages: ["__cuda=12.4"]}\n'
    made = plan({"ml.yml": OCEAN, "envwatch.yml": text})
    assert built(made) == {"cpu": "ml.yml", "gpu": "ml.yml"}
    assert len({a.digest for a in made.build}) == 2
    assert len([f for f in made.files if f.path == "ml.yml"]) == 1


# ---------------------------------------------------------------- what is broken


@pytest.mark.parametrize(
    "broken", [": {", "environments: [ocean]\n", "defaults: {platforms: [dos]}\n", "\x07"]
)
def test_a_broken_file_leaves_everything_as_it_is(broken: str) -> None:
    files = {**TREE, "sea.yml": OCEAN, "a/other.yml": OCEAN}
    made = plan({**files, "envwatch.yml": broken}, after(files))
    assert (made.build, made.touch, made.retire) == ((), (), ())
    assert {k.name for k, _ in made.invalid} == {"ocean", "sea", "other"}
    assert states(made)["envwatch.yml"] is FileState.REFUSED


def test_a_broken_file_makes_no_environment_of_its_layers() -> None:
    made = plan({**TREE, "envwatch.yml": ": {"})
    assert made.build == ()
    assert "nothing changes here until this is mended: envwatch.yml:1:" in said(made)[0]


def test_a_broken_file_in_a_folder_stops_no_other_folder() -> None:
    made = plan({**TREE, "a/envwatch.yml": ": {", "a/x.yml": OCEAN, "b/y.yml": OCEAN})
    assert built(made) == {"ocean": "envwatch.yml", "y": "b/y.yml"}


def test_a_mistake_in_one_entry_keeps_back_that_environment_alone() -> None:
    text = TWO + "  sea: {files: [sea.yml]}\n"
    files = {**TREE, "envwatch.yml": text, "sea.yml": OCEAN}
    wrong = text.replace("files: [base.yml, ocean.yml]", "files: [base.yml, ocaen.yml]")
    changed = {**files, "envwatch.yml": wrong, "sea.yml": BASE}
    made = plan(changed, after(files))
    assert built(made) == {"sea": "sea.yml"}
    ((key, message),) = made.invalid
    assert key == EnvKey("analyst", "ocean")
    assert str(message).startswith("envwatch.yml:3:23: `ocaen.yml` is not among the files of this")


def test_a_broken_layer_keeps_back_what_is_made_of_it_at_its_own_line() -> None:
    made = plan({**TREE, "base.yml": "dependencies:\n- python\n- num py\n"}, after(TREE))
    ((key, message),) = made.invalid
    assert (key.name, message.path, message.line) == ("ocean", "base.yml", 3)
    assert states(made)["base.yml"] is FileState.REFUSED
    assert made.retire == ()


def test_channels_that_are_not_allowed_are_told_at_the_line_of_their_file() -> None:
    files = {**TREE, "ocean.yml": "channels: [conda-forge]\ndependencies: ['evil::xarray']\n"}
    rules = replace(RULES, namespace=replace(NAMESPACE, allowed_channels=("conda-forge",)))
    made = plan(files, rules=rules)
    (line,) = said(made)
    assert line.startswith("ocean.yml:2:16: the channel `evil` is not allowed")


def test_a_name_that_a_file_has_already_is_not_taken_from_it() -> None:
    files = {"ocean.yml": OCEAN}
    more = {**files, "a/envwatch.yml": "environments: {ocean: {files: [x.yml, y.yml]}}\n"}
    made = plan({**more, "a/x.yml": BASE, "a/y.yml": OCEAN}, after(files))
    assert [a.path for a in made.touch] == ["ocean.yml"]
    assert "environment `analyst/ocean` is defined by ocean.yml already" in said(made)[0]


def test_an_envwatch_yml_that_goes_gives_its_files_back() -> None:
    made = plan({"base.yml": BASE, "ocean.yml": OCEAN}, after(TREE))
    assert built(made) == {"base": "base.yml", "ocean": "ocean.yml"}


# ---------------------------------------------------------------- locks and virtual packages


@pytest.mark.parametrize(
    ("lock", "more", "found"),
    [
        ("conda-lock.yml", "", True),
        ("ocean.conda-lock.yml", "", True),
        ("conda-lock.yml", "  sea: {files: [sea.yml, base.yml]}\n", False),
        ("locks/conda-lock.yml", "    lock: locks/conda-lock.yml\n", True),
        ("base.conda-lock.yml", "", False),
    ],
)
def test_the_lock_of_merged_files(lock: str, more: str, found: bool) -> None:
    files = {**TREE, "envwatch.yml": TWO + more, "sea.yml": OCEAN, lock: "version: 1\n"}
    (ask,) = [a for a in plan(files).build if a.key.name == "ocean"]
    assert bool(ask.lock_text) is found


def test_a_lock_that_is_named_and_not_there_is_told() -> None:
    made = plan({**TREE, "envwatch.yml": TWO + "    lock: conda-lock.yml\n"})
    assert built(made) == {"ocean": "envwatch.yml"}
    assert "envwatch.yml:4:5: warning: the lock `conda-lock.yml` is not there" in said(made)[0]


def test_a_file_of_virtual_packages_is_read() -> None:
    virtual = 'subdirs: {linux-64: {packages: {__cuda: "12.0", __archspec: "1 x86_64"}}}\n'
    files = {**TREE, "v.yml": virtual, "envwatch.yml": TWO + "    virtual_packages: v.yml\n"}
    (ask,) = plan(files).build
    found = [(v.text, v.platforms, v.path) for v in ask.spec.virtual_packages]
    linux = ("linux-64",)
    assert found == [("__cuda=12.0", linux, "v.yml"), ("__archspec=1=x86_64", linux, "v.yml")]
    assert ask.composition.virtual_text == virtual


@pytest.mark.parametrize(
    ("virtual", "problem"),
    [
        ("subdirs: {dos: {packages: {}}}\n", "v.yml:1:11: `dos` is not a platform"),
        ("a: b\n", "v.yml:1:1: not a file of virtual packages"),
        ("subdirs: {linux-64: {packages: {cuda: 1}}}\n", "`cuda` is not a virtual package"),
        ("subdirs: {linux-64: {packages: {__cuda: [1]}}}\n", "`__cuda` needs a version"),
        ("subdirs: {linux-64: }\n", "`linux-64` has no `packages:`"),
    ],
)
def test_a_wrong_file_of_virtual_packages_is_told_at_its_line(virtual: str, problem: str) -> None:
    files = {**TREE, "v.yml": virtual, "envwatch.yml": TWO + "    virtual_packages: v.yml\n"}
    made = plan(files)
    assert made.build == ()
    assert problem in said(made)[0]


# ---------------------------------------------------------------- bounds


def test_ten_thousand_files_are_gone_through() -> None:
    files = {f"d{n}/e.yml": f"name: n{n}\ndependencies: [x]\n" for n in range(5000)}
    many = {f"d{n}/envwatch.yml": f"defaults: {{labels: {{n: '{n}'}}}}\n" for n in range(5000)}
    made = plan({**files, **many})
    assert len(made.build) == 500, "the others wait: there are too many envwatch.yml"
    assert any("more than 500 `envwatch.yml` in one source" in text for text in said(made))


def test_the_layers_of_all_environments_together_are_bounded() -> None:
    big = "dependencies: [x]\n" + "# filler\n" * 7000
    files = {f"{n}.yml": big for n in range(16)}
    listed = ", ".join(files)
    text = "environments:\n" + "".join(f"  e{n}: {{files: [{listed}]}}\n" for n in range(30))
    made = plan({**files, "envwatch.yml": text})
    assert 10 < len(made.build) < 30
    assert any("have more than 16 MiB" in text for text in said(made))
