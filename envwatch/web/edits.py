"""Pages to change things: files, each edit a commit, and what is done to builds and generations.

None of these is kept by anybody, for each carries a token of its form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request, url_for

from envwatch.access import Visitor
from envwatch.catalog.records import EnvironmentRecord
from envwatch.edit import Author, Edit, Edited
from envwatch.errors import Conflict, EnvwatchError, NotFound, SpecError
from envwatch.model import EnvKey, Level, Message
from envwatch.settings import Role
from envwatch.web.actions import Actions, Planned
from envwatch.web.answers import own_page
from envwatch.web.context import site
from envwatch.web.seeing import seen
from envwatch.web.signin import to
from envwatch.web.visitor import hidden, need, refused, visitor

edits = Blueprint("edits", __name__)

LONGEST = 512 * 1024  # characters of a file that is typed here
LONGEST_MESSAGE = 5000
PAGE: dict[str, Any] = {"form": "page"}
EXAMPLE = """\
name: example
channels:
  - conda-forge
dependencies:
  - python=3.12
  - ipykernel
"""


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody has in the form: nothing of it is lost, whatever becomes of it."""

    namespace: str
    text: str
    path: str = ""
    message: str = ""
    seen: str = ""
    source: str = ""


# ---------------------------------------------------------------- new and changed files


@edits.get("/new")
def new() -> Response:
    """A form for a new environment, in one of the namespaces in which that may be."""
    places = _places(visitor())
    wanted = request.args.get("namespace", "")
    chosen = wanted if wanted in places else (places[0] if places else "")
    return _form(Typed(chosen, EXAMPLE))


@edits.post("/new")
def create() -> Response:
    typed = _typed()
    if typed.namespace not in _places(visitor()):
        raise hidden(visitor(), f"there is no namespace `{typed.namespace}`")
    return _sent(typed, None)


@edits.get("/<namespace>/<name>/edit")
def edit(namespace: str, name: str) -> Response:
    """The file as it is now; of what is retired the one that it had last, to bring it back."""
    env = _environment(namespace, name)
    if env.retired_at is not None:
        text = site().context.catalog.builds.spec(env.spec_id).text
        return _form(Typed(namespace, text, path=env.path), env)
    file = _actions().file(env.key)
    return _form(
        Typed(namespace, file.text, path=file.path, seen=file.revision, source=file.source), env
    )


@edits.post("/<namespace>/<name>/edit")
def change(namespace: str, name: str) -> Response:
    env = _environment(namespace, name)
    # whoever may change one environment says nothing of where its file is
    source = "" if env.retired_at is not None else env.source
    return _sent(replace(_typed(), namespace=namespace, path=env.path, source=source), env)


@edits.post("/<namespace>/<name>/delete")
def delete(namespace: str, name: str) -> Response:
    """A commit that removes the file: the environment retires, and its history stays."""
    env = _environment(namespace, name)
    file = _actions().file(env.key)
    seen = request.form.get("seen", "")[:64] or file.revision
    wanted = _edit(Typed(namespace, "", file.path, _message(), seen, file.source), None)
    made = _actions().edit(replace(wanted, text=None))
    _note("delete", env.key, made)
    return to(url_for("pages.environment", **PAGE, namespace=namespace, name=name))


def _sent(typed: Typed, env: EnvironmentRecord | None) -> Response:
    """A form that came back: checked, or committed."""
    key = env.key if env is not None else None
    planned: Planned | None = None
    fault: EnvwatchError | None = None
    try:
        if "check" in request.form:
            planned = _actions().plan(typed.namespace, typed.text)
        else:
            return _committed(typed, key)
    except (SpecError, Conflict, NotFound) as e:
        fault = e
    status = HTTPStatus.OK if fault is None else HTTPStatus.CONFLICT
    return _form(typed, env, planned=planned, fault=fault, status=status)


def _committed(typed: Typed, key: EnvKey | None) -> Response:
    made = _actions().edit(_edit(typed, key))
    found = key or next((o.key for o in made.outcomes), None)
    _note("edit", found or EnvKey(typed.namespace, ""), made)
    if found is None or not made.live:
        return _form(typed, None, made=made)
    return to(url_for("pages.environment", **PAGE, namespace=found.namespace, name=found.name))


def _form(  # each is one thing that the page may say
    typed: Typed,
    env: EnvironmentRecord | None = None,
    *,
    planned: Planned | None = None,
    fault: EnvwatchError | None = None,
    made: Edited | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    return own_page(
        "edit.html",
        status,
        typed=typed,
        env=env,
        places=_places(visitor()),
        planned=planned,
        said=_messages(planned, fault),
        fault=fault,
        made=made,
    )


def _messages(planned: Planned | None, fault: EnvwatchError | None) -> tuple[Message, ...]:
    """What is said of single lines, beside them."""
    if isinstance(fault, SpecError):
        error = Level.ERROR
        return (Message(error, fault.message, "", fault.line, fault.column, fault.hint),)
    return tuple(replace(m, path="") for m in planned.messages) if planned else ()


def _typed() -> Typed:
    form = request.form
    # browsers send the ends of lines as the web has them, files have them as Unix
    text = form.get("text", "")[:LONGEST].replace("\r\n", "\n")
    return Typed(
        form.get("namespace", "")[:64],
        text,
        form.get("path", "")[:500],
        _message(),
        form.get("seen", "")[:64],
        form.get("source", "")[:64],
    )


def _message() -> str:
    return request.form.get("message", "")[:LONGEST_MESSAGE].replace("\r\n", "\n")


def _edit(typed: Typed, key: EnvKey | None) -> Edit:
    """The commit that is wanted. A new file is called after the environment in it."""
    path = typed.path
    if not path:
        planned = _actions().plan(typed.namespace, typed.text)
        found = planned.key
        if found is None:
            raise _refused(planned)
        path = f"{found.name}/environment.yml"
    who = visitor()
    return Edit(
        typed.namespace,
        path,
        typed.text if typed.text.endswith("\n") else f"{typed.text}\n",
        Author(who.name, who.name if "@" in who.name else f"{who.name}@envwatch"),
        message=typed.message,
        seen=typed.seen,
        source=typed.source,
        name=key.name if key is not None else "",
    )


def _refused(planned: Planned) -> SpecError:
    """The first fault of a file that is none of an environment."""
    wrong = next((m for m in planned.messages if m.level is Level.ERROR), None)
    if wrong is None:
        return SpecError("no environment was found in it", hint="give it a `name:`")
    return SpecError(wrong.text, line=wrong.line, column=wrong.column, hint=wrong.hint)


def _places(who: Visitor) -> list[str]:
    """Namespaces with a source that takes edits, in which somebody may make environments."""
    takes = (s for s in site().context.settings.sources if s.takes_edits)
    return sorted({s.namespace for s in takes if who.may_all(Role.DEVELOPER, s.namespace)})


# ---------------------------------------------------------------- builds and generations


@edits.get("/<namespace>/<name>/manage")
def manage(namespace: str, name: str) -> Response:
    """Everything that may be done with one environment."""
    env = _environment(namespace, name)
    catalog = site().context.catalog
    return own_page(
        "manage.html",
        env=env,
        generations=catalog.generations.of(env.id, limit=50),
        running=[b for b in catalog.builds.of(env.id, limit=20) if not b.state.over],
    )


@edits.post("/<namespace>/<name>/manage")
def act(namespace: str, name: str) -> Response:
    env = _environment(namespace, name)
    verb = request.form.get("verb", "")
    verbs = _verbs()
    if verb not in verbs:
        raise Conflict(f"there is nothing called {verb[:40]!a} to be done")
    verbs[verb](env.key, _number())
    site().context.catalog.audits.note(
        visitor(), verb, env.key, request.form.get("number", "")[:20]
    )
    back = "pages.environment" if verb in ("rebuild", "update", "cancel") else ".manage"
    more = PAGE if back == "pages.environment" else {}
    return to(url_for(back, **more, namespace=namespace, name=name))


def _verbs() -> dict[str, Callable[[EnvKey, int], object]]:
    """What can be done, by the word in the form. The number is that of a generation or build."""
    actions, by = _actions(), visitor().name
    return {
        "rebuild": lambda key, _: actions.rebuild(key, by=by),
        "update": lambda key, _: actions.update(key, by=by),
        "cancel": lambda key, number: actions.cancel(_build_of(key, number), by=by),
        "activate": lambda key, number: actions.activate(key, number, by=by),
        "hold": lambda key, _: actions.hold(key, None, by=by),
        "release": lambda key, _: actions.release(key, by=by),
        "pin": lambda key, number: actions.pin(key, number, pinned=True),
        "unpin": lambda key, number: actions.pin(key, number, pinned=False),
    }


def _build_of(key: EnvKey, build_id: int) -> int:
    """A build is cancelled by who may do that in its own environment."""
    if site().context.catalog.builds.get(build_id).key != key:
        raise NotFound(f"{key}: there is no build `{build_id}`")
    return build_id


def _number() -> int:
    text = request.form.get("number", "0")[:10]
    return int(text) if text.isdecimal() else 0


# ---------------------------------------------------------------- who may


def _environment(namespace: str, name: str) -> EnvironmentRecord:
    """An environment that may be changed. Raises NotFound, Unknown, Forbidden."""
    key = seen(namespace, name)
    need(Role.DEVELOPER, key)
    return site().context.catalog.generations.environment(key)


def _actions() -> Actions:
    who, found = visitor(), site().context.actions
    if not who.signed_in:
        raise refused(who, Role.DEVELOPER, "this place")
    if found is None:
        raise Conflict("nothing can be changed here")
    return found


def _note(action: str, key: EnvKey, made: Edited) -> None:
    detail = f"{made.path} in {made.revision[:12]} on {made.branch}"
    site().context.catalog.audits.note(visitor(), action, key, detail)
