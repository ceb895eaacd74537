"""From the bytes of a config file to a checked model, every remark with its line and column."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import chain
from operator import eq
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from envwatch import yamltext
from envwatch.config import fill, rules, sections, told
from envwatch.config.problem import Problem
from envwatch.config.words import Wrong
from envwatch.errors import SpecError
from envwatch.model import Level, Message
from envwatch.settings import Settings
from envwatch.yamltext import Kind, Limits, Node, shown

LIMITS = Limits(max_bytes=1024 * 1024, max_depth=12, max_nodes=50_000)
MOST_MESSAGES = 20
KEY_OF_MAPPING = "[key]"  # pydantic's word for a key that is wrong itself

Place = tuple[str | int, ...]


def read(path: Path, root: Path | None = None) -> tuple[Settings | None, tuple[Message, ...]]:
    """The settings, `None` where there are errors, and all remarks in the order of the file."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMITS.max_bytes + 1)
        node = yamltext.load(data, path=str(path), limits=LIMITS)
    except OSError as e:
        text = f"cannot be read: {e.strerror}"
        return None, (Message(Level.ERROR, text, str(path), hint="name another file with `-c`"),)
    except SpecError as e:
        return None, (Message(Level.ERROR, e.message, e.path, e.line, e.column, e.hint),)
    return _checked(node, path.absolute(), str(path), root)


def _checked(
    node: Node, path: Path, shown_path: str, given_root: Path | None
) -> tuple[Settings | None, tuple[Message, ...]]:
    config, found = _validated(node)
    root = _root(config, path, given_root)
    if config and root:
        said = chain(rules.problems(config, path, root), told.problems(config, path))
        found += [p for p in said if not _follows(p, found)]
    messages = _messages(found, node, shown_path)
    if config is None or root is None or any(m.level is Level.ERROR for m in messages):
        return None, messages
    return fill.settings_of(config, path, root), messages


def _root(config: sections.Config | None, path: Path, given: Path | None) -> Path | None:
    if given:
        return fill.resolved(given)
    return fill.root_of(config, path) if config else None


def _follows(problem: Problem, found: list[Problem]) -> bool:
    """Is it said only because something that is wrong was left out?"""
    if found and problem.level is not Level.ERROR:
        return True
    return any(all(map(eq, problem.where, p.where)) for p in found)  # one lies in the other


def _messages(found: list[Problem], node: Node, path: str) -> tuple[Message, ...]:
    messages = sorted((_message(p, node, path) for p in found), key=lambda m: (m.line, m.column))
    more = len(messages) - MOST_MESSAGES
    if more > 0:
        messages = messages[:MOST_MESSAGES]
        messages.append(Message(Level.ERROR, f"and {more} more of such remarks", path))
    return tuple(messages)


def _message(problem: Problem, node: Node, path: str) -> Message:
    place = _find(node, problem)
    key = _key(problem.where)
    text = f"{key}: {problem.text}" if key else problem.text
    return Message(problem.level, text, path, place.line, place.column, problem.hint)


# ---------------------------------------------------------------- places


def _find(node: Node, problem: Problem) -> Node:
    """Where a problem is; the nearest value above it where there is nothing."""
    for step in problem.where[:-1] if problem.at_key else problem.where:
        below = _below(node, step)
        if below is None:
            return node
        node = below
    if not problem.at_key:
        return node
    return next((key for key, _ in node.entries if key.text == problem.where[-1]), node)


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(step, int):
        return node.items[step] if step < len(node.items) else None
    return node.get(step)


def _key(where: Place) -> str:
    """`sources[0].interval`, as people write it."""
    text = "".join(
        f"[{step}]" if isinstance(step, int) else f".{shown(step, longest=64)}" for step in where
    )
    return text.removeprefix(".")


def _plain(node: Node) -> Any:
    """The values without their places, every scalar as text."""
    if node.kind is Kind.MAPPING:
        return {key.text: _plain(value) for key, value in node.entries}
    if node.kind is Kind.SEQUENCE:
        return [_plain(item) for item in node.items]
    return None if node.null else node.text


# ---------------------------------------------------------------- what pydantic says


def _validated(node: Node) -> tuple[sections.Config | None, list[Problem]]:
    """The model and what is wrong with single values.

    What is wrong is left out of the model, so that the rules between values are looked at too
    and a person sees all faults at once.
    """
    data = _plain(node)
    found: list[Problem] = []
    for leave_out in (_leave_out, _leave_out_section, _leave_out_section):
        try:
            return sections.Config.model_validate(data), found
        except ValidationError as e:
            errors = e.errors(include_url=False, include_input=False)
        found = found or [_problem(error) for error in errors]
        for error in errors:
            leave_out(data, error["loc"])
    return None, found


def _problem(error: ErrorDetails) -> Problem:
    where = error["loc"]
    kind = error["type"]
    wrong = error.get("ctx", {}).get("error")
    at_key = bool(where) and where[-1] == KEY_OF_MAPPING
    if at_key:
        where = where[:-1]
    if isinstance(wrong, Wrong):
        return Problem(where, wrong.problem, wrong.hint, at_key=at_key)
    if kind == "extra_forbidden":
        return Problem(where, "unknown key", _nearest(where), at_key=True)
    if kind == "missing":
        return Problem(where[:-1], f"`{where[-1]}` is missing", f"add `{where[-1]}:`")
    expected = "a list" if kind == "tuple_type" else "a mapping of keys and values"
    return Problem(where, f"must be {expected}")


def _leave_out(data: Any, where: Place) -> None:
    """Remove one value; a list goes as a whole, or the numbers of its items would shift."""
    steps = [step for step in where if step != KEY_OF_MAPPING]
    while steps and isinstance(steps[-1], int):
        steps.pop()
    for step in steps[:-1]:
        if isinstance(data, dict) and step not in data:
            return
        data = data[step]
    if isinstance(data, dict) and steps:
        data.pop(steps[-1], None)


def _leave_out_section(data: Any, where: Place) -> None:
    if isinstance(data, dict) and where:
        data.pop(where[0], None)


def _nearest(where: Place) -> str:
    known = list(_section(where[:-1]).model_fields)
    near = get_close_matches(str(where[-1]).lower(), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known here: {', '.join(sorted(known))}"


def _section(where: Place) -> type[BaseModel]:
    """The model of the section at some steps from the top."""
    section: type[BaseModel] = sections.Config
    for step in where:
        if field := section.model_fields.get(str(step)):
            section = _model_in(field.annotation) or section
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model in a type such as `tuple[SourceEntry, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in getattr(annotation, "__args__", ()) if (m := _model_in(a))), None)
