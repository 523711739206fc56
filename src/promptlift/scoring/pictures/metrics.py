"""The metrics that CLIP gives: of a picture with a prompt, and of a pair of pictures."""

from promptlift.scoring.scores import Metric

_HESSEL = "Hessel et al., CLIPScore, EMNLP 2021; scale 100 as in TorchMetrics"
_ZHAI = "Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023"


def _clip_metric(name: str, title: str, compares: str) -> Metric:
    return Metric(
        name=name,
        title=title,
        range=(0.0, 100.0),
        higher_is_better=True,
        source=_HESSEL,
        compares=compares,
    )


def _match_metric(prompt: str, compares: str) -> Metric:
    return Metric(
        name=f"match_probability_{prompt}_prompt",
        title=f"SigLIP match probability ({prompt} prompt)",
        range=(0.0, 1.0),
        higher_is_better=True,
        source=_ZHAI,
        compares=compares,
    )


CLIP_METRICS = (
    _clip_metric("clipscore_original_prompt", "CLIPScore (original prompt)", "source"),
    _clip_metric("clipscore_improved_prompt", "CLIPScore (improved prompt)", "improved prompt"),
)
OWN_PROMPT = _clip_metric("clipscore_own_prompt", "CLIPScore (each with its prompt)", "own prompt")
MATCH_METRICS = (
    _match_metric("original", "source"),
    _match_metric("improved", "improved prompt"),
)
PAIR_METRICS = (
    Metric(
        name="directional_similarity",
        title="Directional similarity",
        range=(-1.0, 1.0),
        higher_is_better=True,
        source="Gal et al., StyleGAN-NADA, 2022; the paper's section 5",
        compares="picture",
    ),
    Metric(
        name="picture_similarity",
        title="Picture similarity",
        range=(-1.0, 1.0),
        higher_is_better=None,
        source="cosine of the two pictures' CLIP features",
        compares="picture",
    ),
)
