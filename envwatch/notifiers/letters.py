"""A letter as JSON for programs, and as a title and a text for people."""

from __future__ import annotations

import json
from datetime import UTC

from envwatch.telling import Letter, NoticeKind


def kind_of(letter: Letter) -> str:
    """`environment.broken`, `source.stalled`, `test`."""
    if letter.kind is NoticeKind.TEST:
        return "test"
    return f"{'environment' if letter.notice.environment else 'source'}.{letter.kind}"


def as_json(letter: Letter) -> bytes:
    """What is empty is left out."""
    notice = letter.notice
    data = {
        "subject": notice.subject,
        "message": notice.message,
        "namespace": notice.namespace,
        "environment": notice.environment,
        "source": notice.source,
        "generation": notice.generation,
        "build": notice.build,
        "revision": notice.revision,
        "stalled": NoticeKind.STALLED in notice.kinds or None,
        "url": notice.url,
    }
    body = {
        "id": letter.id,
        "type": kind_of(letter),
        "timestamp": notice.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {key: value for key, value in data.items() if value not in ("", None)},
    }
    return json.dumps(body, ensure_ascii=False).encode()


def as_text(letter: Letter) -> tuple[str, str]:
    """A title and a text."""
    notice = letter.notice
    told = notice.message if not notice.url else f"{notice.message}\n{notice.url}"
    return f"{notice.subject}: {letter.kind}", told
