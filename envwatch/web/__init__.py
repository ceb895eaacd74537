"""The pages: `create_app` makes them of what it is handed, `server` answers with them."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from importlib.resources import files

from flask import Blueprint, Flask, Response, request, url_for
from jinja2 import StrictUndefined

from envwatch.rights import Rights
from envwatch.web import text
from envwatch.web.answers import refuse_large_numbers
from envwatch.web.api import create_api
from envwatch.web.cache import Cache
from envwatch.web.context import NAME, Asset, Context, Health, Site, site
from envwatch.web.device import device
from envwatch.web.downloads import downloads
from envwatch.web.edits import edits
from envwatch.web.faults import add_faults
from envwatch.web.feeds import feeds
from envwatch.web.forms import add_forms
from envwatch.web.git import git
from envwatch.web.headers import add_headers, drop_many_ranges, keep_private, name_no_host
from envwatch.web.health import health
from envwatch.web.hooks import hooks
from envwatch.web.logs import logs
from envwatch.web.managing import managing
from envwatch.web.pages import pages
from envwatch.web.people import people
from envwatch.web.roles import roles
from envwatch.web.searching import searching
from envwatch.web.server import Server, serve, serve_unix
from envwatch.web.signin import signin
from envwatch.web.visitor import whoever

__all__ = ["Context", "Health", "Server", "create_app", "serve", "serve_unix"]

_ASSETS = (
    ("style.css", "text/css; charset=utf-8"),
    ("script.js", "text/javascript; charset=utf-8"),
    ("favicon.svg", "image/svg+xml"),
)
_FILTERS = (text.size, text.seconds, text.utc, text.iso, text.short, text.channel_name, text.ticked)

# every value that enters a page is made visible first, and an unknown name is an error
_JINJA = {
    "finalize": text.visible,
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}

assets = Blueprint("assets", __name__)


def create_app(context: Context) -> Flask:
    app = Flask("envwatch.web", static_folder=None)
    app.jinja_options = _JINJA
    # else an address like `//elsewhere/` is answered by a redirect that browsers take for a host
    app.url_map.merge_slashes = False
    cache = Cache(lambda: context.catalog.database.version)
    rights = Rights(context.catalog, context.current)
    app.extensions[NAME] = Site(context, cache, _read(), rights)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    for function in _FILTERS:
        app.add_template_filter(function)
    app.jinja_env.globals["version"] = version("envwatch")
    app.jinja_env.globals["asset"] = _address
    app.jinja_env.globals["who"] = whoever
    app.jinja_env.globals["may_sign_in"] = _may_sign_in
    plain = (assets, health, hooks, feeds, logs, downloads, git)
    for blueprint in (
        *plain,
        create_api(),
        signin,
        people,
        device,
        edits,
        managing,
        roles,
        searching,
        pages,
    ):
        app.register_blueprint(blueprint)
    add_faults(app)
    app.before_request(drop_many_ranges)
    app.before_request(refuse_large_numbers)
    add_forms(app)
    app.after_request(add_headers)
    app.after_request(keep_private)
    app.after_request(name_no_host)
    return app


def _read() -> tuple[Asset, ...]:
    found = []
    for name, media_type in _ASSETS:
        body = files("envwatch.web").joinpath("assets", name).read_bytes()
        found.append(Asset(name, media_type, body, hashlib.sha256(body).hexdigest()[:16]))
    return tuple(found)


def _address(name: str) -> str:
    """With the tag of its content: browsers may keep it for ever."""
    return url_for("assets.asset", name=name, v=site().asset(name).tag)


def _may_sign_in() -> bool:
    """Is there a page that would be of use to somebody who is not signed in?"""
    return site().context.settings.login.possible or not site().rights.anonymous().grants


@assets.get("/<any('style.css', 'script.js', 'favicon.svg'):name>")
def asset(name: str) -> Response:
    found = site().asset(name)
    response = Response(found.body, content_type=found.media_type)
    response.set_etag(found.tag)
    lasting = request.args.get("v") == found.tag
    response.headers["Cache-Control"] = "max-age=31536000, immutable" if lasting else "no-cache"
    response.make_conditional(request)
    return response
