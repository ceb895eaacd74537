"""Forms: only a page of ours may have them sent, and what somebody typed is not lost.

A form carries a token that is derived from the secret of the session, or of a cookie for who has
none. `kept` answers a form that nobody may send now with a page that keeps its values.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from flask import Flask, Response, g, render_template, request
from markupsafe import Markup, escape

from envwatch.errors import EnvwatchError, Forbidden, Unknown
from envwatch.web import cookies
from envwatch.web.context import site
from envwatch.web.places import is_local
from envwatch.web.tokens import secret_of
from envwatch.web.uploads import UNREAD, decoded
from envwatch.web.visitor import whoever

FIELD = "form_token"
HEADER = "X-Form-Token"
SAFE = ("GET", "HEAD", "OPTIONS")
# who may is told by a signature or a token, and the API looks itself where a request comes from
WITHOUT = ("hooks", "git", "api")
TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
HERE = ("same-origin", "none")


def add_forms(app: Flask) -> None:
    app.jinja_env.globals["form_token"] = form_token
    app.before_request(protect)
    app.after_request(_remember)


def form_token() -> str:
    """What a form on this page must carry. Such a page is never kept by anybody."""
    return _made(_basis(), "form")


def protect() -> Response | None:
    """Stops what no page of ours has sent, before any view sees it."""
    if request.method in SAFE or request.blueprint in WITHOUT or request.endpoint is None:
        return None
    header = request.headers.get("Authorization", "")
    if header[:7].lower() == "bearer ":
        return None
    if not is_from_here():
        raise Forbidden("this was not sent by a page of this host", hint="open the page itself")
    # browsers send the password that they once were told by themselves, programs as they want
    if secret_of(header) or _is_right(_sent()):
        return None
    stale = Forbidden("this form is from an earlier visit", hint="look at it, and send it again")
    if not can_keep():
        raise stale
    return kept(stale)


def can_keep() -> bool:
    """Is it a form of a person that may be shown again?"""
    path = _path()
    return request.method == "POST" and request.mimetype in TYPES and is_local(path)


def kept(error: EnvwatchError) -> Response:
    """The page that says why a form was not taken, and sends it once that has changed.

    A form that needs somebody who is signed in leads them to signing in beside it.
    """
    unknown = isinstance(error, Unknown)
    page = render_template(
        "kept.html",
        error=error,
        action=_path(),
        values=tuple(_values()),
        token=_kept_token() if unknown else form_token(),
        providers=site().context.providers if unknown else (),
        unknown=unknown,
    )
    status = HTTPStatus.UNAUTHORIZED if unknown else HTTPStatus.FORBIDDEN
    response = Response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _values() -> Iterator[tuple[str, Markup]]:
    """Every value to the last sign: nothing in it is made visible, as it is on other pages."""
    for name, value in request.form.items(multi=True):
        if name != FIELD:
            yield escape(name), escape(value)
    for name, upload in request.files.items(multi=True):
        if upload.filename:
            text = decoded(upload.stream.read())
            # the page that it is for says why it is not taken
            where, value = (name, text) if text is not None else (name + UNREAD, upload.filename)
            yield escape(where), escape(value)


# ---------------------------------------------------------------- tokens


def _sent() -> str:
    found = request.headers.get(HEADER, "")
    return found or (request.form.get(FIELD, "") if request.mimetype in TYPES else "")


def _is_right(sent: str) -> bool:
    if not sent.isascii():
        return False
    session, anonymous = cookies.read(cookies.SESSION), cookies.read(cookies.FORM)
    wanted = [_made(session, "form")] if session else []
    if anonymous:
        # of a form that outlived its session: this browser's, for this one address
        wanted.append(_kept_for(anonymous))
    if anonymous and not (session and whoever().signed_in):
        wanted.append(_made(anonymous, "form"))
    return any(hmac.compare_digest(sent, w) for w in wanted)


def _kept_token() -> str:
    return _kept_for(_anonymous())


def _kept_for(anonymous: str) -> str:
    return _made(anonymous + site().key.hex(), f"kept {_path()}")


def _basis() -> str:
    session = cookies.read(cookies.SESSION)
    return session if session and whoever().signed_in else _anonymous()


def _anonymous() -> str:
    """The secret of who has no session; the answer brings it where it is new."""
    found = cookies.read(cookies.FORM)
    if found:
        return found
    if "form_secret" not in g:
        g.form_secret = secrets.token_urlsafe(32)
    made: str = g.form_secret
    return made


def _remember(response: Response) -> Response:
    if "form_secret" in g:
        cookies.write(response, cookies.FORM, g.form_secret)
    return response


def _made(secret: str, use: str) -> str:
    return hmac.new(secret.encode(), f"envwatch {use}".encode(), hashlib.sha256).hexdigest()


# ---------------------------------------------------------------- where it comes from


def is_from_here() -> bool:
    """As browsers tell it. Programs that are none tell nothing, and have no cookie to abuse."""
    site_of = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin", "")
    if site_of and site_of not in HERE:
        return False
    return not origin or _origin(origin) in (
        _origin(site().context.settings.web.address),
        _origin(request.host_url),
    )


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", "", 0
    return parts.scheme, parts.hostname or "", port


def _path() -> str:
    query = request.query_string.decode("ascii", "replace")
    path = quote(f"{request.script_root}{request.path}")
    return f"{path}?{query}" if query else path
