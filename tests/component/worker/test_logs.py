"""One line a record, with fields, in either form."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from parley import logs
from parley.logs import JsonFormatter, TextFormatter


def record(message: str = "hello %s", *args: object, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "parley.room", "levelno": logging.INFO, "levelname": "INFO", "msg": message, "args": args}
    )
    made.__dict__.update(fields)
    return made


def test_json_is_one_object_a_line_with_its_fields() -> None:
    line = JsonFormatter().format(record("hello %s", "two\nlines", speaker="ana", seconds=1.5, odd={1}))
    assert "\n" not in line
    body = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("time"))
    assert body == {
        "level": "info",
        "logger": "parley.room",
        "message": "hello two\nlines",
        "speaker": "ana",
        "seconds": 1.5,
        "odd": "{1}",
    }


def test_a_traceback_is_one_field_of_the_same_line() -> None:
    made = record("failed")
    try:
        raise ZeroDivisionError("oops")
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "ZeroDivisionError: oops" in json.loads(line)["exception"]


def test_text_has_the_fields_behind_the_message() -> None:
    line = TextFormatter().format(record("hello %s", "you", speaker="ana", n=3))
    assert re.fullmatch(r"\S+Z INFO    parley\.room hello you speaker=ana n=3", line)


def test_a_traceback_follows_the_fields() -> None:
    made = record("failed", n=1)
    try:
        raise ZeroDivisionError("oops")
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    first, *rest = TextFormatter().format(made).splitlines()
    assert first.endswith("failed n=1")
    assert rest[-1] == "ZeroDivisionError: oops"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger and those that are set up, put back afterwards."""
    names = ("", "parley", "livekit.plugins.openai_realtime", "livekit.agents", "livekit")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.level, list(one.handlers)) for one in loggers]
    yield loggers[0]
    for one, (level, handlers) in zip(loggers, before, strict=True):
        one.setLevel(level)
        one.handlers[:] = handlers


def test_everything_goes_to_stderr_and_debug_is_not_shown_at_info(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("info", "json")
    logging.getLogger("parley.job").info("seen", extra={"rooms": 2})
    logging.getLogger("parley.job").debug("a spoken word")
    logging.getLogger("livekit.agents").info("their business")
    logging.getLogger("livekit.agents").warning("their trouble")
    logging.getLogger("aiohttp.access").info("GET /")
    out, err = capsys.readouterr()
    assert out == ""
    assert [json.loads(line)["message"] for line in err.splitlines()] == ["seen", "their trouble"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_of_the_settings_can_be_logged_by_accident(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parley.config import load

    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, f"hush-{name}")
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1")
    logs.set_up("debug", form)
    settings = load()
    logging.getLogger("parley").debug(
        "settings %s", settings, extra={"all": settings, "key": settings.openai_api_key}
    )
    err = capsys.readouterr().err
    assert "settings" in err
    assert "hush-OPENAI_API_KEY" not in err
    assert "hush-LIVEKIT_API_SECRET" not in err
