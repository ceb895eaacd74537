"""Files that come with a form: text in UTF-8, or refused. Nothing of them is guessed."""

from __future__ import annotations

import codecs

from envwatch.errors import Conflict

UNREAD = "_unread"  # a field of a form that was kept names a file so that could not be


def decoded(data: bytes, *, whole: bool = True) -> str | None:
    """None for what is no text in UTF-8; a mark at its start is left out.

    The last sign may be cut off where it is not the `whole` file.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=whole)
    except UnicodeDecodeError:
        return None
    # UTF-16 without a mark is UTF-8 as well, with a zero beside each sign
    return None if "\0" in text else text


def not_text(name: str) -> Conflict:
    return Conflict(
        f"the file `{name[:100]}` was not taken: it is not text in UTF-8",
        hint="save it as UTF-8 in your editor, and choose it again; nothing else was lost",
    )
