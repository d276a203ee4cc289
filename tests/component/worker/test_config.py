"""Settings: every one of them, and what a person reads who mistypes one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from parley import config
from parley.config import load
from parley.core.language import OUTPUT_LANGUAGES
from parley.core.model import Preferences
from parley.core.preferences import Allowed
from parley.core.usage import LIST_PRICES
from parley.errors import SettingsError, UnknownSettingError

NEEDED = {
    "LIVEKIT_URL": "wss://lk.example.com",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "hush-hush-livekit",
    "OPENAI_API_KEY": "hush-hush-openai",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PARLEY_", "LIVEKIT_", "OPENAI_")):
            monkeypatch.delenv(name)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


DESK = """\
from livekit.agents import Agent
from parley import agents

agents.register("desk", lambda: Agent(instructions="x"), voice='ash')
"""

EVERY = {
    "OPENAI_BASE_URL": ("http://127.0.0.1:9/v1", "openai_base_url", "http://127.0.0.1:9/v1"),
    "PARLEY_AGENT_NAME": ("interpreter", "agent_name", "interpreter"),
    "PARLEY_HTTP_HOST": ("127.0.0.1", "http_host", "127.0.0.1"),
    "PARLEY_HTTP_PORT": ("0", "http_port", 0),
    "PARLEY_AGENTS": ("my_agents, more/agents.py", "agents", ("my_agents", "more/agents.py")),
    "PARLEY_DRAIN_S": ("12.5", "drain_s", 12.5),
    "PARLEY_STATE_DIR": ("/var/lib/parley", "state_dir", "/var/lib/parley"),
    "PARLEY_LOG_LEVEL": ("debug", "log_level", "debug"),
    "PARLEY_LOG_FORMAT": ("json", "log_format", "json"),
    "PARLEY_TRANSLATION__MODEL": ("m", "translation.model", "m"),
    "PARLEY_TRANSLATION__ORIGINAL": ("duck", "translation.original", "duck"),
    "PARLEY_TRANSLATION__DUCK_DB": ("-12", "translation.duck_db", -12.0),
    "PARLEY_TRANSLATION__LAYOUT": ("per_speaker", "translation.layout", "per_speaker"),
    "PARLEY_TRANSLATION__MODE": ("consecutive", "translation.mode", "consecutive"),
    "PARLEY_TRANSLATION__IDLE_S": ("7", "translation.idle_s", 7.0),
    "PARLEY_TRANSLATION__TAIL_LEAST_S": ("2", "translation.tail_least_s", 2.0),
    "PARLEY_TRANSLATION__TAIL_MOST_S": ("9", "translation.tail_most_s", 9.0),
    "PARLEY_TRANSLATION__BUFFER_S": ("20", "translation.buffer_s", 20.0),
    "PARLEY_TRANSLATION__NOISE_REDUCTION": ("far_field", "translation.noise_reduction", "far_field"),
    "PARLEY_CAPTIONS__MODEL": ("w", "captions.model", "w"),
    "PARLEY_CAPTIONS__DELAY": ("high", "captions.delay", "high"),
    "PARLEY_CAPTIONS__PROMPT": ("a tasting", "captions.prompt", "a tasting"),
    "PARLEY_CAPTIONS__KEYWORDS": ("Parley, LiveKit", "captions.keywords", ("Parley", "LiveKit")),
    "PARLEY_CAPTIONS__IDLE_S": ("90", "captions.idle_s", 90.0),
    "PARLEY_CAPTIONS__LATE_LINES": ("0", "captions.late_lines", 0),
    "PARLEY_CAPTIONS__LATE_S": ("30", "captions.late_s", 30.0),
    "PARLEY_VOICE_AGENT__MODEL": ("gpt-realtime-2", "voice_agent.model", "gpt-realtime-2"),
    "PARLEY_VOICE_AGENT__VOICE": ("cedar", "voice_agent.voice", "cedar"),
    "PARLEY_VOICE_AGENT__TRANSCRIPTION_MODEL": ("", "voice_agent.transcription_model", ""),
    "PARLEY_VOICE_AGENT__REASONING_EFFORT": ("high", "voice_agent.reasoning_effort", "high"),
    "PARLEY_VOICE_AGENT__TURN_DETECTION": ("vad", "voice_agent.turn_detection", "vad"),
    "PARLEY_VOICE_AGENT__EAGERNESS": ("high", "voice_agent.eagerness", "high"),
    "PARLEY_VOICE_AGENT__SILENCE_MS": ("700", "voice_agent.silence_ms", 700),
    "PARLEY_VOICE_AGENT__NOISE_REDUCTION": ("near_field", "voice_agent.noise_reduction", "near_field"),
    "PARLEY_VOICE_AGENT__MAX_OUTPUT_TOKENS": ("900", "voice_agent.max_output_tokens", 900),
    "PARLEY_VOICE_AGENT__HISTORY_ITEMS": ("20", "voice_agent.history_items", 20),
    "PARLEY_VOICE_AGENT__STALL_S": ("12", "voice_agent.stall_s", 12.0),
    "PARLEY_VOICE_AGENT__BASE_URL": (
        "https://eu.example.com/v1",
        "voice_agent.base_url",
        "https://eu.example.com/v1",
    ),
    "PARLEY_VOICE_AGENT__TRACING": ("true", "voice_agent.tracing", True),
    "PARLEY_VAD__THRESHOLD": ("0.7", "vad.threshold", 0.7),
    "PARLEY_VAD__SILENCE_S": ("1", "vad.silence_s", 1.0),
    "PARLEY_VAD__PRE_ROLL_S": ("0", "vad.pre_roll_s", 0.0),
    "PARLEY_LIMITS__LANGUAGES": ("de, fr,,en", "limits.languages", ("de", "fr", "en")),
    "PARLEY_LIMITS__SESSIONS_PER_ROOM": ("3", "limits.sessions_per_room", 3),
    "PARLEY_LIMITS__AUDIO_MINUTES_PER_MINUTE": ("200", "limits.audio_minutes_per_minute", 200),
    "PARLEY_LIMITS__ROOMS": ("2", "limits.rooms", 2),
    "PARLEY_LIMITS__AGENTS": ("assistant, support", "limits.agents", ("assistant", "support")),
    "PARLEY_LIMITS__SAY": ("*", "limits.say", ("*",)),
    "PARLEY_LIMITS__HOSTS": ("eve, zoe", "limits.hosts", ("eve", "zoe")),
    "PARLEY_LIMITS__SESSIONS_PER_PARTICIPANT": ("4", "limits.sessions_per_participant", 4),
    "PARLEY_LIMITS__USD_PER_ROOM": ("2.5", "limits.usd_per_room", 2.5),
    "PARLEY_LIMITS__USD_PER_PARTICIPANT": ("0.5", "limits.usd_per_participant", 0.5),
    "PARLEY_PRICES__FILE": ("", "prices.file", ""),
    "PARLEY_EXPORT__DIR": ("summaries", "export.dir", "summaries"),
    "PARLEY_EXPORT__WEBHOOK_URL": ("", "export.webhook_url", ""),
    "PARLEY_EXPORT__WEBHOOK_SECRET": ("x", "export.webhook_secret", SecretStr("x")),
    "PARLEY_EXPORT__TRANSCRIPT": ("", "export.transcript", ()),
    "PARLEY_EXPORT__OWN_WORDS": ("read", "export.own_words", "read"),
    "PARLEY_EXPORT__TRANSCRIPT_LINES": ("10", "export.transcript_lines", 10),
    "PARLEY_EXPORT__TRANSCRIPT_BYTES": ("10000", "export.transcript_bytes", 10_000),
    "PARLEY_EXPORT__CHARS_PER_S": ("15", "export.chars_per_s", 15.0),
    "PARLEY_EXPORT__KEEP_DAYS": ("30", "export.keep_days", 30.0),
    "PARLEY_EXPORT__REDACT": ("privacy:hide", "export.redact", "privacy:hide"),
    "PARLEY_NOTES__MODEL": ("gpt-5-mini", "notes.model", "gpt-5-mini"),
    "PARLEY_NOTES__TIMEOUT_S": ("9", "notes.timeout_s", 9.0),
    "PARLEY_LIMITS__TRANSCRIPT": ("everybody", "limits.transcript", "everybody"),
    "PARLEY_DEFAULTS__SPEAKS": ("en", "defaults.speaks", "en"),
    "PARLEY_DEFAULTS__HEARS": ("fr", "defaults.hears", "fr"),
    "PARLEY_DEFAULTS__CAPTIONS": ("original", "defaults.captions", "original"),
    "PARLEY_DEFAULTS__AGENT": ("Assistant", "preferences.agent", "assistant"),
}


def test_this_list_is_complete() -> None:
    """A setting that is added is added here, and so tested."""
    assert set(config._known()) == set(EVERY) | set(NEEDED)


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, path, expected = EVERY[name]
    monkeypatch.setenv(name, text)
    value: object = load()
    for part in path.split("."):
        value = getattr(value, part)
    assert value == expected


def test_defaults_are_those_documented() -> None:
    settings = load()
    assert settings.openai_base_url == "https://api.openai.com/v1"
    assert (settings.http_port, settings.agent_name, settings.drain_s) == (8080, "", 600.0)
    assert settings.translation.model == "gpt-realtime-translate"
    assert settings.preferences == Preferences()
    assert settings.voice_agent.model == "gpt-realtime-2.1"
    assert (settings.limits.usd_per_room, settings.limits.usd_per_participant) == (None, None)
    assert (settings.agents, settings.limits.agents, settings.limits.say) == ((), (), ())
    assert settings.price_list() is LIST_PRICES


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_is_named_when_it_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.name == name
    assert str(caught.value).startswith(f"{name}: not set; needed: ")


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_is_named_when_it_is_empty(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIVEKIT_URL", "localhost:7880"),
        ("LIVEKIT_URL", "ftp://x"),
        ("LIVEKIT_URL", "ws://"),
        ("OPENAI_BASE_URL", "ws://x/v1"),
        ("PARLEY_HTTP_PORT", "eighty"),
        ("PARLEY_HTTP_PORT", "65536"),
        ("PARLEY_HTTP_PORT", "-1"),
        ("PARLEY_DRAIN_S", "nan"),
        ("PARLEY_DRAIN_S", "-1"),
        ("PARLEY_LOG_LEVEL", "loud"),
        ("PARLEY_LOG_FORMAT", "xml"),
        ("PARLEY_TRANSLATION__MODEL", ""),
        ("PARLEY_TRANSLATION__ORIGINAL", "louder"),
        ("PARLEY_TRANSLATION__DUCK_DB", "3"),
        ("PARLEY_TRANSLATION__IDLE_S", "0"),
        ("PARLEY_TRANSLATION__TAIL_LEAST_S", "10.1"),
        ("PARLEY_TRANSLATION__NOISE_REDUCTION", "near"),
        ("PARLEY_VAD__THRESHOLD", "1"),
        ("PARLEY_LIMITS__SESSIONS_PER_ROOM", "0"),
        ("PARLEY_LIMITS__AUDIO_MINUTES_PER_MINUTE", "0"),
        ("PARLEY_VOICE_AGENT__MODEL", ""),
        ("PARLEY_VOICE_AGENT__REASONING_EFFORT", "most"),
        ("PARLEY_VOICE_AGENT__TURN_DETECTION", "none"),
        ("PARLEY_VOICE_AGENT__SILENCE_MS", "99"),
        ("PARLEY_VOICE_AGENT__MAX_OUTPUT_TOKENS", "4097"),
        ("PARLEY_VOICE_AGENT__HISTORY_ITEMS", "0"),
        ("PARLEY_VOICE_AGENT__BASE_URL", "wss://x/v1"),
        ("PARLEY_VOICE_AGENT__BASE_URL", ""),
        ("PARLEY_LIMITS__USD_PER_ROOM", "0"),
        ("PARLEY_LIMITS__USD_PER_ROOM", "inf"),
        ("PARLEY_LIMITS__USD_PER_PARTICIPANT", "-1"),
        ("PARLEY_LIMITS__USD_PER_PARTICIPANT", "nan"),
        ("PARLEY_DEFAULTS__AGENT", "sales desk"),
        ("PARLEY_PRICES__FILE", "/nowhere/prices.json"),
        ("PARLEY_LIMITS__SESSIONS_PER_ROOM", "1.5"),
    ],
)
def test_what_is_not_allowed_is_named_with_what_was_given(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert (caught.value.name, caught.value.given) == (name, value)
    assert caught.value.allowed
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "given", "allowed"),
    [
        ("PARLEY_LIMITS__LANGUAGES", "de,tlh", "tlh", "de, en, es"),
        ("PARLEY_LIMITS__LANGUAGES", " , ", "", "de, en, es"),
        ("PARLEY_DEFAULTS__HEARS", "tlh", "tlh", "original, de"),
        ("PARLEY_DEFAULTS__SPEAKS", "english!", "english!", "auto or a language tag"),
    ],
)
def test_languages_are_checked(
    name: str, value: str, given: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert (caught.value.name, caught.value.given) == (name, given)
    assert caught.value.allowed.startswith(allowed)


def test_a_default_must_be_among_the_languages_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LIMITS__LANGUAGES", "de,en")
    monkeypatch.setenv("PARLEY_DEFAULTS__HEARS", "fr")
    with pytest.raises(
        SettingsError, match="PARLEY_DEFAULTS__HEARS: 'fr' is not allowed; allowed: original, de, en"
    ):
        load()


def test_a_tail_longer_than_its_most_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_TRANSLATION__TAIL_LEAST_S", "5")
    monkeypatch.setenv("PARLEY_TRANSLATION__TAIL_MOST_S", "4")
    with pytest.raises(
        SettingsError, match=r"PARLEY_TRANSLATION__TAIL_LEAST_S.*5.*PARLEY_TRANSLATION__TAIL_MOST_S"
    ):
        load()


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("PARLEY_HTTP_PROT", "PARLEY_HTTP_PORT"),
        ("PARLEY_TRANSLATION_MODEL", "PARLEY_TRANSLATION__MODEL"),
        ("PARLEY_LIMITS__LANGUAGE", "PARLEY_LIMITS__LANGUAGES"),
        ("PARLEY_AGENT", "PARLEY_AGENTS"),
        ("PARLEY_VOICEAGENT__EAGERNESS", "PARLEY_VOICE_AGENT__EAGERNESS"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    wrong: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(wrong, "x")
    with pytest.raises(UnknownSettingError) as caught:
        load()
    assert (caught.value.name, caught.value.allowed) == (wrong, nearest)


def test_a_group_cannot_be_given_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_TRANSLATION", '{"model": "x"}')
    with pytest.raises(UnknownSettingError, match="PARLEY_TRANSLATION: there is no such setting"):
        load()


def test_settings_are_frozen() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.vad.threshold = 0.1  # type: ignore[misc]


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hush" not in repr(load())
    assert "hush" not in str(load().model_dump())
    monkeypatch.setenv("PARLEY_HTTP_PORT", "x")
    with pytest.raises(SettingsError) as caught:
        load()
    assert "hush" not in repr(caught.value) + str(caught.value)


# Voice agents: which there are is known when their modules have been loaded


def test_all_registered_agents_may_be_asked_for_unless_some_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registered = ("assistant", "support", "sales")
    assert load().allowed(registered) == Allowed(OUTPUT_LANGUAGES, registered)
    monkeypatch.setenv("PARLEY_LIMITS__AGENTS", "sales,support")
    monkeypatch.setenv("PARLEY_DEFAULTS__AGENT", "Sales")
    settings = load()
    assert settings.allowed(registered).agents == ("sales", "support")
    assert settings.preferences.agent == "sales"


@pytest.mark.parametrize(
    ("chosen", "name", "given", "allowed"),
    [
        ({"LIMITS__AGENTS": "support,sale"}, "LIMITS__AGENTS", "sale", "assistant, support"),
        ({"LIMITS__AGENTS": "off"}, "LIMITS__AGENTS", "off", "assistant, support"),
        ({"DEFAULTS__AGENT": "sales"}, "DEFAULTS__AGENT", "sales", "off, assistant, support"),
        (
            {"DEFAULTS__AGENT": "assistant", "LIMITS__AGENTS": "support"},
            "DEFAULTS__AGENT",
            "assistant",
            "off, support",
        ),
    ],
)
def test_an_agent_that_nobody_registered_is_refused(
    chosen: dict[str, str], name: str, given: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in chosen.items():
        monkeypatch.setenv(f"PARLEY_{key}", value)
    settings = load()
    with pytest.raises(SettingsError) as caught:
        settings.allowed(("assistant", "support"))
    assert (caught.value.name, caught.value.given, caught.value.allowed) == (f"PARLEY_{name}", given, allowed)


def test_agents_of_the_command_line_take_the_place_of_the_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLEY_AGENTS", "other")
    assert load().agents == ("other",)
    assert load(["desk.agents", "mine.py"]).agents == ("desk.agents", str(tmp_path / "mine.py"))
    assert load().agents == ("desk.agents", str(tmp_path / "mine.py")), "jobs read the environment"
    with pytest.raises(
        SettingsError, match=r"PARLEY_AGENTS: 'a,b\.py' is not allowed; allowed: names and paths"
    ):
        load(["a,b.py"])


# Prices


def test_prices_of_a_file_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"gpt-realtime-2.1": {"audio_in": 16}}')
    monkeypatch.setenv("PARLEY_PRICES__FILE", str(path))
    assert load().price_list().token_price("gpt-realtime-2.1").audio_in == 16


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", "no JSON object"),
        ('{"m": {"audioin": 1}}', "there is no price 'audioin'"),
        ('{"m": {"audio_in": NaN}}', "audio_in: nan is no price"),
        ("[" * 100_000, "recursion"),
        ("\xff", "decode"),
    ],
)
def test_a_file_of_wrong_prices_is_refused(
    text: str, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text, encoding="latin-1")
    monkeypatch.setenv("PARLEY_PRICES__FILE", str(path))
    with pytest.raises(SettingsError, match=problem) as caught:
        load()
    assert (caught.value.name, caught.value.given) == ("PARLEY_PRICES__FILE", str(path))
    assert "\n" not in str(caught.value)


def test_own_words_of_all_are_paid_for_where_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().export.own_words == "read"
    monkeypatch.setenv("PARLEY_EXPORT__OWN_WORDS", "all")
    with pytest.raises(SettingsError) as caught:
        load()
    assert (caught.value.name, caught.value.given) == ("PARLEY_EXPORT__OWN_WORDS", "all")
    monkeypatch.setenv("PARLEY_LIMITS__TRANSCRIPT", "everybody")
    assert load().export.own_words == "all"


# Where a room's summary goes

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_a_webhook_has_a_url_and_a_secret(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_EXPORT__WEBHOOK_URL", "https://example.com/parley")
    monkeypatch.setenv("PARLEY_EXPORT__WEBHOOK_SECRET", secret)
    export = load().export
    assert (export.webhook_url, export.webhook_secret.get_secret_value()) == (
        "https://example.com/parley",
        secret,
    )


@pytest.mark.parametrize(
    ("url", "secret", "named", "given"),
    [
        ("ftp://example.com", SECRET, "URL", "ftp://example.com"),
        ("example.com/hook", SECRET, "URL", "example.com/hook"),
        ("https://example.com", "", "SECRET", None),
        ("https://example.com", "whsec_c2hvcnQ=", "SECRET", "(hidden)"),
        ("https://example.com", "a secret in plain words, and a long one", "SECRET", "(hidden)"),
        ("https://example.com", "whsec_" + "ü" * 40, "SECRET", "(hidden)"),
    ],
)
def test_a_webhook_that_cannot_be_signed_or_reached_is_refused_and_its_secret_not_shown(
    url: str, secret: str, named: str, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_EXPORT__WEBHOOK_URL", url)
    monkeypatch.setenv("PARLEY_EXPORT__WEBHOOK_SECRET", secret)
    with pytest.raises(SettingsError) as caught:
        load()
    assert (caught.value.name, caught.value.given) == (f"PARLEY_EXPORT__WEBHOOK_{named}", given)
    assert not secret or secret not in str(caught.value)


def test_an_estimate_needs_no_server_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_TRANSLATION__TAIL_MOST_S", "2")
    assert config.load_for_estimate().translation.tail_most_s == 2
    monkeypatch.setenv("PARLEY_TRANSLATION__TAIL_MOST_S", "0")
    with pytest.raises(SettingsError, match="PARLEY_TRANSLATION__TAIL_MOST_S: '0' is not allowed"):
        config.load_for_estimate()
    monkeypatch.setenv("PARLEY_PRICE__FILE", "x")
    with pytest.raises(UnknownSettingError):
        config.load_for_estimate()


# As a person sees it


def parley(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PARLEY_", "LIVEKIT_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, "-m", "parley", *words],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {},
            "parley: LIVEKIT_URL: not set; needed: the URL of the LiveKit server, such as wss://livekit.example.com",
        ),
        (
            NEEDED | {"PARLEY_HTTP_PROT": "80"},
            "parley: PARLEY_HTTP_PROT: there is no such setting; the nearest one is PARLEY_HTTP_PORT",
        ),
        (
            NEEDED | {"PARLEY_LOG_FORMAT": "xml"},
            "parley: PARLEY_LOG_FORMAT: 'xml' is not allowed; allowed: 'text' or 'json'",
        ),
        (
            NEEDED | {"PARLEY_DEFAULTS__AGENT": "sales"},
            "parley: PARLEY_DEFAULTS__AGENT: 'sales' is not allowed; allowed: off, assistant",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_two(environment: dict[str, str], line: str) -> None:
    result = parley("start", **environment)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", line + "\n")


@pytest.mark.parametrize(
    ("text", "more", "line"),
    [
        (
            "import nowhere_at_all\n",
            {},
            "agents from {path}, line 1: ModuleNotFoundError: No module named 'nowhere_at_all'",
        ),
        (
            DESK.replace("voice=", "voise="),
            {},
            "agents from {path}, line 4: agent 'desk': there is no option voise; the nearest one is voice",
        ),
        (
            DESK.replace("voice='ash'", "reasoning_effort='low'"),
            {"PARLEY_VOICE_AGENT__MODEL": "gpt-realtime"},
            "agent 'desk': reasoning_effort: 'low' is not allowed; allowed: None for gpt-realtime",
        ),
    ],
)
def test_a_mistake_in_an_agents_module_is_one_line_and_status_two(
    text: str, more: dict[str, str], line: str, tmp_path: Path
) -> None:
    path = tmp_path / "desk.py"
    path.write_text(text)
    result = parley("start", "--agents", str(path), **NEEDED, **more)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"parley: {line.format(path=path)}\n")


def test_the_version() -> None:
    from parley import __version__

    result = parley("--version")
    assert (result.returncode, result.stdout) == (0, f"parley {__version__}\n")


@pytest.mark.parametrize("words", [[], ["nonsense"], ["start", "--nonsense"]])
def test_bad_usage_is_status_two_without_a_traceback(words: list[str]) -> None:
    result = parley(*words)
    assert result.returncode == 2
    assert "usage: parley" in result.stderr
    assert "Traceback" not in result.stderr
