"""Sets up the log: one line per event, for a person on a terminal, as logfmt or JSON elsewhere.

Every module logs through the standard library; structlog only formats.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from envwatch.errors import ConfigError
from envwatch.redact import redact

FORMATS = ("auto", "console", "logfmt", "json")

# They report at WARNING or INFO what is no trouble here: a skipped run, a queued request.
NOISY = (
    ("apscheduler", logging.WARNING),
    ("apscheduler.scheduler", logging.ERROR),
    ("apscheduler.executors.default", logging.ERROR),
    ("waitress.queue", logging.ERROR),
    ("watchdog", logging.WARNING),
    ("git", logging.WARNING),
    ("alembic", logging.WARNING),
)

# Control characters, line separators and those that turn the direction of text: one event could
# pass for two, or command the terminal that shows it.
_UNSAFE = (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F))
_ESCAPES = {n: repr(chr(n))[1:-1] for n in (*_UNSAFE, *range(0x2066, 0x206A), 0xFEFF)}

_PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)


def configure(
    form: str = "auto", stream: TextIO | None = None, *, level: int = logging.INFO
) -> None:
    """Send the log of the whole process to `stream` (stderr) in the given format."""
    if form not in FORMATS:
        raise ConfigError(f"`{form}` is not a log format", hint=f"one of {', '.join(FORMATS)}")
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    journal = _is_journal(stream)
    handler.setFormatter(_formatter(_chosen(form, stream), journal=journal))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name, least in NOISY:
        logging.getLogger(name).setLevel(max(least, level))


def configure_build(stream: TextIO) -> None:
    """Send the log of a build to `stream`, for people: the time, and what happened."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_BuildLog())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def escape(text: str) -> str:
    """Text that stays on its line and cannot command a terminal."""
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode()


def _chosen(form: str, stream: TextIO) -> str:
    if form != "auto":
        return form
    return "console" if stream.isatty() else "logfmt"


def _is_journal(stream: TextIO) -> bool:
    """Does systemd read this very stream? Children inherit the variable, not always the stream."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _formatter(form: str, *, journal: bool) -> logging.Formatter:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.format_exc_info,
    ]
    if not journal:
        # the journal has a clock of its own
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _clean,
            {"json": _json, "logfmt": _logfmt, "console": _console}[form],
        ],
    )
    return _Journal(formatter) if journal else formatter


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Every value as safe text. Only a traceback may have several lines."""
    cleaned: EventDict = {}
    for key, value in event.items():
        text = redact(str(value))
        lines = text.splitlines() if key == "exception" else [text]
        cleaned[escape(key)] = "\n".join(escape(line) for line in lines)
    return cleaned


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event, ensure_ascii=False)


def _logfmt(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    trace = event.pop("exception", "")
    first = ("timestamp", "level", "logger", "event")
    ordered = {key: event.pop(key) for key in first if key in event}
    ordered.update(sorted(event.items()))
    line = " ".join(f"{_key(key)}={_quoted(value)}" for key, value in ordered.items())
    return f"{line}\n{trace}" if trace else line


def _console(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    trace = event.pop("exception", "")
    time = event.pop("timestamp", "")[11:19]
    level, name, text = (event.pop(key, "") for key in ("level", "logger", "event"))
    rest = " ".join(f"{_key(key)}={_quoted(value)}" for key, value in sorted(event.items()))
    shown = "" if level == "info" else f"{level}: "
    origin = name.removeprefix("envwatch.")
    line = " ".join(part for part in (time, f"{origin}:", f"{shown}{text}", rest) if part)
    return f"{line}\n{trace}" if trace else line


def _key(key: str) -> str:
    return key.replace(" ", "_").replace("=", "_")


def _quoted(value: str) -> str:
    if value and not any(c in ' "=' for c in value):
        return value
    # the backslash too: one before the closing quote would open the value to the next field
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Journal(logging.Formatter):
    """Puts `<priority>` before each line: systemd files a line without one as `info`."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for least, p in _PRIORITIES if record.levelno >= least), 7)
        lines = self._inner.format(record).splitlines()
        return "\n".join(f"<{priority}>{line}" for line in lines)


class _BuildLog(logging.Formatter):
    """An explanation may have several lines; each is safe text, and only the first has a time."""

    default_msec_format = None
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        first, *others = redact(text).splitlines() or [""]
        lines = [f"{self.formatTime(record, '%H:%M:%S')} {level}{escape(first)}"]
        return "\n".join([*lines, *(f"         {escape(line)}" for line in others)])
