"""An environment that was data elsewhere, as the file that a person would have written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from envwatch import spec
from envwatch.model import Level, Message
from envwatch.yamltext import Kind, Node

ORDER = ("name", "description", "channels", "dependencies", "variables")
LIMIT = 64 * 1024  # bytes of one file, as any source reads it


class _Dumper(yaml.SafeDumper):
    """Lists stand below their key with an indent, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # as PyYAML
        super().increase_indent(flow, False)


def render(values: Mapping[str, Any]) -> bytes:
    """The usual keys first, in the usual order; what is empty or bound to a machine goes."""
    known = [k for k in ORDER if k in values]
    keys = [*known, *(k for k in values if k not in ORDER and k != "prefix")]
    kept = {k: values[k] for k in keys if values[k] not in (None, "", [], {})}
    text = yaml.dump(
        kept, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=False,
    )  # fmt: skip
    return text.encode(errors="replace")


def plain(node: Node) -> Any:
    """A value as the loader read it, as plain data: texts stay texts."""
    if node.kind is Kind.SEQUENCE:
        return [plain(item) for item in node.items]
    if node.kind is Kind.MAPPING:
        return {key.text: plain(value) for key, value in node.entries}
    return None if node.null else node.text


def refusal(data: bytes, path: str) -> Message | None:
    """Why a source would refuse this file, or nothing."""
    if len(data) > LIMIT:
        return Message(Level.ERROR, f"the file is too large: the limit is {LIMIT} bytes", path=path)
    return next((m for m in spec.check(data, path=path) if m.level is Level.ERROR), None)
