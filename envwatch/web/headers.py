"""The headers of every answer: nothing from elsewhere, nothing inline, nobody's frame."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, g, request
from secure import Secure
from secure.headers import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    XContentTypeOptions,
    XFrameOptions,
)

_POLICY = (
    ContentSecurityPolicy()
    .default_src("'none'")
    .script_src("'self'")
    .style_src("'self'")
    .img_src("'self'", "data:")
    .connect_src("'self'")
    .form_action("'self'")
    .base_uri("'none'")
    .frame_ancestors("'none'")
)
_PERMISSIONS = PermissionsPolicy().camera().microphone().geolocation()
_HEADERS = Secure(
    csp=_POLICY,
    coop=CrossOriginOpenerPolicy().same_origin(),
    corp=CrossOriginResourcePolicy().same_origin(),
    permissions=_PERMISSIONS,
    referrer=ReferrerPolicy().same_origin(),
    xcto=XContentTypeOptions().nosniff(),
    xfo=XFrameOptions().deny(),
).header_items()
# files are for keeping, not for showing: even opened in the browser they are nobody
SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"


def add_headers(response: Response) -> Response:
    for name, value in _HEADERS:
        response.headers.setdefault(name, value)
    return response


def keep_private(response: Response) -> Response:
    """An answer that depends on who asks is kept for nobody else."""
    if "visitor" not in g:
        return response
    response.vary.update(("Cookie", "Authorization"))
    said = response.headers.get("Cache-Control", "")
    if g.visitor.signed_in and "no-store" not in said:
        response.headers["Cache-Control"] = f"private, {said}" if said else "private"
    return response


def name_no_host(response: Response) -> Response:
    """Redirects stay here: what we take for our host may be wrong behind a proxy, and two
    slashes at the start would name another one. Only who goes to sign in leaves.
    """
    if response.location and response.location != g.get("leaves_for"):
        parts = urlsplit(response.location)
        path = "/" + parts.path.lstrip("/")
        response.location = f"{path}?{parts.query}" if parts.query else path
        response.set_data(b"")  # that host would stand in it as well
    return response


def drop_many_ranges() -> None:
    """Several ranges in one request are answered by the whole: allowed, and cheap."""
    if "," in request.environ.get("HTTP_RANGE", ""):
        del request.environ["HTTP_RANGE"]
