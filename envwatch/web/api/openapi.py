"""OpenAPI 3.1, made of the routes and their types, so that it cannot say something else."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from envwatch.web.api.guard import LONGEST_KEY
from envwatch.web.api.routes import PREFIX, Operation

_REF = "#/components/schemas/{model}"
_CONVERTER = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_ERRORS = {
    "400": "what was sent is not what is asked for",
    "401": "this needs somebody who is signed in",
    "403": "the person may not do this",
    "404": "there is no such thing, or none that may be seen",
    "409": "it cannot be done in the present state",
    "405": "there is no such method here",
    "412": "the file was changed since it was seen",
    "413": "the body is too large",
    "429": "too many requests that cost much",
    "503": "it cannot be done just now",
}
_FILE = {"206": "the part that was asked for", "304": "it is as it was", "416": "no such part"}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["status", "message", "type", "title", "detail", "hint"],
    "properties": {
        "status": {"const": "error"},
        **{name: {"type": "string"} for name in ("message", "type", "title", "detail", "hint")},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
        "path": {"type": "string"},
    },
}


def document(operations: list[Operation]) -> dict[str, Any]:
    """The whole description."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = PREFIX + _CONVERTER.sub(r"{\g<name>}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "envwatch",
            "version": version("envwatch"),
            "description": "GitOps for conda environments. Where it overlaps with conda-store's "
            "REST API v1 it is the same.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(it: Operation, path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    words = (w.strip("{}").replace("-", "_").replace(".", "_") for w in path.split("/")[3:] if w)
    made: dict[str, Any] = {
        "operationId": "_".join((it.method.lower(), *words)),
        "summary": it.summary,
        "tags": [it.tag],
        "parameters": [*_of_path(it.path), *_of_query(it.query, schemas), *_of_headers(it)],
        "responses": {"200": _answer(it, schemas), **_of_file(it), **_errors()},
    }
    if it.listed:
        made["responses"]["304"] = {"description": "as the `ETag` in `If-None-Match` says"}
    if it.body is not None:
        content = {"application/json": {"schema": _schema(it.body, schemas, "validation")}}
        made["requestBody"] = {"content": content}
    return made


def _of_path(path: str) -> list[dict[str, Any]]:
    kinds = {"int": "integer"}
    return [
        {
            "name": m["name"],
            "in": "path",
            "required": True,
            "schema": {"type": kinds.get(m["kind"] or "", "string")},
        }
        for m in _CONVERTER.finditer(path)
    ]


def _of_query(kind: type[BaseModel] | None, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if kind is None:
        return []
    shown = kind.model_json_schema(ref_template=_REF)
    schemas.update(shown.pop("$defs", {}))
    return [
        _parameter(name, field, shown["properties"][name])
        for name, field in kind.model_fields.items()
    ]


def _of_headers(it: Operation) -> list[dict[str, Any]]:
    made = []
    if it.kept:
        words = "sent again with the same key it is not done again, and the answer is told again"
        made.append(("Idempotency-Key", words, {"type": "string", "maxLength": LONGEST_KEY}))
    if it.edits:
        words = "the revision that was seen: an edit on top of what was changed since is refused"
        made.append(("If-Match", words, {"type": "string"}))
    return [
        {"name": name, "in": "header", "required": False, "description": words, "schema": schema}
        for name, words, schema in made
    ]


def _parameter(name: str, field: FieldInfo, schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "in": "query",
        "required": field.is_required(),
        "schema": schema,
    }
    if get_origin(field.annotation) is tuple:
        made["explode"] = True
    return made


def _answer(it: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    if it.media:
        schema: dict[str, Any] = {"type": "string"} if it.media.startswith("text/") else {}
        return {"description": "the file", "content": {it.media: {"schema": schema}}}
    kind = tuple[it.answer, ...] if it.listed else it.answer  # type: ignore[name-defined]  # made of a value
    properties: dict[str, Any] = {
        "status": {"const": "ok"},
        "data": {"type": "null"} if it.answer is None else _schema(kind, schemas, "serialization"),
        "message": {"type": ["string", "null"]},
    }
    if it.listed:
        properties |= {name: {"type": "integer"} for name in ("page", "size", "count")}
    needed = [name for name in properties if name != "message"]
    schema = {"type": "object", "required": needed, "properties": properties}
    return {"description": "done", "content": {"application/json": {"schema": schema}}}


def _of_file(it: Operation) -> dict[str, Any]:
    """Besides the whole of it; nothing where the answer is no file."""
    if not it.media:
        return {}
    made: dict[str, Any] = {code: {"description": words} for code, words in _FILE.items()}
    if it.later:
        content = {"application/json": {"schema": {"type": "object"}}}
        made["202"] = {"description": "it is being made: ask again", "content": content}
    return made


def _errors() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {code: {"description": words, "content": content} for code, words in _ERRORS.items()}


def _schema(kind: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    shown = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REF)
    schemas.update(shown.pop("$defs", {}))
    title = shown.get("title", "")
    if shown.get("type") == "object" and isinstance(kind, type) and title == kind.__name__:
        schemas[title] = shown
        return {"$ref": _REF.format(model=title)}
    return shown
