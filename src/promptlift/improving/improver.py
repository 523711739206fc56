"""`Improver`: plain prompts in, improved prompts out."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving.batching import batches, padded
from promptlift.improving.config import ControlConfig, resolve_options
from promptlift.improving.constraints import Wishes
from promptlift.improving.decoding.loop import token_log_probabilities
from promptlift.improving.engines.engine import Engine, IntArray
from promptlift.improving.manifest import Manifest, ModelCard, is_exported
from promptlift.improving.session import Ask, Session
from promptlift.records import Improvement

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_SOURCE_TOKENS = 1024  # as in the paper; what follows is not read by the model
BATCH_SIZE = 32
_MOST_WISHES = 8


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Ids of the tokens that decoding treats on their own."""

    pad: int
    eos: int
    unk: int
    decoder_start: int


class Improver:
    """A model with its engine and tokenizer. `Improver.load` makes one.

    >>> improver = Improver.load()
    >>> [result] = improver.improve("a cat in armor", seed=0)
    >>> result.prompt.startswith("a cat in armor")
    True
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: "Tokenizer",
        card: ModelCard,
        tokens: SpecialTokens,
        model_id: str,
    ) -> None:
        self.engine, self.tokenizer, self.card = engine, tokenizer, card
        self.tokens, self.model_id = tokens, model_id
        self._wishes: dict[ControlConfig, Wishes] = {}

    @classmethod
    def load(cls, model: str | Path | None = None, *, threads: int | None = None) -> "Improver":
        """Load a model.

        Args:
            model: nothing for the bundled model, an exported folder, or a T5 or FLAN-T5 as
                folder or Hub name (needs the extra `train`).
            threads: processor threads to use; all cores where None.

        Raises:
            ModelError: the model is missing, incomplete or not a T5.
            MissingExtraError: it is not exported, and PyTorch is not installed.
        """
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads} and must be 1 or more")
        folder = bundled_model_path() if model is None else Path(model)
        if is_exported(folder):
            return cls._load_exported(folder, threads)
        if model is None:
            raise ModelError(f"{folder} holds no bundled model. Reinstall promptlift.")
        return cls._load_with_torch(str(model), threads)

    @classmethod
    def _load_exported(cls, folder: Path, threads: int | None) -> "Improver":
        from promptlift.improving.engines.onnx import OnnxEngine
        from promptlift.improving.tokenizer_file import read_tokenizer

        manifest = Manifest.read(folder)
        engine = OnnxEngine(folder, threads=threads)
        tokenizer = read_tokenizer(folder / "tokenizer.json")
        tokens = SpecialTokens(**manifest.tokens)
        return cls(engine, tokenizer, manifest.card, tokens, manifest.model_id)

    @classmethod
    def _load_with_torch(cls, name: str, threads: int | None) -> "Improver":
        from promptlift.improving.engines.torch import load_torch

        loaded = load_torch(name, threads=threads)
        tokens = SpecialTokens(**loaded.tokens)
        return cls(loaded.engine, loaded.tokenizer, loaded.card, tokens, loaded.model_id)

    @overload
    def improve(self, prompts: str, **options: Any) -> list[Improvement]: ...
    @overload
    def improve(self, prompts: Sequence[str], **options: Any) -> list[list[Improvement]]: ...
    def improve(
        self, prompts: str | Sequence[str], **options: Any
    ) -> list[Improvement] | list[list[Improvement]]:
        """Improve one prompt or several.

        Args:
            prompts: one prompt, or a sequence of them.
            options: those of `improve_stream`.

        Returns:
            For one prompt its `n` variants, for a sequence a list of such lists.

        Raises:
            InputError: a prompt is empty or no text.
            ConfigError: an option cannot be used, or the model has not learned the mode.
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
        mode: str = "extend",
        preset: str | None = None,
        batch_size: int = BATCH_SIZE,
        negative: str | None = None,
        **options: Any,
    ) -> Iterator[list[Improvement]]:
        """Improve any number of prompts in bounded memory, in their order.

        Args:
            prompts: read a window at a time.
            n: variants of each; variant i is the same whatever n is.
            seed: repeats a result; drawn and recorded where None.
            mode: "extend" keeps the prompt and adds to it, "rewrite" writes it anew.
            preset: "paper" for the paper's decoding, in place of the model's own defaults.
            batch_size: results that are decoded together; it does not change them.
            negative: negative prompt; it is never improved, and comes back with each result.
            options: fields of `DecodingConfig` and `ControlConfig`, overriding defaults and preset.
        """
        decoding, control = resolve_options(self.card.decoding, preset, options)
        self.prefix(mode)
        # Checked here, before the first prompt is drawn: a generator would complain only later.
        if n < 1:
            raise ConfigError(f"n is {n} and must be 1 or more")
        session = Session(
            self, mode=mode, decoding=decoding, control=control, batch_size=batch_size
        )
        seed = secrets.randbits(32) if seed is None else seed
        return session.improve(
            Ask(prompt=prompt, seed=seed, n=n, negative=negative) for prompt in prompts
        )

    def log_probability(
        self, sources: Sequence[str], targets: Sequence[str], *, mode: str = "extend"
    ) -> npt.NDArray[np.float64]:
        """Natural-log probability of each target given its source, the end token included.

        It is the model's own, before temperature and other rules; float64 [targets].
        """
        found = self.token_log_probability(sources, targets, mode=mode)
        return np.array([tokens.sum() for tokens in found])

    def token_log_probability(
        self, sources: Sequence[str], targets: Sequence[str], *, mode: str = "extend"
    ) -> list[npt.NDArray[np.float64]]:
        """As `log_probability`, for each token of a target: float64 [tokens], the end's last."""
        if len(sources) != len(targets):
            raise InputError(f"{len(sources)} sources and {len(targets)} targets: give as many.")
        prefix = self.prefix(mode)
        encoded = self.encode([prefix + source for source in sources])
        ids = [item.ids for item in self.tokenizer.encode_batch(list(targets))]  # never cut
        result: list[npt.NDArray[np.float64]] = [np.zeros(0)] * len(sources)
        # Alike in padded source length, then in target length, so that little is padding.
        order = sorted(range(len(sources)), key=lambda i: (padded(encoded[i]), len(ids[i])))
        for batch in batches(order, encoded, BATCH_SIZE):
            input_ids, mask = self.pad([encoded[index] for index in batch])
            found = token_log_probabilities(
                self.engine,
                input_ids,
                mask,
                [ids[index] for index in batch],
                decoder_start=self.tokens.decoder_start,
            )
            for index, row in zip(batch, found, strict=True):
                result[index] = row[: len(ids[index])]
        return result

    def wishes(self, control: ControlConfig) -> Wishes:
        """The rule over phrases for some options; the last few are kept."""
        found = self._wishes.pop(control, None)
        if found is None:
            found = Wishes(self.tokenizer, self.engine.vocab_size, control)
        self._wishes[control] = found
        if len(self._wishes) > _MOST_WISHES:
            del self._wishes[next(iter(self._wishes))]
        return found

    def suppressed(self, control: ControlConfig) -> IntArray:
        """Tokens that are never chosen."""
        never = [self.tokens.pad, self.tokens.unk] if control.guards else []
        return np.array(never, dtype=np.int64)

    def prefix(self, mode: str) -> str:
        """What the model expects before a source."""
        if mode not in self.card.modes:
            raise ConfigError(
                f"{self.card.name} has not learned mode {mode!r}; "
                f"it has: {', '.join(self.card.modes)}"
            )
        return self.card.modes[mode]

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Tokens of sources, the end token included; what is too long is cut."""
        ids = [item.ids for item in self.tokenizer.encode_batch(texts)]
        end = self.tokens.eos
        return [
            row if len(row) <= MAX_SOURCE_TOKENS else [*row[: MAX_SOURCE_TOKENS - 1], end]
            for row in ids
        ]

    def pad(self, rows: list[list[int]]) -> tuple[IntArray, IntArray]:
        """Tokens and mask, int64 [rows, padded length]."""
        length = max(map(padded, rows))
        input_ids = np.full((len(rows), length), self.tokens.pad, dtype=np.int64)
        mask = np.zeros_like(input_ids)
        for place, row in enumerate(rows):
            input_ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return input_ids, mask


def bundled_model_path() -> Path:
    """The folder of the model that the package carries."""
    return Path(__file__).parents[1] / "models" / "pocket"
