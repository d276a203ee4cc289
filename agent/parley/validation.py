"""What pydantic has against the environment, as one line that names the setting."""

from collections.abc import Mapping

from pydantic import ValidationError

from .errors import SettingsError

_NEEDED = {
    "LIVEKIT_URL": "the URL of the LiveKit server, such as wss://livekit.example.com",
    "LIVEKIT_API_KEY": "the API key of the LiveKit server",
    "LIVEKIT_API_SECRET": "the API secret of the LiveKit server",
    "OPENAI_API_KEY": "an OpenAI API key (any text for the simulator)",
}


def as_settings_error(error: ValidationError, environment: Mapping[str, str]) -> SettingsError:
    """The first of the mistakes; a secret is not repeated."""
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
