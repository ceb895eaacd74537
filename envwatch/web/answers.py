"""One value, two forms: a page for people and its JSON twin, both remembered until a change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from enum import StrEnum
from typing import Any

from flask import Response, render_template, request, url_for
from pydantic import TypeAdapter

from envwatch.errors import NotFound
from envwatch.views import environments as lists
from envwatch.web.cache import Answer
from envwatch.web.context import site
from envwatch.web.seeing import scope
from envwatch.web.visitor import visitor

LARGEST = 2**53  # what JSON keeps exactly
HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Form(StrEnum):
    PAGE = "page"
    DATA = "data"


def show(
    form: str,
    template: str,
    read: Callable[[], Any],
    kind: TypeAdapter[Any],
    *,
    depends: Hashable = (),
    extra: Callable[[Any], dict[str, Any]] = lambda _: {},
) -> Response:
    """Answer with what `read` returns, as `kind` says in JSON or as `template` does in HTML.

    `depends` is what else the answer shows beside the catalog; `extra` what only the page shows.
    """

    def make() -> Answer:
        value = read()
        if form == Form.DATA:
            return answer(kind.dump_json(value, indent=2), JSON)
        return page(template, it=value, twin=_twin(), **extra(value))

    health = site().context.health()
    key = (request.script_root, request.full_path, health, depends)
    return remembered(key, make)


def remembered(key: Hashable, make: Callable[[], Answer]) -> Response:
    """What was made for one visitor is shown to nobody else."""
    who = visitor()
    mine = (who.name, who.token_id, frozenset(who.grants), key)
    return respond(site().cache.get(mine, make))


def page(template: str, **values: Any) -> Answer:
    """A page within the frame that all pages share."""
    context = site().context
    text = render_template(
        template,
        frame=lists.frame(context.catalog.database, scope()),
        health=context.health(),
        visitor=visitor(),
        sees_all=scope().everything,
        **values,
    )
    return answer(text.encode(), HTML)


def own_page(template: str, status: int = 200, **values: Any) -> Response:
    """A page for one person alone, with a token of its forms: nobody keeps it."""
    made = page(template, twin="", **values)
    response = Response(made.body, status, content_type=made.media_type)
    response.headers["Cache-Control"] = "no-store"
    return response


def answer(body: bytes, media_type: str) -> Answer:
    return Answer(body, media_type, hashlib.sha256(body).hexdigest()[:32])


def respond(made: Answer) -> Response:
    """With an ETag, so that polling costs nothing while nothing changes."""
    response = Response(made.body, content_type=made.media_type)
    response.set_etag(made.etag)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def _twin() -> str:
    """The address of this very page as JSON, its filters included."""
    values: dict[str, Any] = {**request.args.to_dict(), **(request.view_args or {})}
    return url_for(str(request.endpoint), **{**values, "form": Form.DATA.value})


def refuse_large_numbers() -> None:
    """What the catalog has no room for is the number of nothing. Raises NotFound."""
    if any(isinstance(v, int) and v > LARGEST for v in (request.view_args or {}).values()):
        raise NotFound("there is no such number")


def number(name: str = "page") -> int:
    """A count in the query, 1 where it is none."""
    return max(1, min(request.args.get(name, 1, type=int), 10**6))


def word(name: str, most: int = 200) -> str:
    return request.args.get(name, "")[:most].strip()
