"""BERTScore: how well the words of two texts match, by the cosine of their encoder vectors.

Zhang, Kishore, Wu, Weinberger and Artzi, "BERTScore: Evaluating Text Generation with BERT", 2020.
Equal to the package `bert_score` without idf weights; their speed is compared in
benchmarks/scoring/bertscore_speed.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError
from promptlift.scoring.text.encoder_loading import fingerprint, load, token_limit
from promptlift.scoring.text.encoders import (
    BATCH_SIZE,
    Baseline,
    bundled_encoder,
    default_layer,
    find_baseline,
    is_bundled,
    name_of,
)

if TYPE_CHECKING:
    import torch

    # Of a text: token vectors of length 1, [tokens, hidden size], and for each token 1, or 0 for
    # the marks at either end, [tokens].
    Encoded = tuple[torch.Tensor, torch.Tensor]

NAMES = ("precision", "recall", "f1")
# Rows whose texts are encoded and matched together: memory does not grow with the file.
_WINDOW_ROWS = 256
# Padding to the longest of a batch may cost so much of the work before a batch is cut short. On
# 2,000 real prompts it costs 4% in 37 batches of up to 64; sorted by words, as bert_score does, 46%
# in 32.
_PADDING = 1.1

Scores = npt.NDArray[np.float64]


class BertScorer:
    """An encoder, loaded once, that scores any number of texts.

    Args:
        encoder: folder or Hub name of an encoder; None for the small one that works offline,
            all-MiniLM-L6-v2, which is not the paper's roberta-large.
        layer: the layer whose outputs are compared, 0 for the embeddings; None takes the layer
            that agrees best with people, where it is known.
        batch_size: texts that are encoded together at most, and pairs that are matched together.
            It changes a score as little as bert_score's: only where a word is unlike every word
            of the other text, and by less than its similarity.
        baseline: table of baselines to rescale by, in place of the known ones.
        device: "cpu", "cuda", …; None takes a GPU where there is one.
        offline: load Hub models from the cache only.

    Attributes:
        baseline: the scores of random pairs, by which scores are rescaled; None where unknown.
        settings: all that a score depends on besides the texts.
        device: the device that the encoder runs on.

    Raises:
        ConfigError: the layer is not known or there is none of that number.
        ModelError: the encoder cannot be loaded.
        MissingExtraError: the extra `score` is not installed.
    """

    def __init__(
        self,
        encoder: str | None = None,
        *,
        layer: int | None = None,
        batch_size: int = BATCH_SIZE,
        baseline: Path | None = None,
        device: str | None = None,
        offline: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size} and must be 1 or more")
        self.name, self.batch_size = name_of(encoder), batch_size
        folder = str(bundled_encoder()) if encoder is None or is_bundled(encoder) else encoder
        self.layer = default_layer(encoder) if layer is None else layer
        self._tokenizer, self._model, layers = load(folder, self.layer, offline)
        import torch

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model.to(self.device).eval()
        self._limit = token_limit(self._tokenizer, self._model.config)
        self.baseline: Baseline | None = find_baseline(encoder, self.layer, baseline)
        self.truncated = 0
        self.settings: dict[str, Any] = {
            "encoder": self.name,
            "weights": fingerprint(folder, self._model),
            "layer": self.layer,
            "layers": layers,
            "idf": False,
            "max_tokens": self._limit,
        }
        if is_bundled(encoder):
            self.settings["note"] = "the small offline encoder; the paper took roberta-large"

    def scores(self, *, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Scores]:
        """`precision`, `recall` and `f1` of each prediction, raw; float64 [predictions].

        In [-1, 1]; an empty text on either side scores 0, as in bert_score. Texts beyond the
        encoder's limit are cut, and `truncated` counts the different ones among them.
        """
        found = self.scores_against(predictions=predictions, references={"": references})
        return {name: found[f"{name}_"] for name in NAMES}

    def scores_against(
        self, *, predictions: Sequence[str], references: Mapping[str, Sequence[str]]
    ) -> dict[str, Scores]:
        """Scores against several references: `precision_NAME`, `recall_NAME`, `f1_NAME` by name.

        A text that stands on both sides, or on one side often, is encoded once in 256 rows.
        """
        if wrong := [name for name, texts in references.items() if len(texts) != len(predictions)]:
            raise ValueError(f"references {wrong[0]!r} are not as many as predictions")
        import torch

        rows = list(zip(predictions, *references.values(), strict=True))
        found: list[list[Any]] = [[] for _ in references]
        cut: set[str] = set()
        # Whole batches, so that these are the same whatever a window holds.
        step = -(-_WINDOW_ROWS // self.batch_size) * self.batch_size
        with torch.inference_mode():
            for first in range(0, len(rows), step):
                window = rows[first : first + step]
                texts = self._encode(self._ids(window, cut))
                for place, results in enumerate(found, 1):
                    results.append(
                        self._match(
                            [texts[row[0]] for row in window],
                            [texts[row[place]] for row in window],
                        )
                    )
        self.truncated = len(cut)
        columns = {}
        for name, results in zip(references, found, strict=True):
            table = torch.cat(results).cpu().numpy() if results else np.zeros((0, 3))
            for column, measure in enumerate(NAMES):
                columns[f"{measure}_{name}"] = table[:, column].astype(np.float64)
        return columns

    def rescaled(self, scores: Mapping[str, Scores]) -> dict[str, Scores]:
        """Scores by the same names, (score - baseline) / (1 - baseline), as bert_score rescales.

        A random pair is near 0, the text itself 1. Names may carry a suffix, `f1_target`.
        """
        if self.baseline is None:
            raise ConfigError(f"no baseline of {self.name}, layer {self.layer}, is known")
        result = {}
        for name, values in scores.items():
            base = float(getattr(self.baseline, name.split("_")[0]))
            result[name] = (values - base) / (1 - base)
        return result

    def _ids(self, rows: Sequence[Sequence[str]], cut: set[str]) -> dict[str, list[int]]:
        """Tokens of each text with the marks at either end; texts that are cut go into `cut`."""
        texts = list(dict.fromkeys(text for row in rows for text in row))
        stripped = [text.strip() for text in texts]
        whole = self._tokenizer(stripped, verbose=False)["input_ids"]
        read = self._tokenizer(stripped, truncation=True, max_length=self._limit)["input_ids"]
        cut.update(t for t, ids, kept in zip(texts, whole, read, strict=True) if ids != kept)
        return dict(zip(texts, read, strict=True))

    def _encode(self, tokens: Mapping[str, list[int]]) -> "dict[str, Encoded]":
        import torch
        from torch.nn.utils.rnn import pad_sequence

        order = sorted(tokens, key=lambda text: len(tokens[text]))
        marks = [self._tokenizer.cls_token_id, self._tokenizer.sep_token_id]
        known = torch.tensor([mark for mark in marks if mark is not None], dtype=torch.long)
        pad = self._tokenizer.pad_token_id or 0
        found = {}
        for batch in _batches([len(tokens[text]) for text in order], self.batch_size):
            texts = order[batch.start : batch.stop]
            rows = [torch.tensor(tokens[text], dtype=torch.long) for text in texts]
            ids = pad_sequence(rows, batch_first=True, padding_value=pad).to(self.device)
            mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
            # Without padding there is nothing to mask, and attention is faster unmasked.
            given = None if mask.all() else mask.to(self.device)
            output = self._model(input_ids=ids, attention_mask=given)[0].float()
            vectors = torch.nn.functional.normalize(output, dim=-1)
            for text, row, own in zip(texts, rows, vectors, strict=True):
                weights = (~torch.isin(row, known)).float()
                found[text] = own[: len(row)], weights.to(self.device)
        return found

    def _match(
        self, predictions: "Sequence[Encoded]", references: "Sequence[Encoded]"
    ) -> "torch.Tensor":
        """Precision, recall and F1 by greedy matching; [pairs, 3]."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        results = []
        for first in range(0, len(predictions), self.batch_size):
            # Padding has a similarity of 0, as in bert_score: a word that is unlike every other
            # counts 0 where padding is, and less where its pair is the batch's longest.
            (one, one_weights), (other, other_weights) = (
                [pad_sequence([*part], batch_first=True) for part in zip(*side, strict=True)]
                for side in (
                    predictions[first : first + self.batch_size],
                    references[first : first + self.batch_size],
                )
            )
            similarity = torch.bmm(one, other.transpose(1, 2))
            one_sum, other_sum = one_weights.sum(1), other_weights.sum(1)
            empty = (one_sum == 0) | (other_sum == 0)
            precision = (similarity.amax(2) * one_weights).sum(1) / one_sum
            recall = (similarity.amax(1) * other_weights).sum(1) / other_sum
            f1 = 2 * precision * recall / (precision + recall)
            table = torch.stack([precision, recall, f1], 1).masked_fill(empty[:, None], 0.0)
            results.append(table.nan_to_num(0.0))
        return torch.cat(results)


def _batches(lengths: Sequence[int], size: int) -> Iterator[range]:
    """Runs of texts, sorted by length, to encode together: at most `size`, with little padding."""
    start, work = 0, 0
    for place, length in enumerate(lengths):
        count = place - start
        padded = (count + 1) * length
        if count and (count == size or padded > _PADDING * (work + length)):
            yield range(start, place)
            start, work = place, 0
        work += length
    if lengths:
        yield range(start, len(lengths))
