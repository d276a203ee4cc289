"""What a reader takes for one character, how wide it is, and where a line may break."""

import unicodedata

ZERO_WIDTH_JOINER = "\u200d"
_VIRAMA = 9
"""Canonical combining class of the signs that join two consonants into one form."""
_PREPOSED_VOWELS = frozenset("เแโใไເແໂໃໄ")
"""Thai and Lao vowels that are written, and stored, before their consonant."""
_SPACING_MARKS = frozenset("\u0e33\u0eb3")
"""Thai and Lao *am*: letters by category, marks by use."""
_NEVER_FIRST = frozenset(
    "、。，．：；？！…‥・·—〜～ー々〻ゝゞヽヾぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
    ",.:;?!%‰°℃％¢।॥؟،؛۔๚๛ฯๆ"
)
"""What stands at no line's beginning, beside closing brackets and quotation marks."""
_GLUE = frozenset("\u00a0\u2007\u202f\u2060\ufeff")
"""Spaces, and nothing at all, at which no line ends."""
_CLOSING = frozenset(("Pe", "Pf"))
_OPENING = frozenset(("Ps", "Pi"))


def clusters(text: str) -> list[str]:
    """Grapheme clusters: marks, joiners, conjuncts and the pairs of flags stay with what they belong to."""
    found: list[str] = []
    for char in text:
        if found and _continues(found[-1], char):
            found[-1] += char
        else:
            found.append(char)
    return found


def width(cluster: str) -> int:
    """Columns of a cluster: 2 for full-width ones, 0 for marks alone, else 1."""
    return max(map(_columns, cluster), default=0)


def is_unspaced(cluster: str) -> bool:
    """Whether it is of a full-width script that puts no spaces between words; Korean does."""
    return (
        width(cluster) == 2
        and not "\u1100" <= cluster[0] <= "\u11ff"
        and not "\uac00" <= cluster[0] <= "\ud7a3"
    )


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between two clusters: not before closing punctuation, nor behind opening."""
    return not (
        after[0] in _NEVER_FIRST
        or after[0] in _GLUE
        or before[-1] in _GLUE
        or unicodedata.category(after[0]) in _CLOSING
        or unicodedata.category(before[0]) in _OPENING
    )


def _continues(cluster: str, char: str) -> bool:
    last = cluster[-1]
    if unicodedata.category(char)[0] == "M" or char in _SPACING_MARKS or char == ZERO_WIDTH_JOINER:
        return True
    if last == ZERO_WIDTH_JOINER or cluster in _PREPOSED_VOWELS:
        return True
    if unicodedata.combining(last) == _VIRAMA and unicodedata.category(char) == "Lo":
        return True
    if "\U0001f3fb" <= char <= "\U0001f3ff":  # a tone of skin
        return True
    if "\U000e0020" <= char <= "\U000e007f":  # tags, of flags
        return True
    if _is_flag_half(char) and _is_flag_half(last):
        return len(cluster) % 2 == 1
    return _is_jamo_tail(char) and "\u1100" <= last <= "\ud7a3"


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_jamo_tail(char: str) -> bool:
    return "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb"


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
