"""The file of an environment as a resource: read, written and removed, each change one commit."""

from __future__ import annotations

from flask import Response
from pydantic import Field

from envwatch.edit import Edit, Edited
from envwatch.errors import Conflict, NotFound
from envwatch.model import EnvKey
from envwatch.settings import Role
from envwatch.web.api import finding
from envwatch.web.api.envelope import ok
from envwatch.web.api.environments import committed, person, seen_revision
from envwatch.web.api.reading import LARGEST, Input
from envwatch.web.api.routes import Routes
from envwatch.web.visitor import need

LONGEST_MESSAGE = 5000


class NewText(Input):
    """`message` is that of the commit. `path` counts for a new file alone."""

    text: str = Field(min_length=1, max_length=LARGEST)
    message: str = Field("", max_length=LONGEST_MESSAGE)
    path: str = Field("", max_length=500)


class Removal(Input):
    message: str = Field("", max_length=LONGEST_MESSAGE)


def add(routes: Routes) -> None:
    path = "/environment/<namespace>/<name>/file/"
    routes.get(path, media="application/json", tag="file")(file)
    routes.put(path, body=NewText, answer=Edited, tag="file", costly=True)(write_file)
    routes.delete(path, query=Removal, answer=Edited, tag="file", costly=True)(remove_file)


def file(namespace: str, name: str) -> Response:
    """The environment file now; its ETag is the revision to send as If-Match with an edit."""
    env = finding.environment(namespace, name)
    found = finding.actions().file(env.key)
    response = ok(
        {
            "source": found.source,
            "path": found.path,
            "text": found.text,
            "revision": found.revision,
        }
    )
    response.set_etag(found.revision)
    return response


def write_file(namespace: str, name: str, body: NewText) -> Edited:
    """Change the file by a commit, with the revision that was seen as If-Match; make it without."""
    key = EnvKey(namespace, name)
    need(Role.DEVELOPER, key)
    path, source = _place(key, body.path)
    made = committed(
        Edit(
            namespace, path, body.text, person(),
            message=body.message, seen=seen_revision(), source=source, name=name,
        )
    )  # fmt: skip
    finding.audit("edit", key, made.detail(key))
    return made


def remove_file(namespace: str, name: str, query: Removal) -> Edited:
    """Remove the file by a commit: the environment is retired, its history stays."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    now = finding.actions().file(env.key)
    seen = seen_revision() or now.revision
    made = committed(
        Edit(
            namespace, now.path, None, person(),
            message=query.message, seen=seen, source=now.source, name=name,
        )
    )  # fmt: skip
    finding.audit("delete", env.key, made.detail(env.key))
    return made


def _place(key: EnvKey, wanted: str) -> tuple[str, str]:
    """The path and source of the file that is there, or the path of a new one."""
    try:
        env = finding.environment(key.namespace, key.name, Role.DEVELOPER)
    except NotFound:
        return wanted or f"{key.name}/environment.yml", ""
    now = finding.actions().file(env.key)
    if wanted and wanted != now.path:
        raise Conflict(f"{key} has its file at `{now.path}`", hint="leave the path out")
    return now.path, now.source
