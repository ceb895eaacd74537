"""Real git repositories for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GitRepo:
    """A repository with a work tree, or the bare one that it pushes to."""

    path: Path

    @property
    def url(self) -> str:
        return self.path.as_uri()

    def git(self, *arguments: str) -> str:
        command = ("git", "-C", str(self.path), *arguments)
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | bytes | None], message: str = "change") -> str:
        """Write the files (None removes one), commit them, and return the commit's id."""
        for name, content in files.items():
            self._write(self.path / name, content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head

    def commit_often(self, number: int) -> None:
        """So many commits that change no file, by one command, each a second after the last."""
        branch, start = self.git("symbolic-ref", "HEAD"), int(self.git("log", "-1", "--format=%ct"))
        told = [
            f"commit {branch}\ncommitter Ada <ada@example.org> {start + n} +0000\ndata 4\nmore\n"
            for n in range(1, number + 1)
        ]
        told.insert(1, f"from {self.head}\n")
        command = ("git", "-C", str(self.path), "fast-import", "--quiet")
        subprocess.run(command, check=True, input="".join(told).encode(), timeout=60)

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def bare(self, path: Path) -> GitRepo:
        """A bare clone, set as the remote `origin` of this one."""
        subprocess.run(
            ("git", "clone", "--quiet", "--bare", str(self.path), str(path)), check=True, timeout=60
        )
        self.git("remote", "add", "origin", str(path))
        return GitRepo(path)

    def _write(self, path: Path, content: str | bytes | None) -> None:
        if content is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_repo(path: Path, branch: str = "main") -> GitRepo:
    path.mkdir(parents=True)
    repo = GitRepo(path)
    repo.git("init", "--quiet", "--initial-branch", branch)
    return repo
