"""The local executor: children that end well, badly, late, or not at all."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from envwatch.executors import Ending, Outcome
from envwatch.executors.local import LocalExecutor
from envwatch.model import BuildState, EnvKey, Folders, Job, JobKind, Progress, Spec
from envwatch.settings import BuildLimits

SPEC = Spec("demo", (), (), (), (), (), "", "")


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    executor = LocalExecutor("children")
    executor.start()
    yield executor
    executor.stop()


def job(tmp_path: Path, what: str) -> Job:
    f = tmp_path
    folders = Folders(f / "prefix", f / "record", f, f, f, f, f)
    return Job(JobKind.BUILD, 7, EnvKey("ns", "demo"), SPEC, what, (), ("linux-64",), folders)


def run(
    executor: LocalExecutor, tmp_path: Path, what: str, limits: BuildLimits | None = None
) -> Outcome:
    return executor.run(
        job(tmp_path, what),
        log=tmp_path / "log",
        limits=limits or BuildLimits(),
        beat=lambda *_: None,
    )


def test_a_record_is_a_result(executor: LocalExecutor, tmp_path: Path) -> None:
    outcome = run(executor, tmp_path, "finishes")
    assert outcome.ending is Ending.RESULT
    assert outcome.result is not None
    assert outcome.result.build_id == 7
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_crash_after_the_record_does_not_matter(executor: LocalExecutor, tmp_path: Path) -> None:
    assert run(executor, tmp_path, "crashes_after_its_record").ending is Ending.RESULT


def test_a_child_without_a_record_died(executor: LocalExecutor, tmp_path: Path) -> None:
    outcome = run(executor, tmp_path, "dies")
    assert outcome.ending is Ending.DIED
    assert "signal 9" in outcome.detail


def test_an_old_record_is_not_taken_for_a_new_one(executor: LocalExecutor, tmp_path: Path) -> None:
    run(executor, tmp_path, "finishes")
    assert run(executor, tmp_path, "dies").ending is Ending.DIED


@pytest.mark.parametrize(
    ("what", "limits", "word"),
    [
        ("hangs", BuildLimits(timeout=0.5), "builds.timeout"),
        ("hangs", BuildLimits(silence=0.5), "builds.silence"),
        ("floods", BuildLimits(log_size=100_000), "builds.log_size"),
        ("eats", BuildLimits(memory=150 * 2**20), "builds.memory"),
    ],
)
def test_a_limit_ends_a_child_and_is_named(
    executor: LocalExecutor, tmp_path: Path, what: str, limits: BuildLimits, word: str
) -> None:
    outcome = run(executor, tmp_path, what, limits)
    assert outcome.ending is Ending.LIMIT
    assert word in outcome.detail


def test_progress_is_told_and_can_stop_a_child(executor: LocalExecutor, tmp_path: Path) -> None:
    seen: list[BuildState] = []

    def beat(progress: Progress | None, _: object) -> BuildState | None:
        if progress is not None:
            seen.append(progress.state)
        return BuildState.CANCELLED if BuildState.LINKING in seen else None

    outcome = executor.run(
        job(tmp_path, "tells"), log=tmp_path / "log", limits=BuildLimits(), beat=beat
    )
    assert seen == [BuildState.SOLVING, BuildState.LINKING]
    assert (outcome.ending, outcome.stop) == (Ending.STOPPED, BuildState.CANCELLED)


def test_stopping_ends_grandchildren_too(executor: LocalExecutor, tmp_path: Path) -> None:
    pid = tmp_path / "record" / "grandchild"

    def beat(*_: object) -> BuildState | None:
        return BuildState.CANCELLED if pid.exists() and pid.read_text() else None

    executor.run(
        job(tmp_path, "hangs_with_children"), log=tmp_path / "log", limits=BuildLimits(), beat=beat
    )
    process = Path("/proc") / pid.read_text()
    wait_for(
        lambda: not process.exists() or "Z" in (process / "stat").read_text().split(")")[1][:3]
    )


def test_a_child_leads_its_own_group_and_does_not_run_the_main_module(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    run(executor, tmp_path, "shows_its_surroundings")
    assert (tmp_path / "log").read_text().splitlines()[0] == "leader True"


def test_two_children_run_side_by_side(executor: LocalExecutor, tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(
            target=lambda n=n: outcomes.append(run(executor, tmp_path / n, "finishes"))
        )
        for n in ("a", "b")
    ]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [o.ending for o in outcomes] == [Ending.RESULT, Ending.RESULT]


def test_children_end_with_the_daemon(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_executor import LocalExecutor, run
        if __name__ == "__main__":
            run(LocalExecutor("children"), Path({str(tmp_path)!r}), "hangs_with_children")
    """)
    (tmp_path / "owner.py").write_text(script)
    owner = subprocess.Popen((sys.executable, tmp_path / "owner.py"))
    pid = tmp_path / "record" / "grandchild"
    wait_for(lambda: pid.exists() and pid.read_text())
    owner.kill()
    owner.wait()
    process = Path("/proc") / pid.read_text()
    wait_for(
        lambda: not process.exists() or "Z" in (process / "stat").read_text().split(")")[1][:3]
    )
