"""`Improver`: plain prompts in, improved prompts out."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, InputError
from promptlift.improving.config import ControlConfig, DecodingConfig, resolve_options
from promptlift.improving.likelihood import log_probabilities
from promptlift.improving.loading import load_model
from promptlift.improving.manifest import ModelCard
from promptlift.improving.model import LoadedModel
from promptlift.improving.session import Ask, Session
from promptlift.improving.writing import Model
from promptlift.llm.config import LLMConfig
from promptlift.options import known_in
from promptlift.records import Improvement

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from promptlift.improving.keywords import ImproveOptions, Settings

BATCH_SIZE = 32


class Improver:
    """Improves prompts with one model. `Improver.load` makes one.

    >>> improver = Improver.load()
    >>> [result] = improver.improve("a cat in armor", seed=0)
    >>> result.prompt.startswith("a cat in armor")
    True
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def __repr__(self) -> str:
        return f"Improver({self.model_id!r})"

    @classmethod
    def load(
        cls, model: str | Path | None = None, *, threads: int | None = None, **llm: Any
    ) -> "Improver":
        """Load a model.

        Args:
            model: an exported folder; a T5, FLAN-T5 or Llama as folder or Hub name (needs the
                extra `train`); "writer" for the bundled model; None for the one that the
                environment variable PROMPTLIFT_MODEL names, or the bundled one. With `llm_url`
                the name of a model on that server; "http://HOST/v1#NAME" says both at once.
            threads: processor threads to use; all cores where None.
            llm: fields of `LLMConfig`: `llm_url`, the address of an OpenAI-compatible server whose
                model is to write (needs the extra `llm`), `instruction` and the rest.

        Raises:
            ConfigError: `threads` is below 1, or far above the number of processors; the server has
                several models and none is named, or an option of it cannot be used;
                options of a language model are given without a server.
            ModelError: the model is missing, incomplete or of another kind.
            MissingExtraError: it is not exported, and PyTorch is not installed.
        """
        known_in(LLMConfig, llm, "loading a model")
        return cls(load_model(model, threads=threads, llm=LLMConfig(**llm)))

    @property
    def card(self) -> ModelCard:
        """The metadata of the model: its name, modes, forms, default options and licence."""
        return self.model.card

    @property
    def model_id(self) -> str:
        """`name@hash`, as records have it."""
        return self.model.model_id

    @property
    def here(self) -> LoadedModel:
        """The model, where it is in this process.

        Raises:
            ConfigError: it is a server's.
        """
        if not isinstance(self.model, LoadedModel):
            raise ConfigError(f"{self.model_id} is a server's model, which gives no probabilities")
        return self.model

    @overload
    def improve(  # type: ignore[overload-overlap]  # a str is a sequence of them too
        self, prompts: str, **options: "Unpack[ImproveOptions]"
    ) -> list[Improvement]: ...
    @overload
    def improve(
        self, prompts: Sequence[str], **options: "Unpack[ImproveOptions]"
    ) -> list[list[Improvement]]: ...
    def improve(
        self, prompts: str | Sequence[str], **options: "Unpack[ImproveOptions]"
    ) -> list[Improvement] | list[list[Improvement]]:
        """Improve one prompt or several.

        Args:
            prompts: one prompt, or a sequence of them.
            options: those of `improve_stream`: `n`, `seed`, `mode` and the rest.

        Returns:
            For one prompt its `n` variants, for a sequence a list of such lists.

        Raises:
            InputError: a prompt is empty or not text.
            ConfigError: an option cannot be used, or the model has not learned the mode or form.
        """
        if isinstance(prompts, str):
            return next(self.improve_stream([prompts], **options))
        return list(self.improve_stream(prompts, **options))

    def improve_stream(
        self,
        prompts: Iterable[str],
        *,
        n: int = 1,
        seed: int | None = None,
        mode: str | None = None,
        preset: str | None = None,
        batch_size: int = BATCH_SIZE,
        negative: str | None = None,
        **settings: "Unpack[Settings]",
    ) -> Iterator[list[Improvement]]:
        """Improve any number of prompts in bounded memory, in their order.

        Args:
            prompts: read a window at a time.
            n: number of variants of each prompt; variant i does not depend on n.
            seed: the same seed gives the same results; None draws one, which results record.
            mode: "extend" keeps the prompt and adds to it, "rewrite" writes a new one; None for
                the one that the model has learned, "extend" where it has both.
            preset: "paper" for the paper's decoding instead of the model's own defaults.
            batch_size: number of results to decode together; it does not change them.
            negative: negative prompt; it is not improved, and each result carries it unchanged.
            settings: fields of `DecodingConfig` (`temperature`, `max_new_tokens` and the like) and
                of `ControlConfig` (`artists`, `avoid`, `length` and the like), in place of the
                defaults and the preset.

        Raises:
            InputError: `prompts` are not several texts.
            ConfigError: an option cannot be used, or the model has not learned the mode or form.
        """
        if isinstance(prompts, str) or not isinstance(prompts, Iterable):
            raise InputError(
                f"prompts is {type(prompts).__name__}, and must be several texts, as in a list"
            )
        # Check options now: a generator would raise only when its first result is read.
        session = self.session(preset=preset, batch_size=batch_size, **settings)
        mode = self.card.mode(mode)
        seed = secrets.randbits(32) if seed is None else seed
        ask = Ask(prompt="", seed=seed, mode=mode, n=n, negative=negative)
        return self._closing(session, (replace(ask, prompt=prompt) for prompt in prompts))

    def _closing(self, session: Session, asks: Iterable[Ask]) -> Iterator[list[Improvement]]:
        """Improve, and then free what the model holds."""
        try:
            yield from session.improve(asks)
        finally:
            self.model.close()

    def session(
        self,
        *,
        preset: str | None = None,
        batch_size: int = BATCH_SIZE,
        **settings: "Unpack[Settings]",
    ) -> Session:
        """The model with options that are resolved once, for any number of prompts.

        Args:
            preset: as for `improve_stream`.
            batch_size: as for `improve_stream`.
            settings: as for `improve_stream`.

        Raises:
            ConfigError: an option cannot be used, or the model has not learned the form.
        """
        decoding, control = self.resolved(preset, settings)
        return Session(self.model, decoding=decoding, control=control, batch_size=batch_size)

    def resolved(
        self, preset: str | None, settings: Mapping[str, Any]
    ) -> tuple[DecodingConfig, ControlConfig]:
        """The options of `improve_stream` with the model's defaults.

        Raises:
            ConfigError: an option cannot be used, or the model knows nothing of it.
        """
        if wrong := sorted(self.model.ignores & settings.keys()):
            raise ConfigError(
                f"{', '.join(wrong)}: a server's model takes temperature, top_p and do_sample alone"
                "; length asks for a length, llm_tokens limits its answer"
            )
        return resolve_options(self.card, preset, dict(settings))

    def log_probability(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        mode: str | None = None,
        form: str | None = None,
    ) -> npt.NDArray[np.float64]:
        """Natural-log probability of each target given its source, the end token included.

        This is the model's own probability, before temperature and other rules; float64 [targets].

        Raises:
            ConfigError: the model is a server's, which gives no probabilities.
        """
        mode = self.card.mode(mode)
        found = log_probabilities(self.here, sources, targets, mode=mode, form=form)
        return np.array([tokens.sum() for tokens in found])
