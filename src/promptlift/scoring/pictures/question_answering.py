"""Models that answer questions about pictures, for `wants_shown`: BLIP."""

import hashlib
from collections.abc import Sequence
from typing import Any

from promptlift.devices import find_device
from promptlift.errors import ModelError
from promptlift.files import sha256_of_weights
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.clip_loading import find_source, load_processor, load_weights
from promptlift.scoring.pictures.feature_cache import FeatureCache, FloatArray
from promptlift.scoring.pictures.wants import questions_of

KINDS = ("blip",)
_ANSWERS = ("yes", "no")


class QuestionAnswerer:
    """Asks BLIP each question of a prompt: the probability of "yes" against "no".

    Li et al., "BLIP", ICML 2022. The answer is decoded from the question, which looks at the
    picture; of the first token of an answer only "yes" and "no" count.

    Args:
        model: `BlipForQuestionAnswering`, in evaluation mode, on its device.
        processor: of the same model.
        name: as it is shown in results.
        cache: keeps the answers by picture and question.
        reader: opens the pictures.
    """

    def __init__(
        self, model: Any, processor: Any, name: str, *, cache: FeatureCache, reader: PictureReader
    ) -> None:
        self._model = model.requires_grad_(False)
        self._tokenizer, self._prepare = processor.tokenizer, processor.image_processor
        self._cache, self._reader = cache, reader
        words = [self._tokenizer(word, add_special_tokens=False)["input_ids"] for word in _ANSWERS]
        if any(len(ids) != 1 or ids[0] == self._tokenizer.unk_token_id for ids in words):
            raise ModelError(f'{name} has no token for "yes" or "no", so it can answer nothing.')
        self._answers = [ids[0] for ids in words]
        weights = sha256_of_weights(model)
        self.model = f"{name}@{weights[:12]}"
        preparation = f"{weights} {self._prepare.to_json_string()}"
        self._key = hashlib.sha256(preparation.encode()).hexdigest()

    def find(
        self, *, prompts: Sequence[str], pictures: Sequence[Picture]
    ) -> list[dict[str, float]]:
        found = []
        for prompt, picture in zip(prompts, pictures, strict=True):
            questions = questions_of(prompt)
            sure = self._ask(picture, [one.text for one in questions])
            found.append(
                {
                    one.text: yes if one.wanted else 1 - yes
                    for one, yes in zip(questions, sure, strict=True)
                }
            )
        return found

    def _ask(self, picture: Picture, questions: Sequence[str]) -> list[float]:
        """Probability of "yes" for each question, [questions]."""
        if not questions:
            return []
        kept = self._cache.fetch(
            self._key,
            "answer",
            [hashlib.sha256(f"{picture.sha256} {one}".encode()).hexdigest() for one in questions],
            lambda places: self._answer(picture, [questions[place] for place in places]),
            width=1,
        )
        return [float(yes) for [yes] in kept]

    def _answer(self, picture: Picture, questions: Sequence[str]) -> FloatArray:
        """The same as a column, of questions that were not asked before: float32 [questions, 1]."""
        import torch

        model = self._model
        shown = self._prepare(images=self._reader.image(picture), return_tensors="pt")
        begin = torch.tensor([[model.decoder_start_token_id]], device=model.device)
        found = []
        with torch.inference_mode():
            seen = model.vision_model(shown["pixel_values"].to(model.device))[0]
            # One at a time: transformers 5.24 has BLIP read what fills a batch up to one length.
            for question in questions:
                asked = self._tokenizer(question, return_tensors="pt")["input_ids"]
                read = model.text_encoder(
                    input_ids=asked.to(model.device), encoder_hidden_states=seen
                )[0]
                answer = model.text_decoder(input_ids=begin, encoder_hidden_states=read)
                found.append(answer.logits[0, -1, self._answers].float().softmax(-1)[:1])
        yes: FloatArray = torch.stack(found).cpu().numpy()
        return yes


def load_question_answering(
    name: str, *, device: str, offline: bool, cache: FeatureCache, reader: PictureReader
) -> QuestionAnswerer:
    """Load a BLIP that answers questions from a folder or the Hub, in float32.

    Args:
        name: folder or Hub name.
        device: auto, cpu, cuda or mps.
        offline: take Hub models from the cache only.
        cache, reader: see `QuestionAnswerer`.

    Raises:
        ModelError: it is not there, cannot be reached, is damaged or of another kind.
        MissingExtraError: PyTorch, transformers or Pillow are not installed.
    """
    source = find_source(name, "a BLIP that answers questions", offline)
    from transformers import BlipForQuestionAnswering

    model = load_weights(
        source, BlipForQuestionAnswering, KINDS, "pictures are asked with BLIP, CLIP or SigLIP"
    )
    processor = load_processor(source)
    return QuestionAnswerer(
        model.to(find_device(device)), processor, source.label, cache=cache, reader=reader
    )
