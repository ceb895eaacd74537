"""What happened last as Atom, and the state of an environment as a badge."""

from __future__ import annotations

from html import escape
from urllib.parse import urlsplit

from anybadge import Badge
from feedgenerator import Atom1Feed
from flask import Blueprint, Response, request, url_for

from envwatch.errors import NotFound
from envwatch.model import EnvKey, EnvState
from envwatch.views import environments
from envwatch.views import pages as views
from envwatch.web.answers import answer, remembered
from envwatch.web.cache import Answer
from envwatch.web.context import site
from envwatch.web.parts import absolute
from envwatch.web.seeing import scope, seen, seen_namespace
from envwatch.web.text import visible

feeds = Blueprint("feeds", __name__)
ATOM = "application/atom+xml; charset=utf-8"
SVG = "image/svg+xml; charset=utf-8"
_COLOURS = {
    EnvState.READY: "#2a7f4f",
    EnvState.BUILDING: "#2b6cb0",
    EnvState.FAILED: "#b3402e",
    EnvState.MISSING: "#6b7280",
    EnvState.SOLVED: "#2a7f4f",
}


@feeds.get("/feed.atom")
def everything() -> Response:
    return remembered((request.script_root, request.path), lambda: _atom(""))


@feeds.get("/<namespace>/feed.atom")
def of_namespace(namespace: str) -> Response:
    seen_namespace(namespace)
    return remembered((request.script_root, request.path), lambda: _atom(namespace))


def _atom(namespace: str) -> Answer:
    context = site().context
    title = f"envwatch: {namespace}" if namespace else "envwatch"
    feed = Atom1Feed(
        title=title,
        link=absolute(url_for("pages.home", form="page")),
        description="what became of the environments",
        feed_url=absolute(request.path),
        feed_guid=_tag(request.path.removeprefix(request.script_root)),
    )
    for entry in views.feed(context.catalog, namespace=namespace, scope=scope()):
        feed.add_item(
            title=f"{entry.key}: {entry.type}",
            link=absolute(
                url_for(
                    "pages.environment",
                    form="page",
                    namespace=entry.key.namespace,
                    name=entry.key.name,
                )
            ),
            # readers take it for HTML
            description=escape(str(visible(entry.message))),
            unique_id=_tag(f"/events/{entry.id}"),
            pubdate=entry.at,
        )
    return answer(feed.writeString("utf-8").encode(), ATOM)


def _tag(path: str) -> str:
    """An id that stays, whatever becomes of the addresses (RFC 4151)."""
    host = urlsplit(site().context.settings.web.address).hostname
    return f"tag:{host},2026:{path}"


@feeds.get("/badge/<namespace>/<name>.svg")
def badge(namespace: str, name: str) -> Response:
    key = seen(namespace, name)
    return remembered((request.path,), lambda: _badge(key))


def _badge(key: EnvKey) -> Answer:
    with site().context.catalog.database.read() as c:
        row = environments.env_row(c, key)
    if row is None:
        raise NotFound(f"there is no environment `{key}`")
    retired = row.retired_at is not None
    text = "retired" if retired else row.sentence if row.current else row.env.value
    colour = _COLOURS[EnvState.MISSING if retired else row.env]
    made = Badge(label=str(key), value=text, default_color=colour, text_color="#ffffff")
    return answer(made.badge_svg_text.encode(), SVG)
