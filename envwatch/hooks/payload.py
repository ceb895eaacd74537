"""Which commit a delivery names. It is a hint: what is odd names none, and wakes all the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

_MOST_CHANGES = 100
_LONGEST_REF = 255
_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORM = "payload="


@dataclass(frozen=True, slots=True)
class Push:
    """A ref and the commit that it is at now. No revision: the ref is gone, or nothing is said."""

    ref: str = ""
    revision: str = ""


def pushes(body: bytes) -> tuple[Push, ...]:
    """What the body names, the same thing once; nothing where it cannot be read."""
    try:
        text = body.decode()
        # GitHub may send a form. The media type does not tell: curl gives that of a form to all
        if text.startswith(_FORM):
            text = parse_qs(text, max_num_fields=10)["payload"][0]
        value = json.loads(text)
    except (ValueError, KeyError, RecursionError):  # no UTF-8, no form, too deep
        return ()
    found = (_push(ref, revision) for ref, revision in _named(value))
    return tuple(dict.fromkeys(push for push in found if push.ref or push.revision))


def _named(value: Any) -> Iterator[tuple[Any, Any]]:
    """Refs and commits as the forges write them: whatever is there, of whatever kind."""
    if not isinstance(value, dict):
        return
    if "revision" in value:
        yield value.get("ref"), value["revision"]
    elif "ref" in value:
        # GitLab says the commit of an annotated tag beside the tag itself
        yield value["ref"], value.get("checkout_sha") or value.get("after")
    elif isinstance(value.get("push"), dict):
        yield from (_of_cloud(change) for change in _changes(value["push"]))
    else:
        yield from ((c.get("refId"), c.get("toHash")) for c in _changes(value))


def _changes(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The changes of a push to Bitbucket."""
    changes = value.get("changes")
    listed = changes[:_MOST_CHANGES] if isinstance(changes, list) else []
    return (change for change in listed if isinstance(change, dict))


def _of_cloud(change: dict[str, Any]) -> tuple[Any, Any]:
    """As Bitbucket Cloud writes it: kind, short name, commit. Without `new` the ref is gone."""
    value = change.get("new") or change.get("old")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None, None
    folder = "tags" if value.get("type") == "tag" else "heads"
    target = value.get("target") if change.get("new") else None
    revision = target.get("hash") if isinstance(target, dict) else None
    return f"refs/{folder}/{value['name']}", revision


def _push(ref: Any, revision: Any) -> Push:
    """Both as they may be kept and shown. A revision of zeros is none."""
    fit = isinstance(ref, str) and len(ref) <= _LONGEST_REF and ref.isprintable()
    sha = revision.lower() if isinstance(revision, str) else ""
    known = _REVISION.fullmatch(sha) and sha.strip("0")
    return Push(ref if fit else "", sha if known else "")


def surely_elsewhere(branch: str, ref: str) -> bool:
    """Is `ref` none that a source of this branch follows? Where that is not sure it is not."""
    if not branch or not ref:
        return False
    followed = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
    return followed not in (ref, f"refs/heads/{ref}")
