"""What is spoken of in a room: names and products that a transcription should know how to write."""

from dataclasses import dataclass, replace
from typing import Any

KEYS = frozenset(("prompt", "keywords"))
MOST_KEYWORDS = 100
KEYWORD_CHARS = 60
PROMPT_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A help for models that take one."""

    prompt: str = ""
    """What the room is about, in plain text."""
    keywords: tuple[str, ...] = ()
    """Words as they should be written."""

    def changed(self, key: str, value: Any) -> "Vocabulary | str":
        """With one of `KEYS` set to `value` as JSON has it; or what is allowed."""
        if key == "prompt":
            if not isinstance(value, str) or len(value) > PROMPT_CHARS:
                return f"text of at most {PROMPT_CHARS} characters"
            return replace(self, prompt=value.strip())
        words = [str(word).strip() for word in value] if isinstance(value, list | tuple) else [""]
        if len(words) > MOST_KEYWORDS or not all(0 < len(word) <= KEYWORD_CHARS for word in words):
            return f"a list of at most {MOST_KEYWORDS} words of at most {KEYWORD_CHARS} characters each"
        return replace(self, keywords=tuple(words))
