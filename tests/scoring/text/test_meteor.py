"""METEOR against NLTK itself, with Debian's WordNet, another folder of it, or none."""

from pathlib import Path

import pytest
from nltk.translate.meteor_score import meteor_score, single_meteor_score

from promptlift.errors import InputError
from promptlift.scoring.text import meteor
from promptlift.scoring.text.meteor import DEBIAN, HOW_TO_GET, VARIABLE, Meteor, _from_folder

# The pair of NLTK's docstring.
HYPOTHESIS = (
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
REFERENCE = (
    "It is a guide to action that ensures that the military will forever heed Party commands"
)
PAIRS = [
    (HYPOTHESIS, REFERENCE),
    ("a large cat in armor, soft light", "a big cat wearing armour, softly lit"),
    ("nothing alike", "two dogs"),
    ("a cat, 8k. In the rain", "In the rain, a cat. 8k"),
    ("", "a cat"),
    ("a cat", "a cat"),
]
needs_wordnet = pytest.mark.skipif(
    not (DEBIAN / "data.noun").is_file(), reason="needs Debian's wordnet-base"
)


@needs_wordnet
def test_scores_are_nltks() -> None:
    scorer = Meteor()
    predictions, references = zip(*PAIRS, strict=True)
    found = scorer.scores(predictions=predictions, references=references)
    wordnet = _from_folder(DEBIAN)
    for score, (prediction, reference) in zip(found, PAIRS, strict=True):
        expected = meteor_score(
            [scorer.tokens(reference)], scorer.tokens(prediction), wordnet=wordnet
        )
        assert score == pytest.approx(expected, abs=1e-6)
    assert found[0] == pytest.approx(0.6944, abs=5e-5)  # NLTK's docstring
    [swapped] = scorer.scores(predictions=[REFERENCE], references=[HYPOTHESIS])
    assert swapped == pytest.approx(0.6320, abs=5e-5)
    assert scorer.settings["wordnet"] == str(DEBIAN)
    assert found[4] == 0
    # The text itself, two words in one chunk: 1 - 0.5 (1 / 2)^3.
    assert found[5] == pytest.approx(1 - 0.5 * (1 / 2) ** 3)


@needs_wordnet
def test_synonyms_count_with_wordnet_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {"predictions": ["a car"], "references": ["a auto"]}
    [whole] = Meteor().scores(**sides)
    monkeypatch.setattr(meteor, "DEBIAN", Path("/nonexistent"))
    without = Meteor()
    assert without.settings["wordnet"] is False
    assert without.settings["matches"] == "exact and stem only"
    [part] = without.scores(**sides)
    # Only "a" matches, in one chunk: P = R = 1/2, penalty 0.5 (1/1)^3.
    assert part == pytest.approx(1 / 2 * 0.5)
    assert whole == pytest.approx(1 - 0.5 * (1 / 2) ** 3)
    assert "apt-get install wordnet-base wordnet-sense-index" in HOW_TO_GET


def test_stems_match_without_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "DEBIAN", Path("/nonexistent"))
    [score] = Meteor().scores(predictions=["painted castles"], references=["paint castle"])
    assert score == pytest.approx(1 - 0.5 * (1 / 2) ** 3)


@needs_wordnet
def test_a_named_folder_is_read_and_nothing_is_written_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, str(DEBIAN))
    before = sorted(path.name for path in DEBIAN.iterdir())
    scorer = Meteor()
    assert scorer.settings["wordnet"] == str(DEBIAN)
    assert sorted(path.name for path in DEBIAN.iterdir()) == before
    for word, lexname in (
        ("castle", "noun.artifact"), ("rain", "noun.phenomenon"), ("dog", "noun.animal"),
        ("misty", "adj.all"), ("slowly", "adv.all"), ("depict", "verb.communication"),
    ):  # fmt: skip
        assert lexname in {found.lexname() for found in _from_folder(DEBIAN).synsets(word)}


def test_a_named_folder_without_wordnet_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=r"PROMPTLIFT_WORDNET is .* has no data\.noun"):
        Meteor()


def test_our_tokens_are_word_tokenizes_without_the_sentence_splitter() -> None:
    from nltk.tokenize import word_tokenize

    for text in (HYPOTHESIS, "a cat, 8k. (blue:1.2) \"hi\" it's don't.", ""):
        assert Meteor().tokens(text) == word_tokenize(text, preserve_line=True)


@needs_wordnet
def test_synonyms_are_looked_up_by_stem_as_nltk_does() -> None:
    # "large" is stemmed to "larg" before WordNet is asked, so that "big" does not match it.
    [ours] = Meteor().scores(predictions=["a big dog"], references=["a large dog"])
    score = single_meteor_score(
        ["a", "large", "dog"], ["a", "big", "dog"], wordnet=_from_folder(DEBIAN)
    )
    assert ours == pytest.approx(score, abs=1e-12)
    assert score == pytest.approx(2 / 3 * 0.5)  # a and dog, in two chunks
