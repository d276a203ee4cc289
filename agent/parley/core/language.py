"""Languages: BCP-47 tags, and the 13 that the translation model can speak."""

import re

OUTPUT_LANGUAGES = ("de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "pt", "ru", "vi", "zh")
"""ISO 639-1 codes that gpt-realtime-translate speaks."""

# RFC 5646: a primary language of two or three letters, then any subtags.
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")

# ISO 639-2/3 codes whose primary language has a two-letter code among the output languages.
_SHORTEST = {
    "cmn": "zh", "deu": "de", "eng": "en", "fra": "fr", "fre": "fr", "ger": "de", "hin": "hi",
    "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko", "por": "pt", "rus": "ru", "spa": "es",
    "vie": "vi", "zho": "zh", "chi": "zh",
}  # fmt: skip


def is_tag(text: str) -> bool:
    """Whether `text` has the form of a BCP-47 language tag (RFC 5646, well-formed, length ≤ 35)."""
    return len(text) <= 35 and _TAG.fullmatch(text) is not None


def primary(tag: str) -> str:
    """The primary language of a BCP-47 tag, shortest code first: `pt-BR` → `pt`, `zho` → `zh`."""
    code = tag.split("-", 1)[0].lower()
    return _SHORTEST.get(code, code)
