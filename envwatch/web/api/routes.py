"""One list of what the API can do: from it come the addresses and their description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, TypeAdapter

from envwatch.views.listing import Part, Span
from envwatch.web.answers import JSON, remembered
from envwatch.web.answers import answer as made_answer
from envwatch.web.api import guard, reading
from envwatch.web.api.envelope import ok
from envwatch.web.visitor import visitor

PREFIX = "/api/v1"

View = Callable[..., Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """`answer` is the type of `data`; None where the answer is a file, which may come `later`.

    `kept` is one whose answer may be asked for again, `edits` one that goes on top of a revision.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answer: Any
    listed: bool
    costly: bool
    media: str
    later: bool
    kept: bool
    edits: bool
    fresh: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of a list and how it was asked for."""

    items: tuple[Any, ...]
    total: int
    span: Span

    @staticmethod
    def of(part: Part[Any], items: tuple[Any, ...], span: Span) -> Listed:
        return Listed(items, part.total, span)

    @staticmethod
    def cut(found: Sequence[T], span: Span, shape: Callable[[T], Any]) -> Listed:
        """The part of what is there whole, in the one order that it has."""
        ordered = found[::-1] if span.down else found
        return Listed(tuple(shape(each) for each in span.of(ordered)), len(found), span)


@dataclass(frozen=True, slots=True)
class Told:
    """Data with a sentence beside it."""

    data: Any
    message: str


@dataclass
class Routes:
    """Collects the operations of a blueprint; `@routes.get(...)` stands before each."""

    blueprint: Blueprint
    operations: list[Operation] = field(default_factory=list)

    def get(self, path: str, **more: Any) -> Callable[[View], View]:
        return self._add("GET", path, more)

    def post(self, path: str, **more: Any) -> Callable[[View], View]:
        return self._add("POST", path, more)

    def put(self, path: str, **more: Any) -> Callable[[View], View]:
        return self._add("PUT", path, more)

    def delete(self, path: str, **more: Any) -> Callable[[View], View]:
        return self._add("DELETE", path, more)

    def _add(self, method: str, path: str, more: dict[str, Any]) -> Callable[[View], View]:
        def add(view: View) -> View:
            operation = Operation(
                method=method,
                path=path,
                name=view.__name__,
                summary=" ".join((view.__doc__ or "").split()),
                tag=more.pop("tag", path.strip("/").partition("/")[0] or "status"),
                query=more.pop("query", None),
                body=more.pop("body", None),
                answer=more.pop("answer", None),
                listed=more.pop("listed", False),
                costly=more.pop("costly", False),
                media=more.pop("media", ""),
                later=more.pop("later", False),
                kept=more.pop("kept", method != "GET"),
                edits=more.pop("edits", False),
                fresh=more.pop("fresh", False),
            )
            self.operations.append(operation)
            # conda-store's client leaves out the slash at the end where a query follows
            self.blueprint.add_url_rule(
                path,
                endpoint=f"{operation.name}_{len(self.operations)}",
                view_func=_served(operation, view),
                methods=[method],
                strict_slashes=False,
            )
            return view

        return add


def _served(operation: Operation, view: View) -> View:
    adapter: TypeAdapter[Any] = TypeAdapter(
        tuple[operation.answer, ...] if operation.listed else operation.answer  # type: ignore[name-defined]  # made of a value
    )

    def do(arguments: dict[str, Any]) -> Response:
        value = view(**arguments)
        return value if isinstance(value, Response) else _enveloped(adapter, value)

    def shown(arguments: dict[str, Any]) -> Response:
        """A list is made once for all who see the same of it, until the catalog changes."""
        if not operation.listed or operation.fresh:
            return do(arguments)
        key = ("api", request.full_path)
        return remembered(key, lambda: made_answer(do(arguments).get_data(), JSON))

    @wraps(view)
    def served(**arguments: Any) -> Response:
        asked = _asked(operation, arguments)
        return guard.once(lambda: do(asked)) if operation.kept else shown(asked)

    return served


def _asked(operation: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
    """What an operation is done with, once it is known who asks, and that they may ask so."""
    if operation.method != "GET":
        guard.same_origin()
    visitor()
    asked = dict(arguments)
    if operation.query is not None:
        asked["query"] = reading.query(operation.query)
    if operation.body is not None:
        asked["body"] = reading.body(operation.body)
    if operation.costly:
        guard.seldom()
    return asked


def _enveloped(adapter: TypeAdapter[Any], value: Any) -> Response:
    if isinstance(value, Listed):
        data = adapter.dump_python(value.items, mode="json")
        size = value.span.size if value.span.size is not None else max(1, value.total)
        return ok(data, page=value.span.page, size=size, count=value.total)
    message = None
    if isinstance(value, Told):
        value, message = value.data, value.message
    return ok(None if value is None else adapter.dump_python(value, mode="json"), message)
