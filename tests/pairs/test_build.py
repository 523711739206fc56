"""Training pairs made from detailed prompts."""

from hypothesis import example, given
from hypothesis import strategies as st

from promptlift.pairs.build import build_pairs
from promptlift.pairs.clean import cap_phrases, clean_target
from promptlift.pairs.config import BuildConfig
from promptlift.pairs.plain import plain_head, without_manner
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.lexicon.words import may_be_taught
from promptlift.records import Pair

PROMPT = "a painting of a cat, soft light, by greg rutkowski, 4k, Soft light, misty forest"


def test_plain_head_takes_the_medium_off() -> None:
    assert plain_head("a highly detailed digital painting of a cat") == "a cat"
    assert plain_head("a cat") == "a cat"
    assert plain_head("painting of") == "painting of"


def test_cleaning_drops_names_and_repetitions() -> None:
    assert clean_target("soft light, by greg rutkowski, 4k, Soft light", "4K") == "soft light"
    assert clean_target("by greg rutkowski") == ""


def test_builds_both_tasks() -> None:
    [pairs] = build_pairs([PROMPT], BuildConfig(cuts=0))
    rest = "soft light, 4k, misty forest"
    assert pairs == [
        Pair(source="a painting of a cat", target=rest, mode="extend"),
        Pair(source="a cat", target=f"a painting of a cat, {rest}", mode="rewrite"),
    ]


def test_uncleaned_targets_keep_everything() -> None:
    [[pair, _]] = build_pairs([PROMPT], BuildConfig(keep="all", cuts=0))
    assert "greg rutkowski" in pair.target


def test_a_head_with_a_name_is_not_taught_to_be_written() -> None:
    [pairs] = build_pairs(["emma watson as a knight, soft light"], BuildConfig(cuts=0))
    assert [pair.mode for pair in pairs] == ["extend"]


def test_longer_cuts_follow_the_prompt_and_depend_on_the_seed_alone() -> None:
    [first] = build_pairs([PROMPT], BuildConfig(cuts=2, seed=1))
    assert [first] == list(build_pairs([PROMPT], BuildConfig(cuts=2, seed=1)))
    extending = [pair for pair in first if pair.mode == "extend"]
    assert len(extending) == 3
    assert all(PROMPT.startswith(pair.source) for pair in extending)


# Clauses of words that may be taught and of some that may not, in any mixture.
WORDS = st.sampled_from(
    ["soft", "light", "misty", "forest", "4k", "by", "greg", "rutkowski", "nude", "and", "é", "."]
)
CLAUSES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@given(st.lists(CLAUSES, min_size=1, max_size=6))
@example(["soft light", "by greg rutkowski", "nude", "4k"])
def test_every_clause_of_a_cleaned_target_may_be_taught(clauses: list[str]) -> None:
    prompt = ", ".join(["a cat", *clauses])
    [pairs] = build_pairs([prompt], BuildConfig(keep="words"))
    taught = any(may_be_taught(clause.rstrip(" .")) for clause in split_clauses(prompt)[1:])
    assert bool(pairs) == taught
    for pair in pairs:
        added = split_clauses(pair.target)[pair.mode == "rewrite" :]
        assert added and all(may_be_taught(clause) for clause in added)


def test_of_fillers_the_first_two_are_kept() -> None:
    target = "8k, soft light, masterpiece, highly detailed, 4k, oil on canvas"
    assert clean_target(target) == "8k, soft light, masterpiece, oil on canvas"
    assert clean_target(target, keep="words") == target


def test_keeping_words_keeps_things_but_no_names() -> None:
    target = "holding a lantern, by greg rutkowski, soft light"
    assert clean_target(target, keep="words") == "holding a lantern, soft light"
    assert clean_target(target) == "soft light"


def test_a_source_that_names_its_medium_is_offered_no_other() -> None:
    target = "oil on canvas, soft light"
    assert clean_target(target, "a cat") == target
    assert clean_target(target, "a photo of a cat") == "soft light"
    assert clean_target(target, "a photo of a cat", keep="words") == target


def test_a_bare_form_keeps_things_and_drops_manner() -> None:
    prompt = "a painting of a fox, in a red coat, soft light, standing on a hill by wlop, 8k"
    assert without_manner(prompt) == "a fox, in a red coat, standing on a hill"
    assert without_manner("digital art, 8k") == "digital art"
    assert without_manner("a castle, dark green hills") == "a castle, dark green hills"


def test_a_bare_form_is_rewritten_to_its_things_and_its_manner() -> None:
    prompt = "a painting of a fox, in a red coat, soft light, by wlop"
    [[*_, pair]] = build_pairs([prompt], BuildConfig(forms=("head", "bare")))
    assert pair == Pair(
        source="a fox, in a red coat", target="a painting of a fox, in a red coat, soft light"
    )


def test_common_phrases_are_capped() -> None:
    pairs = [Pair(source=f"cat {n}", target="soft light, 4k", mode="extend") for n in range(400)]
    pairs += [Pair(source="4k cat", target="4k, mist", mode="extend")]
    capped = cap_phrases(pairs, 0.25)
    assert capped == cap_phrases(pairs, 0.25)
    share = sum("soft light" in pair.target for pair in capped) / len(pairs)
    assert 0.18 < share < 0.32
    assert capped[-1].target == "4k, mist"  # what stands in the source stays
    assert all(pair.target for pair in capped)
    assert cap_phrases(pairs, 1.0) == pairs


def test_painters_are_capped_within_longer_clauses_and_heads_of_rewrites_stay() -> None:
    pairs = [
        Pair(source=f"thing {n}", target=f"by greg rutkowski and artist{n}, mist{n}", mode="extend")
        for n in range(200)
    ]
    named = sum("greg rutkowski" in pair.target for pair in cap_phrases(pairs, 0.1))
    assert 8 <= named <= 34
    rewrites = [Pair(source="a fox", target=f"a big fox, x{n}", mode="rewrite") for n in range(50)]
    assert cap_phrases(rewrites, 0.1) == rewrites
