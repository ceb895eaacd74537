"""Managed repositories over smart HTTP: what `git clone`, `git fetch` and `git push` ask for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from tempfile import TemporaryFile
from typing import IO

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import wrap_file

from envwatch.catalog import Catalog
from envwatch.errors import Busy, Conflict, EnvwatchError, Forbidden, NotFound, SourceError, Unknown
from envwatch.rights import Rights
from envwatch.settings import Role, Settings
from envwatch.web.bodies import BODY, Limit
from envwatch.web.context import GitDoor, site
from envwatch.web.tokens import admit, secret_of

git = Blueprint("git", __name__)

UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
_SERVICE = "<any('git-upload-pack', 'git-receive-pack'):service>"
# what a fetch tells of what it has, unpacked; a MiB of gzip could become a GiB
_FETCH_LIMIT = 8 * 2**20
_CHUNK = 2**16
_STATUS = (
    (Unknown, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (Conflict, HTTPStatus.BAD_REQUEST),
    (SourceError, HTTPStatus.BAD_REQUEST),
)


@git.get("/git/<namespace>.git/info/refs")
def refs(namespace: str) -> Response:
    service = request.args.get("service", "")
    if service not in (UPLOAD, RECEIVE):
        raise Forbidden("only smart HTTP is spoken here", hint="use git 1.6.6 or newer")
    door = _door()
    admit(site().rights, site().failures, request, namespace, to_write=service == RECEIVE)
    return _sent(door.advertise(namespace, service, _protocol()), f"{service}-advertisement")


@git.post(f"/git/<namespace>.git/{_SERVICE}")
def exchange(namespace: str, service: str) -> Response:
    if request.mimetype != f"application/x-{service}-request":
        raise Conflict(f"the request is not `application/x-{service}-request`")
    door = _door()
    by = admit(site().rights, site().failures, request, namespace, to_write=service == RECEIVE)
    with TemporaryFile(dir=_settings().root / "tmp") as body:
        for chunk in _body(service):
            body.write(chunk)
        body.seek(0)
        return _sent(door.answer(namespace, service, _protocol(), body, by), f"{service}-result")


def body_limit(catalog: Catalog, current: Callable[[], Settings]) -> Limit:
    """Only who may push there may send more than a little. Git itself tells what is too much."""
    rights = Rights(catalog, current)

    def limit(path: str, authorization: str) -> int:
        namespace = path.removeprefix("/git/").removesuffix(f".git/{RECEIVE}")
        if path != f"/git/{namespace}.git/{RECEIVE}":
            return BODY
        secret = secret_of(authorization)
        who = rights.of_token(secret) if secret else None
        allowed = who is not None and who.may_all(Role.DEVELOPER, namespace)
        return 2 * current().web.max_push if allowed else BODY

    return limit


def _sent(answer: IO[bytes], kind: str) -> Response:
    """The server sends the file by itself: no thread of ours waits for a slow client."""
    response = Response(wrap_file(request.environ, answer), direct_passthrough=True)
    response.content_type = f"application/x-{kind}"
    response.headers["Cache-Control"] = "no-cache, max-age=0, must-revalidate"
    return response


def _body(service: str) -> Iterator[bytes]:
    """The request, unpacked where it came packed. Raises Conflict."""
    coding = request.headers.get("Content-Encoding", "identity")
    if coding == "identity":
        yield from _read()
    elif coding in ("gzip", "x-gzip"):
        limit = 2 * _settings().web.max_push if service == RECEIVE else _FETCH_LIMIT
        yield from _unpacked(limit)
    else:
        raise Conflict(f"the encoding `{coding[:40]!a}` is not known")


def _read() -> Iterator[bytes]:
    while chunk := request.stream.read(_CHUNK):
        yield chunk


def _unpacked(limit: int) -> Iterator[bytes]:
    unpack, size = zlib.decompressobj(wbits=31), 0
    for packed in _read():
        rest = packed
        while rest and not unpack.eof:
            chunk = _piece(unpack, rest)
            rest = unpack.unconsumed_tail
            size += len(chunk)
            if size > limit:
                raise Conflict(f"the request is larger than {limit} bytes")
            yield chunk
    if not unpack.eof:
        raise Conflict("the gzip of the request is cut off")


def _piece(unpack: zlib._Decompress, packed: bytes) -> bytes:
    try:
        return unpack.decompress(packed, _CHUNK)
    except zlib.error as e:
        raise Conflict("the gzip of the request is broken") from e


def _protocol() -> str:
    return request.headers.get("Git-Protocol", "")


def _door() -> GitDoor:
    door = site().context.git
    if door is None:
        raise NotFound("there is no managed repository here")
    return door


def _catalog() -> Catalog:
    return site().context.catalog


def _settings() -> Settings:
    return site().context.settings


# ---------------------------------------------------------------- errors, as git shows them


@git.errorhandler(EnvwatchError)
def _ours(error: EnvwatchError) -> Response:
    status = next((s for kind, s in _STATUS if isinstance(error, kind)), None)
    if status is None:
        raise error
    response = _said(status, str(error))
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="envwatch", charset="UTF-8"'
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "5"
    return response


@git.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    return _said(HTTPStatus(error.code or 500), str(error.description))


def _said(status: HTTPStatus, text: str) -> Response:
    response = Response(f"{text}\n", status.value, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-store"
    return response
