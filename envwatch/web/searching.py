"""Looking for packages in the channels: for who may write files that name them."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, request

from envwatch.errors import Busy, Conflict, EnvwatchError
from envwatch.model import Package
from envwatch.web.answers import own_page
from envwatch.web.api.guard import seldom
from envwatch.web.channels import found_in, query_of
from envwatch.web.seeing import workplaces

searching = Blueprint("searching", __name__)


@searching.get("/find")
def find() -> Response:
    """By a part of the name (`q`), or all versions of one (`name`)."""
    places = workplaces()
    namespace = request.args.get("namespace", "")[:64] or (places[0] if places else "")
    name, words = request.args.get("name", "")[:100], request.args.get("q", "")[:100]
    query = query_of(name or words, exact=bool(name))
    found: tuple[Package, ...] = ()
    fault: EnvwatchError | None = None
    if query is not None:
        try:
            seldom()
            found = found_in(namespace, query)
        except (Conflict, Busy) as e:
            fault = e
    return own_page(
        "find.html",
        HTTPStatus.CONFLICT if fault else HTTPStatus.OK,
        places=places,
        namespace=namespace,
        words=words,
        query=query,
        asked=bool(name or words),
        found=found,
        fault=fault,
    )
