"""Packages that a namespace requires, adds and holds down, and what it may take."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from catalog_helpers import commit, declare
from solver_helpers import environment, make_request, versions

from envwatch import packagerules, plan, spec
from envwatch.catalog import open_catalog
from envwatch.errors import NoSpace, SpecError
from envwatch.model import EnvKey, Spec
from envwatch.plan import Rules
from envwatch.settings import NamespaceSettings, Network, PackageRules, Quota, SolveOptions
from envwatch.solvers import open_solver
from envwatch.worker.jobs import check_quota


def parsed(*dependencies: str) -> Spec:
    listed = "".join(f"  - {d}\n" for d in dependencies)
    found = spec.parse(f"name: demo\ndependencies:\n{listed}".encode(), path="demo.yml")
    assert found is not None
    return found


def lab(**rules: tuple[str, ...]) -> NamespaceSettings:
    return NamespaceSettings("lab", packages=PackageRules(**rules))


def texts(made: Spec) -> list[str]:
    return [r.text for r in made.dependencies]


def digest(made: Spec, namespace: NamespaceSettings) -> str:
    return plan.asked_digest(made, (), (), "", Rules(namespace, Network(), ("linux-64",)))


def test_what_is_included_is_added_and_told() -> None:
    made = packagerules.applied(parsed("python"), lab(included=("ipykernel",)))
    assert texts(made) == ["python", "ipykernel"]
    (told,) = made.messages
    assert told.text == "`ipykernel` was added by the policy of `lab`"


@pytest.mark.parametrize("named", ["ipykernel", "IPyKernel=6", "conda-forge::ipykernel >=6"])
def test_what_a_file_names_is_not_added(named: str) -> None:
    made = packagerules.applied(parsed(named), lab(included=("ipykernel",)))
    assert (texts(made), made.messages) == ([named], ())


def test_what_is_required_and_missing_is_refused_with_the_rule_and_who_can_change_it() -> None:
    with pytest.raises(SpecError, match="`python` must be among the `dependencies`") as e:
        packagerules.applied(parsed("numpy"), lab(required=("python",)))
    assert "`lab`" in e.value.message
    assert "who runs envwatch can change it" in e.value.hint
    assert packagerules.applied(parsed("python=3.11"), lab(required=("python",)))


def test_what_is_held_down_is_asked_for_where_a_file_names_it() -> None:
    made = packagerules.applied(parsed("dask", "numpy"), lab(constrained=("dask=2024.1", "x=1")))
    assert texts(made) == ["dask", "numpy", "dask=2024.1"]
    assert made.messages[0].text == "`dask=2024.1` is held to this by the policy of `lab`"


def test_without_rules_nothing_changes() -> None:
    file = parsed("python")
    assert packagerules.applied(file, NamespaceSettings("lab")) is file


def test_only_rules_that_reach_a_file_ask_for_another_build() -> None:
    none, file = NamespaceSettings("lab"), parsed("python", "ipykernel")
    assert digest(file, lab(included=("ipykernel",), required=("python",))) == digest(file, none)
    assert digest(file, lab(included=("rich",))) != digest(file, none)
    assert digest(file, lab(constrained=("dask=1",))) != digest(file, none)


@pytest.mark.parametrize("builds", [0, 1, 2])
def test_no_more_builds_of_a_namespace_run_than_may(tmp_path: Path, builds: int) -> None:
    with closing(open_catalog(tmp_path / "catalog.sqlite", durable=False)) as catalog:
        declare(catalog, "team")
        for key in (
            EnvKey("lab", "a"),
            EnvKey("lab", "b"),
            EnvKey("lab", "c"),
            EnvKey("other", "d"),
        ):
            commit(catalog, "1", key)
        claimed = [catalog.builds.claim(lambda n: builds if n == "lab" else 0) for _ in range(4)]
    found = [b.key.namespace for b in claimed if b is not None]
    assert found.count("lab") == (builds or 3)
    assert found.count("other") == 1


def test_a_namespace_that_has_taken_its_disk_builds_no_more() -> None:
    full = NamespaceSettings("lab", quota=Quota(disk=1000))
    check_quota(full, 999)
    check_quota(replace(full, quota=Quota()), 10**15)
    with pytest.raises(NoSpace, match=r"`lab` takes .* of its"):
        check_quota(full, 1000)


def test_a_version_is_held_also_where_no_file_names_the_package(
    channel: Path, tmp_path: Path
) -> None:
    file = environment("stepped=1.0")
    free = make_request(file, [channel], tmp_path)
    held = make_request(file, [channel], tmp_path, options=SolveOptions(constraints=("tiny=1.0",)))
    other = make_request(file, [channel], tmp_path, options=SolveOptions(constraints=("click=1",)))
    solver = open_solver("rattler")
    assert versions(solver.solve(free))["tiny"] != "1.0"
    assert versions(solver.solve(held))["tiny"] == "1.0"
    assert versions(solver.solve(other)) == versions(solver.solve(free)), "brings none into it"
