"""The text metrics: what each one is, and those that need no model."""

from collections.abc import Sequence

from promptlift.prompts.clauses import new_clauses, plain_words, split_clauses
from promptlift.prompts.reading import longest_part, read
from promptlift.scoring.scores import Metric
from promptlift.scoring.text.bertscore import NAMES

_METEOR = "Lavie and Agarwal (2007), as NLTK computes it"
_BERTSCORE = "Zhang et al. (2020), without idf weights"
_SIDES = ("target", "source")


def _bertscore() -> list[Metric]:
    found = []
    for rescaled in (False, True):
        for side in _SIDES:
            for measure in NAMES:
                title = "F1" if measure == "f1" else measure
                found.append(
                    Metric(
                        name=f"bertscore_{measure}_{side}{'_rescaled' if rescaled else ''}",
                        title=f"BERTScore {title} ({side}{', rescaled' if rescaled else ''})",
                        range=(None, 1.0) if rescaled else (-1.0, 1.0),
                        higher_is_better=True,
                        source=_BERTSCORE + (", 0 at random pairs" if rescaled else ""),
                        compares=side,
                    )
                )
    return found


def _plain(
    name: str,
    title: str,
    bounds: tuple[float | None, float | None],
    higher_is_better: bool | None,
    source: str,
    compares: str = "nothing",
) -> Metric:
    return Metric(
        name=name,
        title=title,
        range=bounds,
        higher_is_better=higher_is_better,
        source=source,
        compares=compares,
    )


_ALL = (
    *(
        _plain(f"meteor_{side}", f"METEOR ({side})", (0.0, 1.0), True, _METEOR, side)
        for side in _SIDES
    ),
    *_bertscore(),
    _plain(
        "bits_per_character",
        "bits per character",
        (0.0, None),
        False,
        "-log2 P(target and its end | source) over characters and one for the end",
        "target",
    ),
    _plain(
        "source_kept",
        "source kept",
        (0.0, 1.0),
        True,
        "share of what the source asks for that the prompt still says (docs/intent.md)",
        "source",
    ),
    _plain(
        "added_painters",
        "adds a painter",
        (0.0, 1.0),
        False,
        "share of prompts that name a painter whom the source does not, by the lexicon",
        "source",
    ),
    _plain(
        "added_styles",
        "adds a style",
        (0.0, 1.0),
        None,
        "share of prompts that name a style or medium that the source does not, by the lexicon",
        "source",
    ),
    _plain(
        "distinct_1",
        "distinct-1",
        (0.0, 1.0),
        True,
        "Li et al. (2016), of the first 2,000 added words",
        "others",
    ),
    _plain(
        "distinct_2",
        "distinct-2",
        (0.0, 1.0),
        True,
        "Li et al. (2016), of the first 2,000 added words",
        "others",
    ),
    _plain(
        "self_bleu",
        "self-BLEU",
        (0.0, 1.0),
        False,
        "Zhu et al. (2018), BLEU-4 of added words against the other prompts', 200 prompts",
        "others",
    ),
    _plain("words", "words", (0.0, None), None, "words of the whole prompt"),
    _plain(
        "repetition",
        "repeats itself",
        (0.0, 1.0),
        False,
        "share of prompts in which a clause comes twice, or three words in a row three times",
    ),
    _plain(
        "clip_tokens",
        "CLIP tokens",
        (0.0, None),
        None,
        "tokens of the longest part as CLIP's text encoders count them; they read 75",
    ),
)
TEXT_METRICS = {metric.name: metric for metric in _ALL}
CORPUS_METRICS = ("distinct_1", "distinct_2", "self_bleu")


def plain_values(source: str, prediction: str) -> dict[str, float | None]:
    """The metrics of one prediction that need no model; None where one does not apply."""
    reading = read(source)
    wants = len(reading.intent.wants)
    new = new_clauses(prediction, source)
    return {
        "source_kept": 1 - len(reading.lost(prediction)) / wants if wants else None,
        "added_painters": float(bool(reading.new_terms(new, ("painter",)))),
        "added_styles": float(bool(reading.new_terms(new, ("style", "medium")))),
        "words": float(len(plain_words(prediction).split())),
        "repetition": float(repeats(prediction)),
        "clip_tokens": float(longest_part(prediction)) if prediction.strip() else 0.0,
    }


def repeats(text: str) -> bool:
    """Whether a clause comes twice, or three words in a row three times."""
    clauses = [plain_words(clause) for clause in split_clauses(text)]
    words = plain_words(text).split()
    runs: Sequence[tuple[str, ...]] = [
        tuple(words[place : place + 3]) for place in range(len(words) - 2)
    ]
    return len(set(clauses)) < len(clauses) or any(runs.count(run) > 2 for run in set(runs))
