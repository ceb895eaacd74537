"""Pages to change environment files: each edit a commit.

None of these is kept by anybody, for each carries a token of its form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus

from flask import Blueprint, Response, render_template, request, url_for

from envwatch.access import Visitor
from envwatch.catalog.records import EnvironmentRecord
from envwatch.edit import Author, Edit, Edited
from envwatch.errors import Busy, Conflict, EnvwatchError, NotFound, SpecError
from envwatch.model import EnvKey, Level, Message
from envwatch.settings import Role
from envwatch.web.actions import Planned
from envwatch.web.answers import own_page
from envwatch.web.api.guard import seldom
from envwatch.web.changing import PAGE, actions, changeable
from envwatch.web.context import site
from envwatch.web.seeing import need_workplace, seen_if_there
from envwatch.web.signin import to
from envwatch.web.uploads import UNREAD, decoded, not_text
from envwatch.web.visitor import changes, hidden, visitor

edits = Blueprint("edits", __name__)

LONGEST = 512 * 1024  # characters of a file that is typed here
LONGEST_MESSAGE = 5000
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
    env = changeable(namespace, name)
    if env.retired_at is not None:
        text = site().context.catalog.builds.spec(env.spec_id).text
        return _form(Typed(namespace, text, path=env.path), env)
    file = actions().file(env.key)
    return _form(
        Typed(namespace, file.text, path=file.path, seen=file.revision, source=file.source), env
    )


@edits.post("/<namespace>/<name>/edit")
def change(namespace: str, name: str) -> Response:
    env = changeable(namespace, name)
    # whoever may change one environment says nothing of where its file is
    source = "" if env.retired_at is not None else env.source
    return _sent(replace(_typed(), namespace=namespace, path=env.path, source=source), env)


@edits.post("/<namespace>/<name>/delete")
def delete(namespace: str, name: str) -> Response:
    """A commit that removes the file: the environment retires, and its history stays."""
    env = changeable(namespace, name)
    seldom()
    file = actions().file(env.key)
    seen = request.form.get("seen", "")[:64] or file.revision
    wanted = _edit(Typed(namespace, "", file.path, _message(), seen, file.source), env.key)
    made = actions().edit(replace(wanted, text=None))
    _note("delete", env.key, made)
    return to(url_for("pages.environment", **PAGE, namespace=namespace, name=name))


@edits.post("/check")
def check() -> Response:
    """What is said of a file as it is being typed: a piece of a page, with nothing solved."""
    typed = _typed()
    need_workplace(typed.namespace)
    response = Response(render_template("as_typed.html", said=_said(typed)))
    response.headers["Cache-Control"] = "no-store"
    return response


def _said(typed: Typed) -> tuple[Message, ...]:
    try:
        return _here(actions().read(typed.namespace, typed.text, typed.path))
    except SpecError as e:
        return _messages(None, e)


def _sent(typed: Typed, env: EnvironmentRecord | None) -> Response:
    """A form that came back: with a file to be put into it, to be checked, or to be committed."""
    key = env.key if env is not None else None
    planned: Planned | None = None
    fault: EnvwatchError | None = None
    try:
        typed = _with_file(typed)
        if "load" in request.form:
            return _form(typed, env)
        seldom()
        if "check" not in request.form:
            return _committed(typed, key)
        planned = _planned(typed)
    except (SpecError, Conflict, NotFound, Busy) as e:
        fault = e
    status = HTTPStatus.OK if fault is None else HTTPStatus.CONFLICT
    return _form(typed, env, planned=planned, fault=fault, status=status)


def _committed(typed: Typed, key: EnvKey | None) -> Response:
    made = actions().edit(_edit(typed, key))
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
    return _here(planned.messages) if planned else ()


def _here(messages: Iterable[Message]) -> tuple[Message, ...]:
    """There is one file on this page: it need not be named."""
    return tuple(replace(m, path="") for m in messages)


def _typed() -> Typed:
    form = request.form
    return Typed(
        form.get("namespace", "")[:64],
        _lines(form.get("text", "")),
        form.get("path", "")[:500],
        _message(),
        form.get("seen", "")[:64],
        form.get("source", "")[:64],
    )


def _lines(text: str) -> str:
    # browsers send the ends of lines as the web has them, files have them as Unix
    return text[:LONGEST].replace("\r\n", "\n")


def _with_file(typed: Typed) -> Typed:
    """A file that was chosen counts before what stands in the form. Raises Conflict."""
    # a form that was kept has it as a field, or its name where it could not be kept
    found: str | None = request.form.get("file", "")
    name = request.form.get(f"file{UNREAD}", "")
    sent = request.files.get("file")
    if sent:
        data, name = sent.stream.read(LONGEST + 1), sent.filename or ""
        found = decoded(data, whole=len(data) <= LONGEST)
    elif name:
        found = None
    if found is None:
        raise not_text(name)
    return replace(typed, text=_lines(found)) if found else typed


def _message() -> str:
    return request.form.get("message", "")[:LONGEST_MESSAGE].replace("\r\n", "\n")


def _edit(typed: Typed, key: EnvKey | None) -> Edit:
    """The commit that is wanted. A new file is called after the environment in it."""
    path = typed.path
    if not path:
        planned = _planned(typed)
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
        may=changes(who),
    )


def _planned(typed: Typed) -> Planned:
    """Solved, and held against what is there, as far as that may be seen."""
    found = actions().plan(typed.namespace, typed.text, typed.path)
    if found.key is not None:
        seen_if_there(found.key)
    return found


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


def _note(action: str, key: EnvKey, made: Edited) -> None:
    site().context.catalog.audits.note(visitor(), action, key, made.detail(key)[:2000])
