"""The keywords of `Improver.improve` and its like, typed so that editors complete them."""

from collections.abc import Sequence
from typing import TypedDict


class Settings(TypedDict, total=False):
    """The fields of `DecodingConfig` and `ControlConfig`, which say what each of them does.

    Any sequence will do where a config has a tuple.
    """

    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    min_new_tokens: int
    max_new_tokens: int
    repetition_penalty: float
    no_repeat_ngram_size: int
    best_of: int
    draft_temperature: float | None
    form: str
    artists: float | str
    styles: float | str
    avoid: Sequence[str]
    include: Sequence[str]
    safe: bool
    style: str | None
    reference: str | None
    length: str | None
    diversity: float
    keep_intent: bool
    force: bool
    guards: bool
    max_prompt_tokens: int | None
    chunks: int
    coherent: bool
    picture_model: str


class ImproveOptions(Settings, total=False):
    """Those, and the parameters of `Improver.improve_stream`, which says what each of them does."""

    n: int
    seed: int | None
    mode: str | None
    preset: str | None
    batch_size: int
    negative: str | None
