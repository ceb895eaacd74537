"""Environment files: sent, and committed; looked at, solved and planned without a commit."""

from __future__ import annotations

import json
from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from envwatch.diff import PackageDiff
from envwatch.edit import Edit
from envwatch.errors import Conflict, NotFound, SpecError, Unknown
from envwatch.model import EnvKey, Failure, Message, Package
from envwatch.settings import Role
from envwatch.spec import valid_name
from envwatch.web.api import finding, shapes
from envwatch.web.api.envelope import BadRequest, answer
from envwatch.web.api.environments import committed, person, seen_revision
from envwatch.web.api.reading import LARGEST, Input
from envwatch.web.api.routes import Routes, Told
from envwatch.web.api.status import primary
from envwatch.web.context import site
from envwatch.web.seeing import seen_if_there, workplaces
from envwatch.web.visitor import hidden, need, visitor


class NewSpecification(Input):
    """`specification` is the text of an environment file. `message` is that of the commit."""

    specification: str = Field(min_length=1, max_length=LARGEST)
    namespace: str | None = Field(None, max_length=64)
    is_lockfile: bool | None = False
    environment_name: str | None = Field(None, max_length=64)
    environment_description: str | None = Field(None, max_length=2000)
    message: str = Field("", max_length=5000)


class PlannedSpecification(Input):
    """`path` is where the file would lie: it names an environment that its file does not name."""

    specification: str = Field(min_length=1, max_length=LARGEST)
    namespace: str | None = Field(None, max_length=64)
    path: str = Field("", max_length=500)


class SolveQuery(Input):
    """`channel` is conda-store's word, `channels` what its client sends."""

    channel: tuple[str, ...] = Field((), max_length=50)
    channels: tuple[str, ...] = Field((), max_length=50)
    conda: tuple[str, ...] = Field((), max_length=500)
    pip: tuple[str, ...] = Field((), max_length=500)
    format: str = Field("yaml", pattern="^(yaml|lockfile)$")
    namespace: str = ""


class Planned(BaseModel):
    move: str
    environment: str | None
    against: int | None
    diff: PackageDiff | None
    failure: Failure | None
    messages: tuple[Message, ...]


def add(routes: Routes) -> None:
    path = "/specification/"
    routes.post(path, body=NewSpecification, answer=shapes.BuildId, costly=True, edits=True)(submit)
    routes.get(path, query=SolveQuery, media="application/json", costly=True)(solve)
    routes.post("/plan/", body=PlannedSpecification, answer=Planned, costly=True, kept=False)(plan)


def submit(body: NewSpecification) -> Told:
    """Make or change an environment by a commit; the build that it asked for, or the newest."""
    if body.is_lockfile:
        raise Conflict(
            "a lock alone is no environment here",
            hint="push it as conda-lock.yml beside its environment.yml",
        )
    namespace = body.namespace or primary(visitor())
    text = _text(body)
    key = EnvKey(namespace, _name(body, text))
    need(Role.DEVELOPER, key)
    path, source, seen = _place(key)
    made = committed(
        Edit(
            namespace, path, text, person(),
            message=body.message, seen=seen, source=source, name=key.name,
        )
    )  # fmt: skip
    finding.audit("edit", key, made.detail(key))
    if not made.live:
        raise Conflict(
            f"{made.path}: commit {made.revision[:12]} on `{made.branch}` waits for a merge",
            hint="it is built when it is merged",
        )
    notes = "; ".join(str(m) for m in made.messages)
    return Told(shapes.BuildId(build_id=_newest(key)), notes or _word(changed=made.changed))


def _word(*, changed: bool) -> str:
    return "committed" if changed else "nothing was to change: no commit"


def _newest(key: EnvKey) -> int:
    catalog = site().context.catalog
    try:
        env = catalog.generations.environment(key)
    except NotFound:
        raise Conflict(
            f"{key}: the commit is made, and its source could not be looked at"
        ) from None
    builds = catalog.builds.of(env.id, limit=1)
    if not builds:
        raise Conflict(f"{key}: the commit is made, and nothing is queued yet")
    return builds[0].id


def _place(key: EnvKey) -> tuple[str, str, str]:
    """The path, source and revision of the file that is there, or of a new one."""
    seen = seen_revision()
    try:
        now = finding.actions().file(key)
    except NotFound:
        return f"{key.name}/environment.yml", "", seen
    except Conflict:
        env = site().context.catalog.generations.environment(key)
        if env.retired_at is None:
            raise
        return f"{key.name}/environment.yml", "", seen
    return now.path, now.source, seen or now.revision


def _name(body: NewSpecification, text: str) -> str:
    said = shapes.mapping(text).get("name")
    name = body.environment_name or (said if isinstance(said, str) else "")
    if not name:
        raise SpecError("the file has no `name`", hint="begin it with `name: something`")
    if not valid_name(name):
        raise SpecError(f"{name[:64]!a} cannot be the name of an environment")
    return name


def _text(body: NewSpecification) -> str:
    """With the description that was sent beside it, where the file has none."""
    text, words = body.specification, (body.environment_description or "").strip()
    if not words or "description" in shapes.mapping(text):
        return text
    return f"{text.rstrip()}\ndescription: {json.dumps(words, ensure_ascii=False)}\n"


def solve(query: SolveQuery) -> Response:
    """Which packages would be installed: `{"solve": [...]}`, as conda-store answers."""
    namespace = _solvable(query.namespace)
    named = list(query.channel or query.channels)
    wanted: list[Any] = list(query.conda)
    wanted += [{"pip": list(query.pip)}] if query.pip else []
    spec = {"name": "solve", "dependencies": wanted, **({"channels": named} if named else {})}
    found = finding.actions().solve(namespace, json.dumps(spec))
    return answer({"solve": [_solved(p) for p in found]})


def _solvable(namespace: str) -> str:
    who = visitor()
    chosen = namespace or primary(who)
    if chosen in workplaces():
        return chosen
    if not who.signed_in:
        raise Unknown("solving needs a developer", hint="sign in, or send a token")
    raise hidden(who, f"there is no namespace `{chosen}` in which you may solve")


def _solved(it: Package) -> dict[str, Any]:
    return {
        "name": it.name,
        "version": it.version,
        "build": it.build,
        "channel_id": it.channel or it.manager.value,
        "size": it.size,
        "license": it.license,
        "sha256": it.sha256,
        "url": it.url,
        "manager": it.manager.value,
    }


def plan(body: PlannedSpecification) -> Planned:
    """What a file would change: solved, compared with what is current, and not committed."""
    namespace = _solvable(body.namespace or "")
    if "\0" in body.specification:
        raise BadRequest("the specification holds a zero byte")
    found = finding.actions().plan(namespace, body.specification, body.path)
    key = found.key
    if key is not None:
        seen_if_there(key)
    return Planned(
        move=found.move,
        environment=str(key) if key else None,
        against=found.against,
        diff=found.diff,
        failure=found.failure,
        messages=found.messages,
    )
