"""Settings: frozen, grouped, documented field by field; the environment is read here and nowhere else."""

import difflib
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from .core.language import OUTPUT_LANGUAGES
from .core.model import Preferences
from .core.preferences import Rejection, with_value
from .errors import SettingsError, UnknownSettingError


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Translation(_Group):
    """PARLEY_TRANSLATION__…"""

    model: str = Field("gpt-realtime-translate", min_length=1)
    """The translation model, by the API's name."""
    original: Literal["keep"] = "keep"
    """What becomes of the original voice for those who hear a translation: it stays as it is."""
    layout: Literal["per_speaker"] = "per_speaker"
    """One track per speaker and language."""
    mode: Literal["simultaneous"] = "simultaneous"
    """Translated while it is said."""
    idle_s: float = Field(30.0, ge=1, le=600)
    """A session whose speaker has been quiet this long is closed; the next word opens another."""
    tail_least_s: float = Field(1.0, ge=0.2, le=10)
    """Least silence sent after a phrase, in seconds."""
    tail_most_s: float = Field(10.0, ge=1, le=60)
    """Most silence sent after a phrase, in seconds; the tail ends by what the output does."""
    buffer_s: float = Field(15.0, ge=2, le=120)
    """Speech kept while a session connects or has dropped; the oldest beyond it is dropped and announced."""
    noise_reduction: Literal["near_field", "far_field"] | None = None
    """The API's own noise reduction; none by default: rooms have their own."""


class Captions(_Group):
    """PARLEY_CAPTIONS__…"""

    model: str = Field("gpt-realtime-whisper", min_length=1)
    """Transcribes the speaker's own words inside a translation session, when somebody reads them."""


class Vad(_Group):
    """PARLEY_VAD__…"""

    threshold: float = Field(0.5, ge=0.05, le=0.95)
    """Probability from which 32 ms of audio count as speech."""
    silence_s: float = Field(0.5, ge=0.1, le=5)
    """Silence that ends a phrase, in seconds."""
    pre_roll_s: float = Field(0.4, ge=0, le=2)
    """Audio from before the onset that is sent with a phrase, in seconds."""


class Limits(_Group):
    """PARLEY_LIMITS__…"""

    languages: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = OUTPUT_LANGUAGES
    """Languages that may be asked for, comma-separated."""
    sessions_per_room: int = Field(64, ge=1, le=10_000)
    """Sessions that one room may have at a time; what is asked beyond it is refused and announced."""
    rooms: int = Field(50, ge=1, le=10_000)
    """Rooms that this worker takes; one more is left to another worker."""


class Defaults(_Group):
    """PARLEY_DEFAULTS__…: what a participant wants who says nothing."""

    speaks: str = "auto"
    hears: str = "original"
    captions: str = "off"


class Settings(BaseSettings):
    """Everything a worker is told by its environment."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    livekit_url: str = Field(validation_alias=AliasChoices("LIVEKIT_URL"))
    """ws:// or wss:// URL of the LiveKit server."""
    livekit_api_key: str = Field(validation_alias=AliasChoices("LIVEKIT_API_KEY"), min_length=1)
    livekit_api_secret: SecretStr = Field(validation_alias=AliasChoices("LIVEKIT_API_SECRET"), min_length=1)
    openai_api_key: SecretStr = Field(validation_alias=AliasChoices("OPENAI_API_KEY"), min_length=1)
    openai_base_url: str = Field(
        "https://api.openai.com/v1", validation_alias=AliasChoices("OPENAI_BASE_URL")
    )
    """As the openai package takes it: https://…/v1; http:// for the simulator and gateways."""

    agent_name: str = Field("", validation_alias=AliasChoices("PARLEY_AGENT_NAME"))
    """Dispatch by this name only; empty: every room."""
    http_host: str = Field("0.0.0.0", validation_alias=AliasChoices("PARLEY_HTTP_HOST"))
    """Address of /livez, /readyz and /metrics."""
    http_port: int = Field(8080, ge=0, le=65_535, validation_alias=AliasChoices("PARLEY_HTTP_PORT"))
    """0 takes a free one, which the log names."""
    drain_s: float = Field(600.0, ge=0, le=86_400, validation_alias=AliasChoices("PARLEY_DRAIN_S"))
    """How long a live room is served on after SIGTERM, in seconds."""
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias=AliasChoices("PARLEY_LOG_LEVEL")
    )
    log_format: Literal["text", "json"] = Field("text", validation_alias=AliasChoices("PARLEY_LOG_FORMAT"))

    translation: Translation = Translation()
    captions: Captions = Captions()
    vad: Vad = Vad()
    limits: Limits = Limits()
    defaults: Defaults = Defaults()

    @property
    def preferences(self) -> Preferences:
        """The defaults of a participant who says nothing, checked when the settings were read."""
        return _preferences(self.defaults, self.limits.languages)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings,)


def _known() -> tuple[str, ...]:
    names = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Group):
            names += [f"PARLEY_{name}__{key}".upper() for key in kind.model_fields]
        elif isinstance(field.validation_alias, AliasChoices):
            names += [str(choice) for choice in field.validation_alias.choices]
    return tuple(names)


def _preferences(defaults: Defaults, languages: tuple[str, ...]) -> Preferences:
    result = Preferences()
    for key in ("speaks", "hears", "captions"):
        changed = with_value(result, key, getattr(defaults, key), languages)
        if isinstance(changed, Rejection):
            raise SettingsError(f"PARLEY_DEFAULTS__{key.upper()}", changed.given, changed.allowed)
        result = changed
    return result


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = _known()
    for name in environment:
        if name.startswith("PARLEY_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise UnknownSettingError(name, near)


def _as_settings_error(error: ValidationError, environment: Mapping[str, str]) -> SettingsError:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    name = location[0] if location[0].isupper() else "PARLEY_" + "__".join(p.upper() for p in location[:2])
    given = environment.get(name)
    message = str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    if given is None:
        return SettingsError(name, None, _NEEDED.get(name, message))
    if "KEY" in name or "SECRET" in name:
        given = "(hidden)" if given else ""
    return SettingsError(name, given, _NEEDED.get(name, message))


_NEEDED = {
    "LIVEKIT_URL": "the URL of the LiveKit server, such as wss://livekit.example.com",
    "LIVEKIT_API_KEY": "the API key of the LiveKit server",
    "LIVEKIT_API_SECRET": "the API secret of the LiveKit server",
    "OPENAI_API_KEY": "an OpenAI API key (any text for the simulator)",
}


def _check(settings: Settings) -> None:
    url = urlsplit(settings.livekit_url)
    if url.scheme not in ("ws", "wss", "http", "https") or not url.hostname:
        raise SettingsError("LIVEKIT_URL", settings.livekit_url, "a ws:// or wss:// URL")
    base = urlsplit(settings.openai_base_url)
    if base.scheme not in ("http", "https") or not base.hostname:
        raise SettingsError(
            "OPENAI_BASE_URL", settings.openai_base_url, "a URL such as https://api.openai.com/v1"
        )
    for language in settings.limits.languages:
        if language not in OUTPUT_LANGUAGES:
            raise SettingsError("PARLEY_LIMITS__LANGUAGES", language, ", ".join(OUTPUT_LANGUAGES))
    if not settings.limits.languages:
        raise SettingsError("PARLEY_LIMITS__LANGUAGES", "", ", ".join(OUTPUT_LANGUAGES))
    if settings.translation.tail_least_s > settings.translation.tail_most_s:
        raise SettingsError(
            "PARLEY_TRANSLATION__TAIL_LEAST_S",
            str(settings.translation.tail_least_s),
            f"at most PARLEY_TRANSLATION__TAIL_MOST_S, {settings.translation.tail_most_s}",
        )
    _preferences(settings.defaults, settings.limits.languages)


def load() -> Settings:
    """Reads the environment. Raises SettingsError for the first thing that is wrong."""
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if v or k.startswith("PARLEY_")}
    _refuse_unknown(environment)
    try:
        settings = Settings()
    except ValidationError as e:
        raise _as_settings_error(e, environment) from None
    _check(settings)
    return settings
