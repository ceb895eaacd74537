"""Programs that ask for a token, until somebody allows it on a page: the way of RFC 8628."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from envwatch.catalog.tokens import NewToken
from envwatch.errors import Busy, NotFound

LASTS = 600  # seconds in which it must be allowed
INTERVAL = 2  # seconds between two looks of a program
MOST = 1000  # that wait at once
MOST_OF_ONE = 50  # … from one address
# without vowels no word comes of them, and no two are alike to the eye (RFC 8628, 6.1)
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8


class State(StrEnum):
    WAITING = "waiting"
    ALLOWED = "allowed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """`code` is what terminal and page show, `name` what the program calls itself.

    `token` is there once it is allowed.
    """

    code: str
    name: str
    address: str
    at: datetime
    state: State = State.WAITING
    token: NewToken | None = None
    began: float = field(default_factory=time.monotonic)


class Codes:
    """Kept in memory: who asked before a restart asks again."""

    def __init__(self, lasts: float = LASTS) -> None:
        self._lasts = lasts
        self._lock = threading.Lock()
        self._asked: dict[str, Asked] = {}  # by the hash of the program's own secret

    def ask(self, name: str, address: str) -> tuple[str, Asked]:
        """The secret of the program, and what it is shown. Raises Busy."""
        secret, now = secrets.token_urlsafe(32), datetime.now(UTC)
        with self._lock:
            self._forget()
            of_one = sum(a.address == address for a in self._asked.values())
            if len(self._asked) >= MOST or of_one >= MOST_OF_ONE:
                raise Busy("too many programs wait to be allowed", hint="try again in some minutes")
            made = Asked(_new_code(), name, address, now)
            self._asked[_digest(secret)] = made
        return secret, made

    def find(self, code: str) -> Asked:
        """What waits under a code, however it is typed. Raises NotFound."""
        with self._lock:
            return self._waiting(code)[1]

    def allow(self, code: str, make: Callable[[], NewToken]) -> NewToken:
        """Once. What `make` raises leaves it waiting. Raises NotFound."""
        with self._lock:
            key, asked = self._waiting(code)
            made = make()
            # from now on it has as long to be fetched
            self._asked[key] = replace(
                asked, state=State.ALLOWED, token=made, began=time.monotonic()
            )
        return made

    def refuse(self, code: str) -> None:
        """Raises NotFound."""
        with self._lock:
            key, asked = self._waiting(code)
            self._asked[key] = replace(asked, state=State.REFUSED)

    def collect(self, secret: str) -> Asked | None:
        """How it stands; once that is settled it is told a single time."""
        with self._lock:
            self._forget()
            found = self._asked.get(_digest(secret))
            if found is not None and found.state is not State.WAITING:
                del self._asked[_digest(secret)]
        return found

    def _waiting(self, code: str) -> tuple[str, Asked]:
        self._forget()
        wanted = _plain(code)
        for key, asked in self._asked.items():
            if asked.state is State.WAITING and _plain(asked.code) == wanted:
                return key, asked
        raise NotFound("no program waits under this code", hint="have it ask again")

    def _forget(self) -> None:
        since = time.monotonic() - self._lasts
        self._asked = {k: a for k, a in self._asked.items() if a.began >= since}


def _new_code() -> str:
    letters = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    return f"{letters[: LENGTH // 2]}-{letters[LENGTH // 2 :]}"


def _plain(code: str) -> str:
    return "".join(c for c in code.upper() if c in LETTERS)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
