"""What can go wrong between envwatch and the external program."""

from __future__ import annotations

from pathlib import Path

import pytest
from solver_helpers import environment, make_request
from waiting import wait_for

from envwatch.errors import FetchError, SolveError
from envwatch.settings import SolveOptions
from envwatch.solvers import Request, open_solver


def program(folder: Path, create: str) -> Path:
    """A conda that answers `create …` with a few lines of shell."""
    path = folder / "conda"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo conda 24.7.1 && exit\n{create}\n')
    path.chmod(0o755)
    return path


def ask(channel: Path, tmp: Path, executable: Path | str, timeout: float = 60) -> Request:
    options = SolveOptions(solver="conda-lock", executable=str(executable), timeout=timeout)
    return make_request(environment("tiny"), [channel], tmp, options=options)


def refused(request: Request) -> str:
    with pytest.raises(SolveError) as e:
        open_solver("conda-lock").solve(request)
    return str(e.value)


def running(pid: str) -> bool:
    """A zombie is not: whoever inherited it has only to ask."""
    try:
        return ") Z " not in Path("/proc", pid, "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_missing_program_is_named(channel: Path, tmp_path: Path) -> None:
    assert "finds no `no-such-conda`" in refused(ask(channel, tmp_path, "no-such-conda"))


def test_programs_that_are_looked_for_are_named(
    channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "finds no `conda` or `mamba` or `micromamba`" in refused(ask(channel, tmp_path, ""))


def test_program_that_does_not_answer_is_stopped(channel: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    executable = program(tmp_path, f"echo $$ > {started}; exec tail -f /dev/null")
    assert "gave no answer within 4 s" in refused(ask(channel, tmp_path, executable, timeout=4))
    wait_for(lambda: not running(started.read_text().strip()))


def test_program_that_breaks_is_told(channel: Path, tmp_path: Path) -> None:
    executable = program(tmp_path, "echo no json here; exit 0")
    assert f"conda-lock with `{executable}` failed" in refused(ask(channel, tmp_path, executable))


def test_trouble_with_the_network_may_be_tried_again(channel: Path, tmp_path: Path) -> None:
    answer = '{"message": "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://x>"}'
    executable = program(tmp_path, f"echo '{answer}'; exit 1")
    with pytest.raises(FetchError, match="cannot read the channels: CondaHTTPError") as e:
        open_solver("conda-lock").solve(ask(channel, tmp_path, executable))
    assert e.value.retry


def test_secrets_of_this_process_do_not_reach_the_program(
    channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    seen = tmp_path / "seen"
    executable = program(tmp_path, f"env > {seen}; exit 1")
    refused(ask(channel, tmp_path, executable))
    assert "canary" not in seen.read_text()
    assert "CONDA_CHANNEL_PRIORITY=strict" in seen.read_text()


def test_nothing_is_left_of_the_program_run(channel: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert "gave no reason" in refused(ask(channel, scratch, program(tmp_path, "exit 1")))
    assert [p.name for p in scratch.iterdir() if p.name != "repodata"] == []
