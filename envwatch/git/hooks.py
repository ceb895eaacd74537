"""The hooks of managed repositories: a small script asks the daemon, by pipes that it inherits.

A hook holds no rule of its own. Where the daemon does not answer, because it was killed or because
somebody pushed past it, the push is refused and nothing has changed.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

BEFORE, AFTER = "pre-receive", "post-receive"
_MOST = 2**22  # bytes of one question: tens of thousands of refs
_CHUNK = 2**16
_ZERO = "0" * 40

# Pipes are opened by their names in /proc: a plain sh can only name the first ten.
_SCRIPT = """\
#!/bin/sh
# Made by envwatch at each start: asks its daemon about this push.
ask=/proc/self/fd/${ENVWATCH_ASK:-none} answer=/proc/self/fd/${ENVWATCH_ANSWER:-none}
if [ ! -e "$ask" ] || [ ! -e "$answer" ]; then
    echo 'envwatch: pushes go over HTTP, to the address that the page names' >&2
    exit 1
fi
trap '' PIPE
exec 3>"$ask" 4<"$answer"
{
    printf '%s\\n' "${0##*/}" "${GIT_OBJECT_DIRECTORY-}" "${GIT_ALTERNATE_OBJECT_DIRECTORIES-}"
    cat
    echo end
} >&3 2>/dev/null
while IFS= read -r line <&4; do
    case $line in
    'say '*) printf '%s\\n' "${line#say }" >&2 ;;
    yes) exit 0 ;;
    no) exit 1 ;;
    esac
done
echo 'envwatch does not answer: nothing has changed, push again in a moment' >&2
exit 1
"""


@dataclass(frozen=True, slots=True)
class Update:
    """One ref that a push moves; no `old` makes it, no `new` deletes it."""

    old: str
    new: str
    ref: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a hook asks, and where the objects of the push lie before they are taken over."""

    hook: str
    objects: str
    alternates: str
    updates: tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The lines that the pusher reads, and whether the push may go on."""

    good: bool
    lines: tuple[str, ...] = ()


class Hooks(Protocol):
    """Judges one push."""

    def __call__(self, question: Question) -> Reply: ...


def write_hooks(folder: Path) -> None:
    """The scripts as they must be."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (BEFORE, AFTER):
        with NamedTemporaryFile("w", dir=folder, delete=False) as file:
            file.write(_SCRIPT)
            os.fchmod(file.fileno(), 0o500)
        Path(file.name).replace(folder / name)


@dataclass(slots=True)
class Pipes:
    """Two pipes: our ends, and those that git and its hooks inherit."""

    asked: int
    ask: int
    answer: int
    answered: int

    @property
    def theirs(self) -> tuple[int, int]:
        return (self.ask, self.answer)

    def variables(self) -> dict[str, str]:
        return {"ENVWATCH_ASK": str(self.ask), "ENVWATCH_ANSWER": str(self.answer)}

    def started(self) -> None:
        """Git has its ends: ours must not keep them open."""
        for end in self.theirs:
            os.close(end)
        self.ask = self.answer = -1

    def converse(self, hooks: Hooks, deadline: float) -> None:
        """Answer each hook until git has ended. Raises TimeoutError."""
        while (question := _parsed(self._hear(deadline))) is not None:
            reply = hooks(question)
            text = "".join(f"say {line}\n" for line in _plain(reply.lines))
            with suppress(BrokenPipeError):
                _send(self.answered, f"{text}{'yes' if reply.good else 'no'}\n", deadline)

    def _hear(self, deadline: float) -> bytes:
        """One question; nothing once git and its hooks have ended."""
        heard = bytearray()
        while not heard.endswith(b"\nend\n") and len(heard) < _MOST:
            ready, _, _ = select.select([self.asked], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            chunk = os.read(self.asked, _CHUNK)
            if not chunk:
                return b""
            heard += chunk
        return bytes(heard)


@contextmanager
def pipes() -> Iterator[Pipes]:
    asked, ask = os.pipe()
    answer, answered = os.pipe()
    made = Pipes(asked, ask, answer, answered)
    try:
        yield made
    finally:
        for end in (made.asked, made.ask, made.answer, made.answered):
            if end >= 0:
                os.close(end)


def _send(fd: int, text: str, deadline: float) -> None:
    """In pieces that a pipe takes at once, so that a hook which is stopped stops nobody else."""
    rest = text.encode()
    while rest:
        _, ready, _ = select.select([], [fd], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        rest = rest[os.write(fd, rest[: select.PIPE_BUF]) :]


def _parsed(heard: bytes) -> Question | None:
    if not heard:
        return None
    hook, objects, alternates, *lines = heard.decode(errors="replace").split("\n")
    updates = tuple(_update(line) for line in lines if line.count(" ") == 2)
    if not heard.endswith(b"\nend\n"):
        updates = ()  # too many refs to listen to: the answer is about none of them
    return Question(hook, objects, alternates, updates)


def _update(line: str) -> Update:
    old, new, ref = line.split(" ")
    return Update(old.strip("0") and old, new.strip("0") and new, ref)


def _plain(lines: Iterable[str]) -> Iterator[str]:
    """Each of one line, fit for a terminal."""
    for line in lines:
        yield "".join(c if c.isprintable() else "?" for c in line)[:2000]
