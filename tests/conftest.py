"""What all tests share: a home that stays empty, a clean environment, real channels and repos."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from repos import GitRepo, make_repo
from running_channel import run_channel

if TYPE_CHECKING:
    from envwatch.channel import Package

# What the channel of the tests holds besides Python and the fixtures, with all that they require.
DISTRIBUTIONS = ("click", "rich", "markupsafe", "pyyaml", "ipykernel")

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada Example",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Example",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
}
# What would lead git, uv, rattler or Jupyter to the files and settings of the person who tests.
FOREIGN = (
    "CONDA_", "GIT_", "IPYTHON", "JUPYTER_", "MAMBA_", "NOTIFY_SOCKET", "RATTLER_", "UV_", "XDG_"
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home for the session, and an environment without a person's settings."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(FOREIGN)]:
            patch.delenv(name)
        # each daemon and command would compile all that it imports: seconds, for each of hundreds
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        for name, value in IDENTITY.items():
            patch.setenv(name, value)
        patch.setenv("HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def no_home(home: Path) -> Iterator[None]:
    """Fail the test after which something lies in the home: caches belong below the root."""
    yield
    found = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not found, f"written to the home: {', '.join(found[:20])}"


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A real channel: Python, the packages of `DISTRIBUTIONS`, the fixtures. Do not change it."""
    options = [f"--dist={name}" for name in DISTRIBUTIONS]
    return _shared(tmp_path_factory, "channel", "--fixtures", *options)


@pytest.fixture(scope="session")
def second_channel(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """Another real channel, with a newer `tiny` and a package that only it has."""
    return _shared(tmp_path_factory, "second-channel", "--second")


def _shared(factory: pytest.TempPathFactory, name: str, *options: str) -> Path:
    """Make a channel once for all workers of the run: the first one in makes it."""
    top = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent
    made, making = top / name, top / f"{name}.making"
    with (top / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(making, ignore_errors=True)
            run_channel(making, *options)
            making.rename(made)
    return made


@pytest.fixture
def make_channel(tmp_path: Path) -> Callable[..., Path]:
    """Makes or extends a channel of one test: `make_channel("mine", Package(…), tiny("3.0"))`."""
    # Here, so that not every test process loads the solver's library.
    from envwatch.channel import add

    def make(name: str, *packages: Package) -> Path:
        folder = tmp_path / name
        for package in packages:
            add(folder, package)
        run_channel(folder, "--no-python")
        return folder

    return make


@pytest.fixture
def git_repo(tmp_path: Path) -> Callable[..., GitRepo]:
    """Makes repositories: `git_repo("team", {"env.yml": "…"})`, with a first commit if files."""

    def make(
        name: str = "repo",
        files: Mapping[str, str | bytes | None] | None = None,
        branch: str = "main",
    ) -> GitRepo:
        repo = make_repo(tmp_path / name, branch)
        if files:
            repo.commit(files, "first")
        return repo

    return make


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What must become another user, or give files away, cannot run as an ordinary one."""
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("only root can become another user")
