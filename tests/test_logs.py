"""The log: one line per event, no secrets, nothing that commands a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from envwatch import logs
from envwatch.errors import ConfigError

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus/hostile/log"

logger = logging.getLogger("envwatch.worker")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """What other tests, and pytest itself, have set up comes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name, _ in logs.NOISY}
    yield
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


@pytest.fixture
def log() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("logfmt", stream)
    return stream


def fail() -> None:
    raise ValueError("first\nsecond https://me:CANARY-PW@h")


def log_a_traceback() -> None:
    try:
        fail()
    except ValueError:
        logger.exception("build 18 failed")


def test_logfmt_has_one_line_per_event(log: io.StringIO) -> None:
    logger.info("build %s started", 18)
    logger.warning("slow")
    first, second = log.getvalue().splitlines()
    assert first.startswith("timestamp=20")
    assert first.endswith('Z level=info logger=envwatch.worker event="build 18 started"')
    assert second.endswith("level=warning logger=envwatch.worker event=slow")


def test_json_is_one_object_per_line() -> None:
    stream = io.StringIO()
    logs.configure("json", stream)
    log_a_traceback()
    event = json.loads(stream.getvalue())
    assert (event["level"], event["event"]) == ("error", "build 18 failed")
    assert event["exception"].startswith("Traceback")
    assert stream.getvalue().count("\n") == 1


def test_console_is_short() -> None:
    stream = io.StringIO()
    logs.configure("console", stream)
    logger.info("started")
    logger.error("broken", extra={"build": 18})
    first, second = (line[9:] for line in stream.getvalue().splitlines())
    assert first == "worker: started"
    assert second == "worker: error: broken build=18"


def test_bound_context_is_on_the_line(log: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(build=18, env="analyst/stats"):
        logger.info("linked")
    assert "event=linked build=18 env=analyst/stats" in log.getvalue()


def test_a_file_gets_logfmt_and_a_terminal_the_console_format(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as file:
        logs.configure("auto", file)
        logger.info("started")
    assert "level=info" in (tmp_path / "log").read_text()
    one, other = pty.openpty()
    with os.fdopen(other, "w") as terminal, os.fdopen(one, "rb", buffering=0) as screen:
        logs.configure("auto", terminal)
        logger.info("started")
        assert screen.read(200)[9:] == b"worker: started\r\n"


def test_under_the_journal_each_line_carries_its_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w") as file:
        status = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.configure("logfmt", file)
        logger.info("started")
        logger.warning("slow")
        log_a_traceback()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "<6>level=info logger=envwatch.worker event=started"
    assert lines[1].startswith("<4>level=warning")
    assert len(lines) > 5
    assert all(line.startswith("<3>") for line in lines[2:])


def test_a_stream_that_the_journal_does_not_read_has_no_priorities(
    log: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    with (tmp_path / "log").open("w") as file:
        logs.configure("logfmt", file)
        logger.info("started")
    assert (tmp_path / "log").read_text().startswith("timestamp=")


def test_secrets_are_masked_in_texts_values_and_tracebacks(log: io.StringIO) -> None:
    logger.info("fetch %s", "https://me:CANARY-PW@h/t/x", extra={"url": "https://CANARY@h/"})
    log_a_traceback()
    assert "CANARY" not in log.getvalue()
    assert "https://***@h" in log.getvalue()


def test_corpus_of_hostile_log_lines_is_harmless(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps the raw text for its reports, and its workers cannot send what is not utf-8
    ours = [h for h in logging.getLogger().handlers if "pytest" not in type(h).__module__]
    monkeypatch.setattr(logging.getLogger(), "handlers", ours)
    if not CORPUS.is_dir():
        pytest.skip("the corpus of hostile inputs is not beside this checkout")
    for name in ("secret.log", "ansi-html.log"):
        for line in (CORPUS / name).read_bytes().splitlines():
            logger.info("%s", line.decode("utf-8", "surrogateescape"))
    assert "CANARY" not in log.getvalue()
    assert all(c == "\n" or c.isprintable() for c in log.getvalue())


@given(st.text())
def test_any_text_stays_on_one_printable_line(text: str) -> None:
    stream = io.StringIO()
    logs.configure("logfmt", stream)
    logger.info("%s", text)
    assert stream.getvalue().count("\n") == 1
    stream.getvalue().encode()


def test_a_value_cannot_pretend_to_be_another_field(log: io.StringIO) -> None:
    logger.info("%s", 'x\\" level=critical')
    assert log.getvalue().rstrip().endswith(r'event="x\\\" level=critical"')


def test_noise_of_libraries_is_lowered(log: io.StringIO) -> None:
    logging.getLogger("waitress.queue").warning("Task queue depth is 3")
    logging.getLogger("apscheduler.scheduler").warning("Execution of job skipped")
    logging.getLogger("apscheduler.scheduler").error("broken")
    assert log.getvalue().count("\n") == 1


def test_configuring_again_replaces_the_first(log: io.StringIO) -> None:
    second = io.StringIO()
    logs.configure("logfmt", second)
    logger.info("once")
    assert (log.getvalue().count("once"), second.getvalue().count("once")) == (0, 1)


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="`xml` is not a log format"):
        logs.configure("xml")
