"""Settings: frozen, grouped, documented field by field; the environment is read here and nowhere else."""

import base64
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from .core.language import OUTPUT_LANGUAGES
from .core.model import OFF, Preferences
from .core.preferences import Allowed, Rejection, is_agent_name, with_value
from .core.usage import LIST_PRICES, Prices
from .errors import SettingsError, UnknownSettingError
from .validation import as_settings_error

TRANSCRIPT_FORMATS = ("jsonl", "srt", "vtt", "txt")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Translation(_Group):
    """PARLEY_TRANSLATION__…"""

    model: str = Field("gpt-realtime-translate", min_length=1)
    """The translation model, by the API's name."""
    original: Literal["keep", "mute", "duck"] = "keep"
    """What becomes of the original voice for those who hear a translation: it stays as it is, is taken from
    them, or is mixed under the translation."""
    duck_db: float = Field(-18.0, ge=-60, le=0, allow_inf_nan=False)
    """Gain of the original while its translation plays, in dB, where it is mixed under it."""
    layout: Literal["per_speaker", "per_listener"] = "per_speaker"
    """One track per speaker and language, or one mixed track per listener."""
    mode: Literal["simultaneous", "consecutive"] = "simultaneous"
    """Heard while it is said, or, like an interpreter on a stage, when the speaker has finished."""
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
    """Writes down the speaker's own words when somebody reads them: inside a translation session where there
    is one, else in a session of its own."""
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] = "low"
    """How long gpt-realtime-whisper waits for more before it writes a word: later is more accurate."""
    prompt: str = Field("", max_length=1_000)
    """What the rooms are about, for models that take a prompt; a room's metadata may say it better."""
    keywords: _Names = ()
    """Names and products as they are written, comma-separated, for models that take them."""
    idle_s: float = Field(60.0, ge=1, le=600)
    """A session of its own whose speaker has been quiet this long is closed; it costs nothing meanwhile."""
    late_lines: int = Field(5, ge=0, le=100)
    """The last lines that somebody gets who begins to read."""
    late_s: float = Field(120.0, ge=0, le=3600)
    """None of them was over longer ago, in seconds."""


class VoiceAgent(_Group):
    """PARLEY_VOICE_AGENT__…: what holds for an agent that does not say otherwise when it is registered."""

    model: str = Field("gpt-realtime-2.1", min_length=1)
    """The voice agent's model, by the API's name."""
    voice: str = Field("marin", min_length=1)
    """The API's name of a voice, or the id of a custom one."""
    transcription_model: str = "gpt-realtime-whisper"
    """Transcribes what the participant says, for captions and for a session that replaces a lost one;
    empty: nothing does."""
    reasoning_effort: Literal["minimal", "low", "medium", "high", "xhigh"] = "low"
    """How long the model thinks before it answers; more is slower and dearer."""
    turn_detection: Literal["semantic_vad", "server_vad", "vad"] = "semantic_vad"
    """Who says that a turn is over: the API by meaning, the API by silence, or Parley's own VAD."""
    eagerness: Literal["auto", "low", "medium", "high"] = "auto"
    """How soon `semantic_vad` takes a turn for over: within 8 s, 4 s (`medium` and `auto`) or 2 s."""
    silence_ms: int = Field(500, ge=100, le=10_000)
    """Silence that ends a turn under `server_vad` and `vad`, in milliseconds."""
    noise_reduction: Literal["near_field", "far_field"] | None = None
    """The API's own noise reduction; none by default: rooms have their own."""
    max_output_tokens: int | None = Field(None, ge=1, le=4096)
    """Most tokens of one answer, 1 to 4096; none by default: the model's own bound."""
    history_items: int = Field(200, ge=1, le=1_000)
    """Newest items of the conversation that are told again to a session that replaces one."""
    stall_s: float = Field(30.0, ge=5, le=600)
    """Silence of the API in the middle of an answer after which its session is replaced, in seconds; a model
    that thinks says nothing for a while."""
    base_url: str | None = None
    """Where voice agents reach the API, if not at OPENAI_BASE_URL."""
    tracing: bool = False
    """Whether the API's own traces of conversations are on: they hold what was said."""


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

    languages: _Names = OUTPUT_LANGUAGES
    """Languages that may be asked for, comma-separated."""
    agents: _Names = ()
    """Voice agents that may be asked for, comma-separated; none named: all that are registered."""
    say: _Names = ()
    """Identities that may call the RPC `parley.say`, comma-separated, `*` for everybody. Participants of
    kind agent always may."""
    hosts: _Names = ()
    """Identities that may set preferences of others over the RPC `parley.set`, comma-separated, `*` for
    everybody. Nobody may by their kind."""
    transcript: Literal["hosts", "everybody"] = "hosts"
    """Who may ask for what was said, by the RPCs `parley.transcript` and `parley.notes`: those whom
    PARLEY_LIMITS__HOSTS names, or everybody in the room."""
    sessions_per_room: int = Field(64, ge=1, le=10_000)
    """Sessions that one room may have at a time; what is asked beyond it is refused and announced."""
    sessions_per_participant: int | None = Field(None, ge=1, le=10_000)
    """Translation sessions of one speaker at a time (one for each language), and sessions by which one
    listener or reader is served (one for each speaker); none by default: only the room's limit holds."""
    audio_minutes_per_minute: int | None = Field(None, ge=1, le=1_000_000)
    """The account's limit, as far as this worker may use it: so many microphones are sent to the API at a
    time, over all its rooms; one more waits, and is refused with the reason; none by default."""
    rooms: int = Field(50, ge=1, le=10_000)
    """Rooms that this worker takes; one more is left to another worker."""
    usd_per_room: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Budget of one room at list prices, in USD; none by default. Spent, its sessions end, announced."""
    usd_per_participant: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Budget of one participant in one room, in USD, for their agent and their share of the translations
    that they asked for; none by default."""


class PriceList(_Group):
    """PARLEY_PRICES__…"""

    file: str = ""
    """A JSON file of prices that are not the list prices, or of models that Parley does not know, in USD
    per million tokens, or per minute of audio:
    `{"gpt-realtime-2.1": {"audio_in": 32}, "gpt-realtime-translate": {"audio_minute": 0.034}}`."""

    def read(self) -> Prices:
        """OpenAI's list prices, changed by the file. Raises SettingsError for a bad one."""
        name = "PARLEY_PRICES__FILE"
        if not self.file:
            return LIST_PRICES
        try:
            changes = json.loads(Path(self.file).read_bytes())
            if not isinstance(changes, dict):
                raise ValueError("no JSON object")
            return LIST_PRICES.changed(changes)
        except OSError as e:
            raise SettingsError(name, self.file, f"a file that can be read ({e.strerror})") from None
        except (ValueError, RecursionError) as e:
            raise SettingsError(name, self.file, f"a JSON file of prices by model ({e})") from None


class Export(_Group):
    """PARLEY_EXPORT__…: where the summary of a room goes when it has ended, and its transcript."""

    dir: str = ""
    """A directory for one JSON file per room; empty: none is written."""
    webhook_url: str = ""
    """An http:// or https:// URL that it is posted to; empty: it is not."""
    webhook_secret: SecretStr = SecretStr("")
    """Signs what is posted, by Standard Webhooks: base64, with or without `whsec_` before it."""
    transcript: _Names = ()
    """Formats of the transcript that is kept: `jsonl`, `srt`, `vtt`, `txt`, comma-separated; none named:
    none is kept."""
    own_words: Literal["read", "all"] = "read"
    """Whose own words are kept: of those whom somebody reads in them, or of all who speak, which takes a
    captions session for each who is not translated."""
    transcript_lines: int = Field(20_000, ge=1, le=1_000_000)
    """Lines of one room that are remembered; the oldest beyond them go."""
    transcript_bytes: int = Field(4_000_000, ge=10_000, le=1_000_000_000)
    """Memory that they may take, in bytes."""
    chars_per_s: float = Field(20.0, ge=5, le=100)
    """Reading speed of subtitles, in characters a second: a cue stays so long if the next one lets it."""
    keep_days: float | None = Field(None, gt=0, le=36_500)
    """Files of PARLEY_EXPORT__DIR that Parley wrote longer ago are deleted; none by default: all stay."""
    redact: str = ""
    """`module:function` of the user's: is given text, speaker and language of each line before it is kept,
    returns the text to keep, or None."""


class Notes(_Group):
    """PARLEY_NOTES__…: a summary of what was said, by a text model."""

    model: str = ""
    """The text model, by the API's name; empty: no notes are written."""
    timeout_s: float = Field(30.0, ge=1, le=600)
    """How long one summary is waited for, in seconds."""


class Defaults(_Group):
    """PARLEY_DEFAULTS__…: what a participant wants who says nothing."""

    speaks: str = "auto"
    hears: str = "original"
    captions: str = "off"
    agent: str = "off"


class ForEstimate(BaseSettings):
    """What decides the price of a room: an estimate needs no server and no key."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    translation: Translation = Translation()
    captions: Captions = Captions()
    voice_agent: VoiceAgent = VoiceAgent()
    vad: Vad = Vad()
    prices: PriceList = PriceList()
    export: Export = Export()

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


class Settings(ForEstimate):
    """Everything a worker is told by its environment."""

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
    agents: _Names = Field((), validation_alias=AliasChoices("PARLEY_AGENTS"))
    """Modules or files that register voice agents, comma-separated; `parley start --agents` sets it."""
    drain_s: float = Field(600.0, ge=0, le=86_400, validation_alias=AliasChoices("PARLEY_DRAIN_S"))
    """How long a live room is served on after SIGTERM, in seconds."""
    state_dir: str = Field("", validation_alias=AliasChoices("PARLEY_STATE_DIR"))
    """Where what rooms know outlives their jobs; empty: in a private directory that goes with the worker."""
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias=AliasChoices("PARLEY_LOG_LEVEL")
    )
    log_format: Literal["text", "json"] = Field("text", validation_alias=AliasChoices("PARLEY_LOG_FORMAT"))

    limits: Limits = Limits()
    notes: Notes = Notes()
    defaults: Defaults = Defaults()

    @property
    def preferences(self) -> Preferences:
        """The defaults of a participant who says nothing, checked when the settings were read."""
        return _preferences(self.defaults, self.limits.languages)

    @property
    def keeps_minutes(self) -> bool:
        """Whether what is said in a room is kept: it is exported, summarised, or somebody may ask for it."""
        asked = self.limits.transcript == "everybody" or bool(self.limits.hosts)
        return bool(self.export.transcript or self.notes.model or asked)

    def price_list(self) -> Prices:
        """OpenAI's list prices, changed by PARLEY_PRICES__FILE. Raises SettingsError for a bad file."""
        return self.prices.read()

    def allowed(self, registered: Sequence[str]) -> Allowed:
        """What may be asked for, of the voice agents that are `registered`.

        Raises SettingsError where a setting names an agent that is not: which ones there are is known
        only when PARLEY_AGENTS has been loaded.
        """
        for name in self.limits.agents:
            if name not in registered:
                raise SettingsError("PARLEY_LIMITS__AGENTS", name, ", ".join(registered))
        names = self.limits.agents or tuple(registered)
        if self.preferences.agent not in (OFF, *names):
            raise SettingsError("PARLEY_DEFAULTS__AGENT", self.preferences.agent, ", ".join((OFF, *names)))
        return Allowed(self.limits.languages, names)


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
    # Whether there is such an agent is not known yet; whether it can be one is.
    name = defaults.agent.strip().lower()
    agents = (name,) if is_agent_name(name) else ()
    if not agents and name not in ("", OFF):
        raise SettingsError("PARLEY_DEFAULTS__AGENT", defaults.agent, "off, or the name of a voice agent")
    for key in ("speaks", "hears", "captions", "agent"):
        changed = with_value(result, key, getattr(defaults, key), Allowed(languages, agents))
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


def _is_http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _check(settings: Settings) -> None:
    url = urlsplit(settings.livekit_url)
    if url.scheme not in ("ws", "wss", "http", "https") or not url.hostname:
        raise SettingsError("LIVEKIT_URL", settings.livekit_url, "a ws:// or wss:// URL")
    if not _is_http(settings.openai_base_url):
        raise SettingsError(
            "OPENAI_BASE_URL", settings.openai_base_url, "a URL such as https://api.openai.com/v1"
        )
    voice = settings.voice_agent.base_url
    if voice is not None and not _is_http(voice):
        raise SettingsError("PARLEY_VOICE_AGENT__BASE_URL", voice, "a URL such as https://api.openai.com/v1")
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
    _check_export(settings.export)
    if settings.export.own_words == "all" and not settings.keeps_minutes:
        needed = "read, while no PARLEY_EXPORT__TRANSCRIPT or PARLEY_NOTES__MODEL is set, and nobody may ask"
        raise SettingsError("PARLEY_EXPORT__OWN_WORDS", "all", needed)
    _preferences(settings.defaults, settings.limits.languages)
    settings.price_list()


def _check_export(export: Export) -> None:
    for wanted in export.transcript:
        if wanted not in TRANSCRIPT_FORMATS:
            raise SettingsError("PARLEY_EXPORT__TRANSCRIPT", wanted, ", ".join(TRANSCRIPT_FORMATS))
    if export.transcript and not (export.dir or export.webhook_url):
        needed = "empty, while neither PARLEY_EXPORT__DIR nor PARLEY_EXPORT__WEBHOOK_URL is set"
        raise SettingsError("PARLEY_EXPORT__TRANSCRIPT", ",".join(export.transcript), needed)
    if not export.webhook_url:
        return
    if not _is_http(export.webhook_url):
        raise SettingsError("PARLEY_EXPORT__WEBHOOK_URL", export.webhook_url, "an http:// or https:// URL")
    name, allowed = "PARLEY_EXPORT__WEBHOOK_SECRET", "base64 of 24 bytes or more, such as whsec_…"
    secret = export.webhook_secret.get_secret_value()
    if not secret:
        raise SettingsError(name, None, f"{allowed}: PARLEY_EXPORT__WEBHOOK_URL is signed with it")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < 24:
        raise SettingsError(name, "(hidden)", allowed)


def load_for_estimate() -> ForEstimate:
    """Reads what an estimate depends on. Raises SettingsError for the first thing that is wrong."""
    environment = dict(os.environ)
    _refuse_unknown(environment)
    try:
        return ForEstimate()
    except ValidationError as e:
        raise as_settings_error(e, environment) from None


def load(agents: Sequence[str] = ()) -> Settings:
    """Reads the environment. Raises SettingsError for the first thing that is wrong.

    `agents` take the place of PARLEY_AGENTS, for this process and for all that it starts.
    """
    if agents:
        for source in agents:
            if "," in source:
                raise SettingsError("PARLEY_AGENTS", source, "names and paths without a comma")
        os.environ["PARLEY_AGENTS"] = ",".join(
            str(Path(source).absolute()) if source.endswith(".py") else source for source in agents
        )
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if v or k.startswith("PARLEY_")}
    _refuse_unknown(environment)
    try:
        settings = Settings()
    except ValidationError as e:
        raise as_settings_error(e, environment) from None
    _check(settings)
    return settings
