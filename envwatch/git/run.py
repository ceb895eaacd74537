"""Runs one git command: scrubbed environment, bounded output, a time limit for its whole family."""

from __future__ import annotations

import os
import re
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from git.cmd import Git

from envwatch.errors import SourceError
from envwatch.git.credentials import Helpers, written
from envwatch.redact import redact
from envwatch.settings import NO_CREDENTIALS, Credentials

MIB = 2**20
_CHUNK = 2**16
_WATCH = 1.0

# What git and ssh need of the daemon's surroundings. All else is taken away, above all every
# GIT_* variable: GIT_DIR would read another repository, GIT_CONFIG_COUNT can run programs.
_KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY"),
        *("all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
    }
)
# Settings are a file and not `-c`, because a git-upload-pack that serves a local repository reads
# the file, and drops `-c`. Nothing here checks fetched objects as `fsckObjects` would: what that
# refuses is dangerous in a work tree only, and one odd name would refuse the whole commit.
_CONFIG = """\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\tbigFileThreshold = 16m
[credential]
\thelper =
[protocol]
\tversion = 2
[http]
\tfollowRedirects = false
\tlowSpeedLimit = 1000
\tlowSpeedTime = 30
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[fetch]
\tunpackLimit = 1
\trecurseSubmodules = false
\twriteCommitGraph = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""


class GitFailed(SourceError):
    """Git said no; `text` is all it said, the message its last word. A mirror may be at fault."""

    def __init__(self, message: str, *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class OutputTooLarge(GitFailed):
    pass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where git runs: `folder` is no repository and holds the one config file that counts."""

    folder: Path
    transport: str
    credentials: Credentials = NO_CREDENTIALS

    @property
    def config(self) -> Path:
        return self.folder / "gitconfig"

    def variables(self) -> dict[str, str]:
        return {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(self.folder.resolve().parent),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": self.transport,
            "LC_ALL": "C",
            **Helpers(self.folder, self.credentials).variables(),
        }

    def prepare(self) -> None:
        """Make the folder and what git needs in it, also when somebody changed it."""
        written(self.config, _CONFIG.encode())
        Helpers(self.folder, self.credentials).prepare()


def run_git(
    surroundings: Surroundings,
    arguments: tuple[str, ...],
    *,
    timeout: float,
    data: bytes = b"",
    limit: int = 16 * MIB,
    pass_fds: tuple[int, ...] = (),
    watch: Callable[[], None] | None = None,
) -> tuple[bytes, str]:
    """What git wrote to its output and to its errors. On any failure its process group is gone.

    `watch` is called about once in a second while git runs; what it raises ends git.
    """
    surroundings.prepare()
    # GitPython can add to the inherited environment and cannot take from it: `env -u` does. Values
    # go through `env=`, so that none shows in the list of processes.
    ours = surroundings.variables()
    foreign = sorted(os.environ.keys() - _KEPT - ours.keys())
    drop = [part for name in foreign for part in ("-u", name)]
    handle = Git(str(surroundings.folder)).execute(
        ("env", *drop, "git", *arguments),
        istream=subprocess.PIPE,
        as_process=True,
        env=ours,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    process: subprocess.Popen[bytes] = handle.proc  # type: ignore[assignment]  # set by execute
    try:
        out, err = _talk(process, data, limit, time.monotonic() + timeout, watch)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise SourceError(f"git {_verb(arguments)} did not end within {timeout:g} s") from None
    finally:
        _end(process)
    text = err.decode(errors="replace")
    if process.returncode:
        raise GitFailed(f"git {_verb(arguments)}: {last_word(text)}", text=text)
    return bytes(out), text


def _talk(
    process: subprocess.Popen[bytes],
    data: bytes,
    limit: int,
    deadline: float,
    watch: Callable[[], None] | None,
) -> tuple[bytearray, bytearray]:
    """Feed the input and collect the output and the errors, until all are closed."""
    stdin, stdout, stderr = _pipes(process)
    out, err, rest = bytearray(), bytearray(), bytearray(data)
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE, lambda: _say(stdin.fileno(), rest))
        selector.register(stdout, selectors.EVENT_READ, lambda: _hear(stdout.fileno(), out, limit))
        selector.register(stderr, selectors.EVENT_READ, lambda: _overhear(stderr.fileno(), err))
        while selector.get_map():
            for key, _ in selector.select(_patience(deadline, watch)):
                goes_on = key.data()
                if not goes_on:
                    selector.unregister(key.fileobj)
                    if key.fileobj is stdin:
                        stdin.close()
            if watch is not None:
                watch()
            if time.monotonic() >= deadline:
                raise TimeoutError
    process.wait(max(0.1, deadline - time.monotonic()))
    return out, err


def _patience(deadline: float, watch: Callable[[], None] | None) -> float:
    rest = max(0.0, deadline - time.monotonic())
    return rest if watch is None else min(rest, _WATCH)


def _say(fd: int, rest: bytearray) -> bool:
    """Hand over a piece that cannot block. Git may stop to listen; then it says why."""
    try:
        del rest[: os.write(fd, rest[: select.PIPE_BUF])]
    except BrokenPipeError:
        return False
    return bool(rest)


def _hear(fd: int, heard: bytearray, limit: int) -> bool:
    chunk = os.read(fd, _CHUNK)
    heard += chunk
    if len(heard) > limit:
        text = f"git answered with more than {limit} bytes"
        raise OutputTooLarge(text, text=text)
    return bool(chunk)


def _overhear(fd: int, heard: bytearray) -> bool:
    """Errors are kept as far as anybody would read them."""
    chunk = os.read(fd, _CHUNK)
    heard += chunk[: _CHUNK - len(heard)]
    return bool(chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Git and all that it started are gone, and so are the pipes to them."""
    # The group is signalled before its leader is waited for: then its number is still its own.
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in _pipes(process):
        pipe.close()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    # Popen's type cannot tell that all three were asked for.
    return cast(
        "tuple[IO[bytes], IO[bytes], IO[bytes]]", (process.stdin, process.stdout, process.stderr)
    )


def _verb(arguments: tuple[str, ...]) -> str:
    return next((a for a in arguments if not a.startswith("-") and "=" not in a), "")


def last_word(text: str) -> str:
    """The line of git's errors that says most, fit for a message."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", redact(text)) if line.strip()]
    named = [line for line in lines if line.startswith(("fatal:", "error:"))]
    line = (named or lines or ["it gave no reason"])[0]
    return "".join(c for c in line if c.isprintable())[:300]
