"""BCP-47 tags, and which of them name one language."""

import pytest

from parley.core.language import OUTPUT_LANGUAGES, is_tag, primary


@pytest.mark.parametrize("tag", ["en", "pt-BR", "zh-Hant-TW", "cmn", "sr-Latn", "de-CH-1996", "EN-us"])
def test_a_well_formed_tag(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize(
    "text", ["", "e", "english", "en_US", "en-", "-en", "en--US", "e1", "日本語", "en US", "en\n"]
)
def test_what_is_no_tag(text: str) -> None:
    assert not is_tag(text)


def test_a_tag_longer_than_the_rfc_allows_is_none() -> None:
    assert is_tag("en-" + "-".join(["abcdefgh"] * 3))
    assert not is_tag("en-" + "-".join(["abcdefgh"] * 4))


@pytest.mark.parametrize(
    ("tag", "code"),
    [("pt-BR", "pt"), ("EN", "en"), ("zho", "zh"), ("cmn-Hans", "zh"), ("fre", "fr"), ("gsw", "gsw")],
)
def test_the_primary_language_is_the_shortest_code(tag: str, code: str) -> None:
    assert primary(tag) == code


def test_the_thirteen_output_languages() -> None:
    known = ["de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "pt", "ru", "vi", "zh"]
    assert list(OUTPUT_LANGUAGES) == known
