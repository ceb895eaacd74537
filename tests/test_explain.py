"""What a person is told when no set of packages fits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from solver_helpers import environment, make_request

from envwatch.channel import Package, add, index
from envwatch.errors import SolveError
from envwatch.solvers import open_solver

Explain = Callable[..., SolveError]


@pytest.fixture
def explain(channel: Path, tmp_path: Path) -> Explain:
    def solve(*dependencies: str, **given: object) -> SolveError:
        channels = given.pop("channels", [channel])
        with pytest.raises(SolveError) as e:
            open_solver("rattler").solve(
                make_request(environment(*dependencies), channels, tmp_path, **given)
            )
        return e.value

    return solve


def test_platform_and_channels_are_named(explain: Explain, channel: Path) -> None:
    assert f"(linux-64, {channel.as_uri()})" in explain("no-such-thing").message


def test_column_is_given(explain: Explain) -> None:
    error = explain("tiny", "no-such-thing")
    assert (error.line, error.column) == (5, 3)


def test_several_near_names_are_given(explain: Explain) -> None:
    hint = explain("conflict-ol-tiny").hint
    assert hint == "did you mean `conflict-old-tiny` or `conflict-new-tiny`?"


def test_name_like_no_other_is_answered_with_the_pip_list(explain: Explain) -> None:
    assert "`pip:` list" in explain("qqqqqqqqq").hint


def test_other_channel_that_has_it_is_named(explain: Explain, second_channel: Path) -> None:
    error = explain("only-second", allowed=["file:///nowhere", second_channel.as_uri()])
    assert error.hint == f"the channel `{second_channel.as_uri()}` has it: add it to `channels:`"


def test_platform_that_has_it_is_named(explain: Explain, tmp_path: Path) -> None:
    own = tmp_path / "own"
    add(own, Package("only-mac", "1.0", subdir="osx-arm64"))
    index(own)
    error = explain("only-mac", channels=[own], platforms=["linux-64", "osx-arm64"])
    assert error.hint == "there is one for osx-arm64: keep the line for it with `# [arm64]`"


def test_missing_dependency_is_named_with_who_needs_it(explain: Explain) -> None:
    error = explain("tiny", "needs-missing")
    assert error.message.startswith(
        "`needs-missing` needs `this-package-does-not-exist >=3`, which no channel has"
    )
    assert error.line == 5


def test_missing_cuda_is_put_into_words(explain: Explain) -> None:
    error = explain("needs-cuda")
    assert "this machine does not have: no CUDA" in error.message
    assert "`virtual_packages: [__cuda=…]`" in error.hint
    assert "`CONDA_OVERRIDE_CUDA`" in error.hint


def test_conflict_names_both_lines(explain: Explain) -> None:
    message = explain("native", "conflict-old-tiny", "conflict-new-tiny").message
    assert "conflict-old-tiny (line 5)" in message
    assert "conflict-new-tiny (line 6)" in message


def test_line_of_two_for_one_package_is_the_right_one(explain: Explain) -> None:
    message = explain("tiny >=2", "tiny <1.1").message
    assert "tiny (line 4) >=2" in message
    assert "tiny (line 5) <1.1" in message


def test_long_explanation_is_cut_and_the_log_has_it_whole(
    explain: Explain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own"
    chain = [(f"step{i}", (f"step{i + 1}",)) for i in range(9)]
    parts = [*chain, ("step9", ("bottom <2",)), ("top", ("bottom >=2",))]
    parts += [("bottom", ())]
    for name, depends in parts:
        add(own, Package(name, "1.0", noarch="generic", depends=depends))
    add(own, Package("bottom", "2.0", noarch="generic"))
    index(own)
    with caplog.at_level(logging.INFO):
        message = explain("step0", "top", channels=[own]).message
    assert len(message.splitlines()) <= 12
    assert "lines, which the log has" in message
    assert "step9 1.0" in caplog.text
