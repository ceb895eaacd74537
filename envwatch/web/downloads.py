"""The files of each generation: for ever the same under its number, the latest under `current`."""

from __future__ import annotations

import base64

from flask import Blueprint, Response, request, send_file

from envwatch.artifacts import ARCHIVES, file_name, media_type
from envwatch.catalog.records import ArtifactRecord, GenerationRecord
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArchiveState, ArtifactKind
from envwatch.web.answers import HTML, page
from envwatch.web.context import site
from envwatch.web.headers import SANDBOX
from envwatch.web.seeing import seen

downloads = Blueprint("downloads", __name__)
FOR_EVER = "max-age=31536000, immutable"
RETRY_AFTER = 5  # seconds


@downloads.get("/<namespace>/<name>/current/<file>")
def of_current(namespace: str, name: str, file: str) -> Response:
    key = seen(namespace, name)
    generations = site().context.catalog.generations
    number = generations.environment(key).current
    if number is None:
        raise NotFound(f"{key}: nothing is published yet")
    return send(generations.get(key, number), _kind(file), cache="no-cache")


@downloads.get("/<namespace>/<name>/<int:generation>/<file>")
def of_generation(namespace: str, name: str, generation: int, file: str) -> Response:
    found = site().context.catalog.generations.get(seen(namespace, name), generation)
    kind = _kind(file)
    # the sums are written anew when an archive joins the files
    return send(found, kind, cache="no-cache" if kind is ArtifactKind.SUMS else FOR_EVER)


def _kind(file: str) -> ArtifactKind:
    if file not in tuple(ArtifactKind):
        raise NotFound(f"there is no file `{file}`", hint=f"one of {', '.join(ArtifactKind)}")
    return ArtifactKind(file)


def send(generation: GenerationRecord, kind: ArtifactKind, *, cache: str) -> Response:
    artifacts = site().context.catalog.generations.artifacts(generation.id)
    record = next((a for a in artifacts if a.kind is kind), None)
    if record is not None:
        return _file(generation, record, cache)
    if kind in ARCHIVES:
        return _archive(generation)
    raise NotFound(f"{generation.key}: #{generation.number} has no `{kind}`")


def _file(generation: GenerationRecord, record: ArtifactRecord, cache: str) -> Response:
    storage = site().context.storage
    response = send_file(
        storage.path(record.key) or storage.open(record.key),
        download_name=file_name(record.kind, generation.key, generation.number),
        as_attachment=True,
        etag=record.sha256,
        conditional=True,
    )
    response.content_type = media_type(record.kind)
    digest = base64.b64encode(bytes.fromhex(record.sha256)).decode()
    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"
    response.headers["Cache-Control"] = cache
    response.headers["Content-Security-Policy"] = SANDBOX
    return response


def _archive(generation: GenerationRecord) -> Response:
    """An archive that is not there: have it made, once, or say why it will not be."""
    name = f"{generation.key}: the archive of #{generation.number}"
    if generation.archive is ArchiveState.READY:
        raise NotFound(f"{name} is of another format", hint="see the files on its page")
    if generation.archive is ArchiveState.FAILED:
        raise Conflict(f"{name} could not be made: {generation.archive_message}")
    if generation.pruned_at is not None:
        raise Conflict(f"{name} can no longer be made: its files were pruned")
    if generation.archive is ArchiveState.NONE and _meant():
        site().context.ask_archive(generation.key, generation.number)
    return _come_back(generation)


def _meant() -> bool:
    """A person asked: neither a look at the headers nor a browser that reads ahead."""
    return request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", "")


def _come_back(generation: GenerationRecord) -> Response:
    made = page("waiting.html", generation=generation, twin="", seconds_to_wait=RETRY_AFTER)
    response = Response(made.body, 202, content_type=HTML)
    response.headers |= {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
    return response
