"""What every solver promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_conda
import pytest
from solver_helpers import HOST, PLATFORMS, environment, make_request, versions

from envwatch.errors import FetchError, SolveError
from envwatch.model import Lock
from envwatch.settings import SolveOptions
from envwatch.solvers import Request, Solver, open_solver

Ask = Callable[..., Request]


@pytest.fixture(params=["rattler", pytest.param("conda-lock", marks=pytest.mark.peer)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def solver(name: str) -> Solver:
    return open_solver(name)


@pytest.fixture
def ask(name: str, channel: Path, tmp_path: Path) -> Ask:
    """A request with the options of this solver; the test's channel unless others are given."""
    program = fake_conda.install(tmp_path)
    options = SolveOptions(solver=name, executable=str(program), timeout=60)

    def make(
        *dependencies: str,
        pip: Sequence[str] = (),
        tail: str = "",
        channels: Sequence[Path | str] = (channel,),
        virtual: tuple[str, ...] = (),
        **given: Any,
    ) -> Request:
        text = environment(*dependencies, pip=pip, tail=tail)
        chosen = replace(options, virtual_packages=virtual)
        return make_request(text, channels, tmp_path, options=chosen, **given)

    return make


def test_newest_versions_are_chosen(solver: Solver, ask: Ask) -> None:
    assert versions(solver.solve(ask("stepped"))) == {"stepped": "2.0", "tiny": "2.0"}


def test_version_of_the_file_is_kept_to(solver: Solver, ask: Ask) -> None:
    assert versions(solver.solve(ask("tiny=1"))) == {"tiny": "1.1"}


def test_package_is_known_whole(solver: Solver, ask: Ask, channel: Path) -> None:
    (package,) = solver.solve(ask("tiny")).packages
    file = channel / "noarch" / package.file_name
    assert (package.url, package.size) == (file.as_uri(), file.stat().st_size)
    assert (package.noarch, package.subdir, package.requested) == ("generic", "noarch", True)
    assert (len(package.sha256), len(package.md5)) == (64, 32)


def test_only_what_the_file_names_is_requested(solver: Solver, ask: Ask) -> None:
    lock = solver.solve(ask("stepped"))
    assert {p.name: p.requested for p in lock.packages} == {"stepped": True, "tiny": False}


def test_each_platform_gets_its_own_build(solver: Solver, ask: Ask) -> None:
    lock = solver.solve(ask("native", platforms=PLATFORMS))
    assert [(p.platform, p.subdir) for p in lock.packages] == [(p, p) for p in PLATFORMS]


def test_selector_keeps_a_line_for_its_platform(solver: Solver, ask: Ask) -> None:
    lock = solver.solve(ask("native", "tiny  # [osx]", platforms=(HOST, "osx-arm64")))
    assert (set(versions(lock)), set(versions(lock, "osx-arm64"))) == (
        {"native"},
        {"native", "tiny"},
    )


def test_last_lock_is_kept_to(solver: Solver, ask: Ask) -> None:
    old = solver.solve(ask("tiny=1.0"))
    assert versions(solver.solve(ask("tiny", "native", previous=old))) == {
        "tiny": "1.0",
        "native": "1.0",
    }


def test_last_lock_gives_way_to_the_file(solver: Solver, ask: Ask) -> None:
    old = solver.solve(ask("tiny=1.0"))
    assert versions(solver.solve(ask("stepped=2", previous=old)))["tiny"] == "2.0"


def test_what_nothing_needs_any_more_is_dropped(solver: Solver, ask: Ask) -> None:
    old = solver.solve(ask("stepped", "native"))
    assert set(versions(solver.solve(ask("native", previous=old)))) == {"native"}


def test_withdrawn_package_of_the_last_lock_is_not_chosen_again(solver: Solver, ask: Ask) -> None:
    (package,) = solver.solve(ask("tiny=1.0")).packages
    gone = replace(package, version="0.5", url=package.url.replace("1.0", "0.5"))
    old = Lock(platforms=(HOST,), channels=(), packages=(gone,))
    assert versions(solver.solve(ask("tiny", previous=old))) == {"tiny": "2.0"}


def test_first_channel_wins(solver: Solver, ask: Ask, channel: Path, second_channel: Path) -> None:
    lock = solver.solve(ask("only-second", channels=[channel, second_channel]))
    assert versions(lock) == {"only-second": "1.0", "tiny": "2.0"}
    assert lock.channels == (channel.as_uri(), second_channel.as_uri())


def test_missing_package_is_named_with_its_line(solver: Solver, ask: Ask) -> None:
    with pytest.raises(SolveError, match="no channel has a package `no-such-thing`") as e:
        solver.solve(ask("tiny", "no-such-thing"))
    assert e.value.line == 5


def test_misspelt_package_is_answered_with_near_names(solver: Solver, ask: Ask) -> None:
    with pytest.raises(SolveError) as e:
        solver.solve(ask("steped"))
    assert e.value.hint == "did you mean `stepped`?"


def test_version_that_no_channel_has_is_answered_with_those_it_has(
    solver: Solver, ask: Ask
) -> None:
    with pytest.raises(SolveError, match="no version of `tiny` fits `tiny>=7`") as e:
        solver.solve(ask("tiny>=7"))
    assert (e.value.line, e.value.hint) == (4, "there is 2.0, 1.1, 1.0")


def test_conflict_is_shown_with_lines(solver: Solver, ask: Ask) -> None:
    with pytest.raises(SolveError, match=r"conflict-new-tiny \(line 5\)") as e:
        solver.solve(ask("conflict-old-tiny", "conflict-new-tiny"))
    assert e.value.line in (4, 5)


def test_virtual_package_that_the_machine_lacks_is_named(solver: Solver, ask: Ask) -> None:
    with pytest.raises(SolveError, match=r"`needs-new-glibc` needs `__glibc >=2\.99`") as e:
        solver.solve(ask("needs-new-glibc"))
    assert "CONDA_OVERRIDE_GLIBC" in e.value.hint


def test_virtual_package_of_the_config_counts(solver: Solver, ask: Ask) -> None:
    lock = solver.solve(ask("needs-cuda", virtual=("__cuda=12.4",)))
    assert versions(lock) == {"needs-cuda": "1.0"}


def test_virtual_package_of_the_file_counts(solver: Solver, ask: Ask) -> None:
    tail = 'variables: {CONDA_OVERRIDE_GLIBC: "2.99"}\n'
    assert versions(solver.solve(ask("needs-new-glibc", tail=tail))) == {"needs-new-glibc": "1.0"}


def test_pip_list_without_python_is_refused_at_its_line(solver: Solver, ask: Ask) -> None:
    with pytest.raises(SolveError, match="the `pip:` list needs python") as e:
        solver.solve(ask("tiny", pip=["requests"]))
    assert (e.value.line, e.value.hint) == (6, "add `python` to `dependencies:`")


def test_pip_list_itself_is_not_solved(solver: Solver, ask: Ask) -> None:
    lock = solver.solve(ask("python", pip=["no-such-project-anywhere"]))
    assert "python" in versions(lock)
    assert lock.pip_platforms == ()


def test_channel_that_does_not_exist_is_named(solver: Solver, ask: Ask) -> None:
    with pytest.raises(FetchError, match="channel `file:///nowhere` does not exist") as e:
        solver.solve(ask("tiny", channels=["file:///nowhere"]))
    assert not e.value.retry
