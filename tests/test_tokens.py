"""Words of captions: round trip, padding, unknown words."""

import pytest
import torch

from vidgan.errors import ConfigError
from vidgan.tokens import WordTokeniser, split_words

WORDS = WordTokeniser.of_texts(["A small red square moves up, slowly.", "a big DISC moves left"])


def test_words_are_lower_case_without_punctuation() -> None:
    assert split_words("  Slowly, a half-open  box DOESN'T move! ") == [
        "slowly",
        "a",
        "half-open",
        "box",
        "doesn't",
        "move",
    ]
    assert WORDS.words == ("a", "big", "disc", "left", "moves", "red", "slowly", "small", "square", "up")


def test_round_trip_and_padding() -> None:
    texts = ["a red square moves up", "big disc"]
    tokens = WORDS.encode(texts)
    assert tokens.tolist() == [[1, 6, 9, 5, 10], [2, 3, 0, 0, 0]]
    assert WORDS.decode(tokens) == texts
    assert WORDS.decode(WORDS.encode(["Big, DISC!"], 7)) == ["big disc"]
    assert torch.equal(WORDS.encode(texts, 8)[:, :5], tokens)


def test_an_unknown_word_is_named_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"'smal'.*small.*'zebra'.*known: a, big"):
        WORDS.encode(["a smal zebra"])


@pytest.mark.parametrize(("text", "named"), [("", "no words"), ("?!", "no words"), ("a a a a", "4 words.*at most 3")])
def test_texts_that_cannot_be_read(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        WORDS.encode([text], 3)


@pytest.mark.parametrize("words", [("up", "up"), ("Up",), ("two words",), ("",)])
def test_a_vocabulary_of_anything_but_words_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        WordTokeniser(words)


def test_a_tokeniser_that_adds_words_numbers_them_behind_the_vocabulary() -> None:
    tokeniser = WordTokeniser(("red", "up"), adds_words=True)
    assert tokeniser.encode(["crimson up crimson", "red tiny"]).tolist() == [[3, 2, 3], [1, 4, 0]]
    assert tokeniser.words == ("red", "up", "crimson", "tiny")
    assert tokeniser.decode(tokeniser.encode(["tiny crimson"])) == ["tiny crimson"]
