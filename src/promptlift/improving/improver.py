"""`Improver`: plain prompts in, improved prompts out."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving.clip_tokens import count_clip_tokens
from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding import Generated, generate, log_probabilities, random_stream
from promptlift.improving.engine import Engine, IntArray
from promptlift.improving.manifest import Manifest, ModelCard, is_exported
from promptlift.improving.phrases import extend, rewrite
from promptlift.records import Improvement

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_SOURCE_TOKENS = 1024  # as in the paper; what follows is not read by the model
# Sources are padded to a multiple of this. The padded length then depends on a source alone,
# never on its neighbours, which would change the last bits of its attention sums.
LENGTH_STEP = 8
BATCH_SIZE = 32
# Prompts that are sorted by length together, in batches: more makes fuller batches.
WINDOW_BATCHES = 16
ASSEMBLE = {"extend": extend, "rewrite": rewrite}


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
        from tokenizers import Tokenizer

        from promptlift.improving.onnx_engine import OnnxEngine

        manifest = Manifest.read(folder)
        engine = OnnxEngine(folder, threads=threads)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokens = SpecialTokens(**manifest.tokens)
        return cls(engine, tokenizer, manifest.card, tokens, manifest.model_id)

    @classmethod
    def _load_with_torch(cls, name: str, threads: int | None) -> "Improver":
        from promptlift.improving.torch_engine import load_torch

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
        **decoding: Any,
    ) -> Iterator[list[Improvement]]:
        """Improve any number of prompts in bounded memory, in their order.

        Args:
            prompts: read a window at a time.
            n: variants of each; variant i is the same whatever n is.
            seed: repeats a result; drawn and recorded where None.
            mode: "extend" keeps the prompt and adds to it, "rewrite" writes it anew.
            preset: "paper" for the paper's decoding, in place of the model's own defaults.
            batch_size: results that are decoded together; it does not change them.
            decoding: fields of `DecodingConfig`, overriding defaults and preset.
        """
        config = DecodingConfig.resolve(self.card.decoding, preset, decoding)
        prefix = self._prefix(mode)
        for name, value in (("n", n), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{name} is {value} and must be 1 or more")
        seed = secrets.randbits(32) if seed is None else seed
        # Checked here, before the first prompt is drawn: a generator would complain only later.
        return self._windows(iter(prompts), n, seed, mode, prefix, config, batch_size)

    def log_probability(
        self, sources: Sequence[str], targets: Sequence[str], *, mode: str = "extend"
    ) -> npt.NDArray[np.float64]:
        """Natural-log probability of each target given its source, the end token included.

        It is the model's own, before temperature and other rules; float64 [targets].
        """
        if len(sources) != len(targets):
            raise InputError(f"{len(sources)} sources and {len(targets)} targets: give as many.")
        prefix = self._prefix(mode)
        encoded = self._encode([prefix + source for source in sources])
        ids = [item.ids for item in self.tokenizer.encode_batch(list(targets))]  # never cut
        result = np.zeros(len(sources))
        # Alike in padded source length, then in target length, so that little is padding.
        order = sorted(range(len(sources)), key=lambda i: (_padded(encoded[i]), len(ids[i])))
        for batch in _batches(order, encoded, BATCH_SIZE):
            input_ids, mask = self._pad([encoded[index] for index in batch])
            result[batch] = log_probabilities(
                self.engine,
                input_ids,
                mask,
                [ids[index] for index in batch],
                decoder_start=self.tokens.decoder_start,
            )
        return result

    def _windows(
        self,
        prompts: Iterator[str],
        n: int,
        seed: int,
        mode: str,
        prefix: str,
        config: DecodingConfig,
        batch_size: int,
    ) -> Iterator[list[Improvement]]:
        first = 0
        while window := list(islice(prompts, max(1, WINDOW_BATCHES * batch_size // n))):
            for index, prompt in enumerate(window, first):
                check_prompt(prompt, f"prompt {index}")
            first += len(window)
            encoded = self._encode([prefix + prompt for prompt in window])
            rows = [(index, variant) for index in range(len(window)) for variant in range(n)]
            order = sorted(range(len(rows)), key=lambda row: _padded(encoded[rows[row][0]]))
            results: list[Improvement | None] = [None] * len(rows)
            lengths = [encoded[index] for index, _ in rows]
            for batch in _batches(order, lengths, batch_size):
                part = [rows[row] for row in batch]
                drawn = self._generate(window, encoded, part, seed, config)
                for row, (index, variant), item in zip(batch, part, drawn, strict=True):
                    text = self.tokenizer.decode(item.tokens, skip_special_tokens=True)
                    source = window[index]
                    prompt, added = ASSEMBLE[mode](source, text, item.ended, config)
                    results[row] = Improvement(
                        source=source,
                        prompt=prompt,
                        additions=tuple(added),
                        clip_tokens=count_clip_tokens(prompt),
                        seed=seed,
                        variant=variant,
                        mode=mode,
                        model=self.model_id,
                    )
            done = [result for result in results if result is not None]
            yield from (done[start : start + n] for start in range(0, len(done), n))

    def _generate(
        self,
        prompts: list[str],
        encoded: list[list[int]],
        rows: list[tuple[int, int]],
        seed: int,
        config: DecodingConfig,
    ) -> list[Generated]:
        # Each prompt is encoded once, however many of its variants are in the batch.
        indices = list(dict.fromkeys(index for index, _ in rows))
        input_ids, mask = self._pad([encoded[index] for index in indices])
        place = {index: position for position, index in enumerate(indices)}
        copies = np.array([place[index] for index, _ in rows], dtype=np.int64)
        return generate(
            self.engine,
            input_ids,
            mask,
            config,
            [random_stream(seed, variant, prompts[index]) for index, variant in rows],
            copies=copies if len(indices) < len(rows) else None,
            decoder_start=self.tokens.decoder_start,
            eos=self.tokens.eos,
            suppressed=self._suppressed(config),
        )

    def _suppressed(self, config: DecodingConfig) -> IntArray:
        never = [self.tokens.pad, self.tokens.unk] if config.guards else []
        return np.array(never, dtype=np.int64)

    def _prefix(self, mode: str) -> str:
        if mode not in self.card.modes:
            raise ConfigError(
                f"{self.card.name} has not learned mode {mode!r}; "
                f"it has: {', '.join(self.card.modes)}"
            )
        return self.card.modes[mode]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        ids = [item.ids for item in self.tokenizer.encode_batch(texts)]
        end = self.tokens.eos
        return [
            row if len(row) <= MAX_SOURCE_TOKENS else [*row[: MAX_SOURCE_TOKENS - 1], end]
            for row in ids
        ]

    def _pad(self, rows: list[list[int]]) -> tuple[IntArray, IntArray]:
        length = max(map(_padded, rows))
        input_ids = np.full((len(rows), length), self.tokens.pad, dtype=np.int64)
        mask = np.zeros_like(input_ids)
        for place, row in enumerate(rows):
            input_ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return input_ids, mask


def bundled_model_path() -> Path:
    """The folder of the model that the package carries."""
    return Path(__file__).parents[1] / "models" / "pocket"


def check_prompt(prompt: object, name: str) -> None:
    """Raise InputError unless this is text that can be improved."""
    if not isinstance(prompt, str):
        raise InputError(f"{name} is {type(prompt).__name__}, not text.")
    if not prompt.strip():
        raise InputError(f"{name} is empty. Give it at least one word.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name} is not valid Unicode: {error.reason}.") from error


def _padded(tokens: list[int]) -> int:
    return -(-len(tokens) // LENGTH_STEP) * LENGTH_STEP


def _batches(order: list[int], encoded: list[list[int]], size: int) -> Iterator[list[int]]:
    """Runs of `order` with one padded length each, at most `size` long."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) == size or _padded(encoded[index]) != _padded(encoded[batch[0]])):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
