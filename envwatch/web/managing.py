"""The page to manage an environment: what may be done with its builds and generations."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request, url_for

from envwatch.errors import Conflict, NotFound
from envwatch.model import EnvKey
from envwatch.web.answers import own_page
from envwatch.web.api.guard import seldom
from envwatch.web.changing import PAGE, actions, changeable
from envwatch.web.context import site
from envwatch.web.signin import to
from envwatch.web.visitor import visitor

managing = Blueprint("managing", __name__)


@managing.get("/<namespace>/<name>/manage")
def manage(namespace: str, name: str) -> Response:
    """Everything that may be done with one environment."""
    env = changeable(namespace, name)
    catalog = site().context.catalog
    return own_page(
        "manage.html",
        env=env,
        generations=catalog.generations.of(env.id, limit=50),
        running=[b for b in catalog.builds.of(env.id, limit=20) if not b.state.over],
    )


@managing.post("/<namespace>/<name>/manage")
def act(namespace: str, name: str) -> Response:
    env = changeable(namespace, name)
    verb = request.form.get("verb", "")
    verbs = _verbs()
    if verb not in verbs:
        raise Conflict(f"there is nothing called {verb[:40]!a} to be done")
    seldom()
    verbs[verb](env.key, _number())
    site().context.catalog.audits.note(
        visitor(), verb, env.key, request.form.get("number", "")[:20]
    )
    back = "pages.environment" if verb in ("rebuild", "update", "cancel") else ".manage"
    more = PAGE if back == "pages.environment" else {}
    return to(url_for(back, **more, namespace=namespace, name=name))


def _verbs() -> dict[str, Callable[[EnvKey, int], object]]:
    """What can be done, by the word in the form. The number is that of a generation or build."""
    do, by = actions(), visitor().name
    return {
        "rebuild": lambda key, _: do.rebuild(key, by=by),
        "update": lambda key, _: do.update(key, by=by),
        "cancel": lambda key, number: do.cancel(_build_of(key, number), by=by),
        "activate": lambda key, number: do.activate(key, number, by=by),
        "hold": lambda key, _: do.hold(key, None, by=by),
        "release": lambda key, _: do.release(key, by=by),
        "pin": lambda key, number: do.pin(key, number, pinned=True),
        "unpin": lambda key, number: do.pin(key, number, pinned=False),
    }


def _build_of(key: EnvKey, build_id: int) -> int:
    """A build is cancelled by who may do that in its own environment."""
    if site().context.catalog.builds.get(build_id).key != key:
        raise NotFound(f"{key}: there is no build `{build_id}`")
    return build_id


def _number() -> int:
    text = request.form.get("number", "0")[:10]
    return int(text) if text.isdecimal() else 0
