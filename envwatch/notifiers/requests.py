"""Requests to merge, as every forge has them: which are open, and one comment in each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from envwatch.errors import NotifyError, NotifyStalled
from envwatch.model import PullRequest
from envwatch.notifiers.http import Answer, judge, place

PAGE = 50  # requests or comments in one answer
MOST_PAGES = 20
# a request comes with everything about both of its repositories
LARGEST = 32 * 2**20
LONGEST_TITLE = 200
LONGEST_NAME = 64

Ask = Callable[[str, str, bytes | None], Answer]


@dataclass(frozen=True, slots=True)
class Thread:
    """Where the comments of one request are. `update` is the method and the start of the URL."""

    ask: Ask
    comments: str
    update: tuple[str, str]
    secret: str

    def say(self, text: str, marker: str, known: str) -> str:
        """Let the one comment that is ours say this; its name. Raises NotifyError and its kinds.

        `known` is its name, empty where that is not known: then it is the one with the marker, for
        the answer to the first may have been lost.
        """
        for name in dict.fromkeys((known, self._marked(marker) if not known else "")):
            if name and self._changed(name, text):
                return name
        return self._added(text)

    def _marked(self, marker: str) -> str:
        found = pages(self.ask, self.comments, self.secret)
        return next((str(c["id"]) for c in found if marker in str(c.get("body", ""))), "")

    def _changed(self, name: str, text: str) -> bool:
        """False where it is gone, or somebody else's."""
        method, url = self.update
        answer = self.ask(method, f"{url}/{name}", _body(text))
        try:
            judge(answer, url, secret=self.secret)
        except NotifyStalled:
            return False
        return True

    def _added(self, text: str) -> str:
        answer = self.ask("POST", self.comments, _body(text))
        judge(answer, self.comments, secret=self.secret)
        found = _read(answer, self.comments)
        if not isinstance(found, dict) or "id" not in found:
            raise NotifyError(f"{place(self.comments)} answers with something else than a comment")
        return str(found["id"])[:LONGEST_NAME]


def pages(ask: Ask, url: str, secret: str) -> Iterator[dict[str, Any]]:
    """Everything in a list, page by page. Raises NotifyError and its kinds."""
    joined = "&" if "?" in url else "?"
    for number in range(1, MOST_PAGES + 1):
        answer = ask("GET", f"{url}{joined}per_page={PAGE}&limit={PAGE}&page={number}", None)
        judge(answer, url, secret=secret)
        found = _read(answer, url)
        if not isinstance(found, list):
            raise NotifyError(f"{place(url)} answers with something else than a list")
        yield from (each for each in found if isinstance(each, dict))
        # a server may give fewer at once than it was asked for
        if not found:
            return


def request(number: Any, title: Any, author: Any, target: Any, url: Any) -> PullRequest | None:
    """As it may be kept and shown; None for what is none."""
    if not isinstance(number, int) or number < 1:
        return None
    link = _text(url)
    return PullRequest(
        number,
        _text(title)[:LONGEST_TITLE],
        _text(author)[:LONGEST_NAME],
        _text(target),
        link if link.startswith(("https://", "http://")) else "",
    )


def _text(value: Any) -> str:
    return "".join(c for c in value if c.isprintable()) if isinstance(value, str) else ""


def _body(text: str) -> bytes:
    return json.dumps({"body": text}).encode()


def _read(answer: Answer, url: str) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as e:
        raise NotifyError(f"{place(url)} answers with something else than JSON") from e
