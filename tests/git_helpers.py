"""Repositories that hold what the git program would rather not write, and the hostile corpus."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from needs import need, need_user
from repos import GitRepo

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus" / "hostile"

SPEC = "channels: [conda-forge]\ndependencies: [python]\n"

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0100",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "1700000000 +0100",
}


def git(folder: Path, *arguments: str, data: bytes = b"") -> str:
    command = ("git", "-C", str(folder), *arguments)
    done = subprocess.run(command, input=data, env=_ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


class Repo(GitRepo):
    """A work tree with the branch main, and the plumbing below it."""

    @property
    def url(self) -> str:
        return str(self.path)

    def git(self, *arguments: str, data: bytes = b"") -> str:
        return git(self.path, *arguments, data=data)

    def commit_tree(self, listing: bytes) -> str:
        """Commit a tree as `git mktree -z` takes it, whatever the names in it."""
        tree = self.git("mktree", "-z", "--missing", data=listing)
        commit = self.git("commit-tree", tree, "-m", "plumbing")
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", data=content)


def new_repo(path: Path) -> Repo:
    path.mkdir(parents=True)
    repo = Repo(path)
    repo.git("init", "-q", "-b", "main")
    return repo


def signing(repo: Repo, folder: Path) -> Path:
    """The repository signs by an ssh key; the file of those who may."""
    need("ssh-keygen")
    need_user()
    folder.mkdir()
    subprocess.run(
        ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"), check=True
    )
    repo.git("config", "gpg.format", "ssh")
    repo.git("config", "user.signingKey", str(folder / "key"))
    signers = folder / "signers"
    signers.write_text(f"ada@example.org {(folder / 'key.pub').read_text()}")
    return signers


def signed(repo: Repo, content: str) -> str:
    repo.commit({"a.yml": content})
    repo.git("commit", "-q", "--amend", "-S", "--no-edit", "--allow-empty")
    return repo.head
