"""What a request holds, made into values: the query, and a JSON body by strict rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar, get_origin
from urllib.parse import parse_qsl

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.datastructures import MultiDict

from envwatch.views.listing import Span
from envwatch.web.api.envelope import BadRequest, TooLarge

LARGEST = 2**20  # bytes of a body
LONGEST_PAGE = 100
M = TypeVar("M", bound=BaseModel)


class Input(BaseModel):
    """Strict where JSON says the type; what is not known is ignored, as conda-store does."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class Paging(Input):
    """A part of a list whose order is fixed."""

    page: int = Field(1, ge=1, le=10**9)
    size: int | None = Field(None, ge=1, le=10**9, description="at most 100")

    def span(self, *, whole: bool = False) -> Span:
        """`whole`: who asks for no part is given all of it."""
        size = self.size
        if size is None and not (whole and "page" not in self.model_fields_set):
            size = LONGEST_PAGE
        if size is not None:
            size = min(size, LONGEST_PAGE)
        return Span(self.page, size)


class Sorting(Paging):
    """A part of a list that may be had in other orders: columns it does not have are ignored."""

    sort_by: tuple[str, ...] = ()
    order: str = Field("", pattern="^(asc|desc)?$")

    def span(self, *, whole: bool = False) -> Span:
        part = super().span(whole=whole)
        return Span(part.page, part.size, self.sort_by, self.order == "desc")


def query(kind: type[M]) -> M:
    """The query string as `kind`; a parameter that may repeat is a tuple there."""
    given = _arguments()
    values: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        found = given.getlist(name)
        if found:
            values[name] = tuple(found) if get_origin(field.annotation) is tuple else found[-1]
    return _made(kind, values, "the parameter")


def body(kind: type[M]) -> M:
    """The body as `kind`. None at all is an empty object."""
    value = _json()
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return _made(kind, value, "the key")


def _arguments() -> MultiDict[str, str]:
    # conda-store's client ends every address with a slash, behind the query also
    text = request.query_string.decode("utf-8", "replace")
    if not request.path.endswith("/"):
        text = text.removesuffix("/")
    try:
        return MultiDict(parse_qsl(text, max_num_fields=1000))
    except ValueError as e:
        raise BadRequest("the query has too many parameters") from e


def _json() -> Any:
    if (request.content_length or 0) > LARGEST:
        raise TooLarge(f"the body has more than {LARGEST} bytes")
    data = request.get_data(cache=True)
    if not data.strip():
        return {}
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_number)
        # a half of a surrogate pair is text to JSON, and to nobody else
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError as e:
        raise BadRequest(f"the body is not JSON: {_shown(str(e))}") from None
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadRequest("the body has one key twice")
    return made


def _no_number(word: str) -> NoReturn:
    raise BadRequest(f"the body holds `{word}`, which is not JSON")


def _made(kind: type[M], values: dict[str, Any], what: str) -> M:
    try:
        return kind.model_validate(values)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(p) for p in first["loc"])
        raise BadRequest(f"{what} `{_shown(place)}`: {_shown(first['msg']).lower()}") from None


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
