"""The figures of the paper, "Improving Text to Image Prompts Using FLAN-T5", by name and epoch."""

from dataclasses import dataclass

Key = tuple[str, int | None]
PICTURE_PROMPTS = 100
PREFERRED = "preferred"
# Metrics after each epoch, and losses, under the names of log.csv.
METRICS = ("meteor", "bertscore_precision", "bertscore_recall", "bertscore_f1")
LOSSES = ("loss", "eval_loss", "training_sample_loss")
_EPOCHS = 5
_TITLES = {
    "training_pairs": "pairs to learn from",
    "test_pairs": "pairs to measure on",
    "updates_per_epoch": "updates an epoch",
    "meteor": "METEOR",
    "bertscore_precision": "BERTScore precision",
    "bertscore_recall": "BERTScore recall",
    "bertscore_f1": "BERTScore F1",
    "loss": "training loss, dropout on",
    "eval_loss": "evaluation loss",
    "training_sample_loss": "loss of learned pairs, dropout off",
    "clipscore_original_original": "original prompt, original picture",
    "clipscore_improved_improved": "improved prompt, improved picture",
    "clipscore_original_improved": "original prompt, improved picture",
    "clipscore_improved_original": "improved prompt, original picture",
    PREFERRED: "improved picture preferred, ties to the original",
    "top_words_ratio": "ten commonest words, occurrences after over before",
    "all_words_ratio": "all words, occurrences after over before",
}
# Titles of the parts, each with the names of its figures.
PARTS: dict[str, tuple[str, ...]] = {
    "Data and updates": ("training_pairs", "test_pairs", "updates_per_epoch"),
    "Figure 4: METEOR and BERTScore after each epoch": METRICS,
    "Figure 5: losses": LOSSES,
    "CLIPScore of text and picture": (
        "clipscore_original_original", "clipscore_improved_improved",
        "clipscore_original_improved", "clipscore_improved_original",
    ),
    "Preference": (PREFERRED,),
    "Word frequencies": ("top_words_ratio", "all_words_ratio"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """What the paper says.

    Attributes:
        value: None where it gives no number.
        low, high: ends of the 95% interval, where one can be had.
        n: what the value rests on, where it is known.
        note: what is to be known of it.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str = ""


_BY_EPOCH = {
    "meteor": (0.199, 0.202, 0.204, 0.206, 0.207),
    "bertscore_precision": (0.901, 0.903, 0.903, 0.904, 0.904),
    "bertscore_recall": (0.819, 0.819, 0.821, 0.821, 0.821),
    "bertscore_f1": (0.858, 0.859, 0.895, 0.860, 0.860),
}
_SLIP = "a slip: precision and recall give 0.860"
PAPER: dict[Key, PaperFigure] = {
    ("training_pairs", None): PaperFigure(value=73_700, note="given as 73.7k"),
    ("test_pairs", None): PaperFigure(value=8_190, note="given as 8.19k"),
    ("updates_per_epoch", None): PaperFigure(value=1_151),
    **{
        (name, epoch): PaperFigure(
            value=value, n=8_190, note=_SLIP if (name, epoch) == ("bertscore_f1", 3) else ""
        )
        for name, values in _BY_EPOCH.items()
        for epoch, value in enumerate(values, 1)
    },
    **{(name, epoch): PaperFigure() for name in LOSSES for epoch in range(1, _EPOCHS + 1)},
    ("clipscore_original_original", None): PaperFigure(value=31.0277, n=PICTURE_PROMPTS),
    ("clipscore_improved_improved", None): PaperFigure(value=29.0022, n=PICTURE_PROMPTS),
    ("clipscore_original_improved", None): PaperFigure(value=29.4538, n=PICTURE_PROMPTS),
    ("clipscore_improved_original", None): PaperFigure(),
    # Wilson's interval.
    (PREFERRED, None): PaperFigure(
        value=0.79, low=0.700, high=0.858, n=100, note="one rater, the author, not blind"
    ),
    ("top_words_ratio", None): PaperFigure(
        value=5.0, n=PICTURE_PROMPTS, note="given as about five"
    ),
    ("all_words_ratio", None): PaperFigure(),
}


def title_of(key: Key) -> str:
    """A figure in words."""
    name, epoch = key
    return _TITLES[name] + ("" if epoch is None else f", epoch {epoch}")


def is_known(key: Key) -> bool:
    """Whether there is such a figure: those of epochs go on past the paper's five."""
    name, epoch = key
    if name in (*METRICS, *LOSSES):
        return epoch is not None and epoch >= 1
    return name in _TITLES and epoch is None
