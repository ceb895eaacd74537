"""Namespaces and environments: listed, looked at, changed by commits."""

from __future__ import annotations

from dataclasses import replace

from flask import request
from pydantic import Field

from envwatch.edit import Author, Edit, Edited
from envwatch.errors import Conflict, NotFound, Outdated
from envwatch.model import BuildState
from envwatch.settings import Role
from envwatch.views import listing
from envwatch.views.board import build_of
from envwatch.views.listing import Wanted
from envwatch.web.api import finding, shapes
from envwatch.web.api.envelope import BadRequest, Stale
from envwatch.web.api.reading import Input, Sorting
from envwatch.web.api.routes import Listed, Routes, Told
from envwatch.web.context import site
from envwatch.web.visitor import changes, hidden, visitor


class EnvironmentQuery(Sorting):
    """`jwt` and `role` narrow the list in conda-store; here the token that is sent does."""

    namespace: str = ""
    name: str = ""
    search: str = Field("", max_length=200)
    status: str = ""
    packages: tuple[str, ...] = Field((), max_length=20)
    artifact: str = ""
    role: str = ""
    jwt: str = ""


class Change(Input):
    build_id: int | None = Field(None, ge=0, le=2**53)
    description: str | None = None


def add(routes: Routes) -> None:
    routes.get("/namespace/", query=Sorting, answer=shapes.Namespace, listed=True)(namespaces)
    routes.get("/namespace/<namespace>/", answer=shapes.Namespace)(namespace)
    many = {"query": EnvironmentQuery, "answer": shapes.Environment, "listed": True}
    routes.get("/environment/", **many)(environments)
    routes.get("/environment/<namespace>/", **many)(of_namespace)
    one = "/environment/<namespace>/<name>/"
    routes.get(one, answer=shapes.Environment)(environment)
    routes.put(one, body=Change, answer=None, costly=True)(change)
    routes.delete(one, answer=None, costly=True, edits=True)(delete)


def namespaces(query: Sorting) -> Listed:
    """The namespaces in which who asks may see something."""
    span = query.span(whole=True)
    made = _makers()
    return Listed.cut(_namespaces(), span, lambda name: _shown(name, made))


def namespace(namespace: str) -> shapes.Namespace:
    """One namespace."""
    if namespace not in _namespaces():
        raise hidden(visitor(), f"there is no namespace `{namespace}`")
    return _shown(namespace, _makers())


def _makers() -> dict[str, str]:
    """Who has made the namespaces that are not of the config."""
    return {n.name: n.made_by for n in site().context.catalog.namespaces.all()}


def _shown(name: str, makers: dict[str, str]) -> shapes.Namespace:
    """Who has made it is for its admins."""
    description = site().context.settings.namespace(name).description
    known = makers.get(name, "") if visitor().may_all(Role.ADMIN, name) else ""
    return shapes.namespace(name, description=description, made_by=known)


def _namespaces() -> list[str]:
    context, who = site().context, visitor()
    used = {name for name, *_ in listing.usage(context.catalog.database, who)}
    return sorted(used | {n for n in context.settings.declared if who.is_told_of(n)})


def environments(query: EnvironmentQuery) -> Listed:
    """The environments that who asks may see. Without `page` and `size` it is all of them."""
    database, span = site().context.catalog.database, query.span(whole=True)
    part = listing.environments(database, visitor(), _wanted(query), span)
    items = tuple(shapes.environment(s, s.build) for s in part.items)
    return Listed.of(part, items, span)


def of_namespace(namespace: str, query: EnvironmentQuery) -> Listed:
    """The environments of one namespace."""
    if namespace not in _namespaces():
        raise hidden(visitor(), f"there is no namespace `{namespace}`")
    return environments(query.model_copy(update={"namespace": namespace}))


def _wanted(query: EnvironmentQuery) -> Wanted:
    return Wanted(
        namespace=query.namespace,
        name=query.name,
        search=query.search,
        states=states(query.status),
        packages=query.packages,
        artifact=query.artifact.upper(),
    )


def states(word: str) -> tuple[BuildState, ...]:
    if word and word.upper() not in shapes.WORDS:
        raise BadRequest(f"the parameter `status`: one of {', '.join(shapes.WORDS)}")
    return shapes.WORDS[word.upper()] if word else ()


def environment(namespace: str, name: str) -> shapes.Environment:
    """One environment, with the build of what is in use."""
    env = finding.environment(namespace, name)
    catalog = site().context.catalog
    build_id = build_of(catalog.database, env.id)
    build = finding.shaped([catalog.builds.get(build_id)])[0] if build_id else None
    return shapes.environment(env, build_id, build)


def change(namespace: str, name: str, body: Change) -> Told:
    """Have a build be the one in use: its generation is made current, and held there."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    if body.description is not None and body.description != env.description:
        raise Conflict(
            "a description is a line of the environment file",
            hint="change `description:` there: send the file to /api/v1/specification/",
        )
    if body.build_id is None:
        return Told(None, "nothing was to change")
    build = finding.build(body.build_id)
    if build.environment_id != env.id:
        raise NotFound(f"{env.key} has no build `{body.build_id}`")
    if build.generation is None:
        raise Conflict(f"build {build.id} is {build.state}: it made nothing that could be used")
    made = finding.actions().activate(env.key, build.generation, by=finding.author())
    finding.audit("activate", env.key, f"#{build.generation} of build {build.id}")
    held = ", and is held there until it is released" if made.held else ""
    return Told(None, f"#{build.generation} is current{held}")


def delete(namespace: str, name: str) -> Told:
    """Remove the file by a commit: the environment is retired, its history stays."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    now = finding.actions().file(env.key)
    seen = seen_revision() or now.revision
    made = committed(
        Edit(namespace, now.path, None, person(), seen=seen, source=now.source, name=name)
    )
    finding.audit("delete", env.key, made.detail(env.key))
    where = "its file is gone" if made.live else f"the commit on `{made.branch}` waits for a merge"
    return Told(None, f"{env.key} is retired: {where}" if made.live else where)


def person() -> Author:
    """Who the commit is by."""
    who = visitor()
    host = (site().context.settings.web.url or "http://localhost").split("//")[-1].split("/")[0]
    return Author(finding.author(), f"{who.name or 'anonymous'}@{host.partition(':')[0]}")


def seen_revision() -> str:
    """The revision that the person saw, by If-Match; empty where it is not said."""
    given = request.headers.get("If-Match", "").strip()
    return "" if given == "*" else given.removeprefix("W/").strip('"')[:64]


def committed(wanted: Edit) -> Edited:
    """Make the commit; what was changed since it was seen is told as such."""
    try:
        return finding.actions().edit(replace(wanted, may=changes(visitor())))
    except Outdated as e:
        if seen_revision():
            raise Stale(e.message, hint=e.hint) from e
        raise
