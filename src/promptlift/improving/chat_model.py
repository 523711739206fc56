"""A language model behind an OpenAI-compatible address as what writes improvements."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any

from promptlift.endpoint import NoAnswer
from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.constraints import asked_terms, wishes_of
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.manifest import ModelCard
from promptlift.improving.repair import ATTEMPTS
from promptlift.improving.writing import Source, Written
from promptlift.llm.asking import Answer, Asker, Question
from promptlift.llm.cache import Cache, Nothing, cache_path, key_of
from promptlift.llm.cleaning import UNSPOKEN, cleaned
from promptlift.llm.config import LLMConfig, api_key, base_of
from promptlift.llm.endpoint import ChatEndpoint
from promptlift.records import FORMS, MODES

# What measured best: see docs/lab-log.md.
DECODING = {"temperature": 0.7, "top_p": 0.95}
_WISHES = "{wishes}"
_LONGEST_GOODBYE_S = 10.0
_LONGEST_LIST_S = 2.0  # somebody waits for it
_log = logging.getLogger(__name__)
_SIZES = {"short": (2, 3), "medium": (3, 7), "long": (8, 12)}  # phrases, as instructions have it
_LENGTHS = {
    "tags": {"short": "Write 2 or 3 phrases.", "medium": "", "long": "Write 8 to 12 phrases."},
    "paragraph": {
        "short": "Write at most 40 words.", "medium": "Write 45 to 80 words.",
        "long": "Write 90 to 130 words.",
    },
}  # fmt: skip


class ChatModel:
    """A model of a server, as `writing.Model`.

    Args:
        config: the server, and how it is asked.
        model: its name there; None where the server has one alone.

    Raises:
        ConfigError: the server has several models and none is named, or an option cannot be used.
        InputError: the file with the instruction cannot be read.
        ModelError: no model is named, and the server does not say which it has.
        MissingExtraError: the extra `llm` is not installed.
    """

    libraries = ("httpx",)
    ignores = frozenset((
        "top_k", "min_new_tokens", "max_new_tokens", "repetition_penalty", "no_repeat_ngram_size",
        "best_of", "draft_temperature",
    ))  # fmt: skip

    def __init__(self, config: LLMConfig, model: str | None) -> None:
        assert config.llm_url is not None
        self.config, self.base = config, base_of(config.llm_url)
        self.endpoint = self._endpoint(config.llm_timeout_s)
        self._requests = 0  # of all askers that were closed
        self._asker: Asker | None = None
        self.name = model or _only(self.endpoint)
        self.instructions = _instructions(config.instruction, as_json=config.llm_json)
        self.card = ModelCard(
            name=self.name,
            modes=dict.fromkeys(MODES, ""),
            forms=dict.fromkeys(FORMS, ""),
            decoding=DECODING,
        )

    @property
    def model_id(self) -> str:
        """Name, and a hash over address, name and instructions."""
        return f"{self.name}@{key_of([self.base, self.name, self.instructions])[:12]}"

    @property
    def about(self) -> Mapping[str, Any]:
        """The server, the model's name there, and the hash of each instruction."""
        hashes = {name: _hash(text) for name, text in self.instructions.items()}
        return {"llm": {"url": self.base, "model": self.name, "instructions": hashes}}

    @property
    def asker(self) -> Asker:
        """Threads that ask, until the model is closed."""
        if self._asker is None:
            self._asker = Asker(
                self.endpoint,
                Cache(cache_path()) if self.config.llm_cache else Nothing(),
                concurrency=self.config.llm_concurrency,
                attempts=self.config.llm_attempts,
            )
        return self._asker

    @property
    def requests(self) -> int:
        """How many it has sent."""
        return self._requests + (self._asker.requests if self._asker else 0)

    def others(self) -> "list[ChatModel]":
        """The other models that its server has now, asked as this one is.

        Raises:
            ModelError: the server does not say.
        """
        endpoint = self._endpoint(min(self.config.llm_timeout_s, _LONGEST_LIST_S))
        return [self._named(name) for name in dict.fromkeys(endpoint.models()) if name != self.name]

    def _named(self, name: str) -> "ChatModel":
        other = copy(self)  # one endpoint serves all of them
        other.name, other.card = name, replace(self.card, name=name)
        other._asker, other._requests = None, 0
        return other

    def close(self) -> None:
        """Ask no more, wait for nobody, and free Ollama's memory as `keep_alive` says.

        Only where something was asked: the word about memory would load the model.
        """
        asker, self._asker = self._asker, None
        if asker is None:
            return
        asker.close()
        self._requests += asker.requests
        if self.config.keep_alive is None or not asker.requests:
            return
        try:
            endpoint = self._endpoint(min(self.config.llm_timeout_s, _LONGEST_GOODBYE_S))
            endpoint.keep_alive(self.name, self.config.keep_alive)
        except NoAnswer as error:
            _log.warning("%s takes no keep_alive, as Ollama does: %s", self.base, error)

    def _endpoint(self, timeout_s: float) -> ChatEndpoint:
        return ChatEndpoint(self.base, api_key(self.base), timeout_s)

    def writer(
        self,
        decoding: DecodingConfig,
        control: ControlConfig,
        *,
        batch_size: int,
        given_up: Callable[[], bool] | None = None,
    ) -> "ChatWriter":
        """The model with options; a batch is as large as the prompts that are asked about."""
        return ChatWriter(self, decoding, control, given_up)


class ChatWriter:
    """A model of a server with options that all its results share, as `writing.Writer`."""

    def __init__(
        self,
        model: ChatModel,
        decoding: DecodingConfig,
        control: ControlConfig,
        given_up: Callable[[], bool] | None,
    ) -> None:
        self.model, self.decoding, self.control = model, decoding, control
        self.given_up, self.asked = given_up, asked_terms(control)
        self._prose = control.form == "paragraph"
        # So that results are kept soon: those of a window come when its last one is there.
        self.window = 8 * model.config.llm_concurrency
        self.attempts = ATTEMPTS

    def write(self, sources: Sequence[Source], mode: str) -> list[Written]:
        """An answer for each source; none where none can be used.

        Raises:
            GivenUp: the caller no longer waits.
            ModelError: the server refuses every request, or answers none.
        """
        asker = self.model.asker
        try:
            questions = [self._question(source, mode) for source in sources]
            jobs = {question.key: question for question in questions}  # none twice
            under_way = {key: asker.ask(question) for key, question in jobs.items()}
            answers = [self._answer(under_way[question.key]) for question in questions]
            if asker.is_failing and not self.model.endpoint.is_up():
                # Rather than to leave prompts as they are: a job that is resumed asks again.
                [*_, reason] = [answer.reason for answer in answers if answer.text is None]
                raise ModelError(
                    f"{self.model.base} answers no more: {reason}. "
                    "Answers are kept; mend it and try again."
                )
        except BaseException:
            self.model.close()  # whatever else was asked is of no use; another call begins anew
            raise
        pairs = zip(sources, answers, strict=True)
        return [self._written(source, answer, mode) for source, answer in pairs]

    def _answer(self, job: "AsyncResult[Answer]") -> Answer:
        answer = self.model.asker.result(job, self.given_up)
        if answer is None:
            raise GivenUp
        return answer

    def _written(self, source: Source, answer: Answer, mode: str) -> Written:
        if answer.text is None:
            return Written(None, notes=(answer.reason,), again=False)
        config = self.model.config
        text = cleaned(
            answer.text,
            source.words,
            field=_field(mode),
            prose=self._prose,
            ended=answer.ended,
            # One's own may hold phrases that are wanted.
            instruction=self._told(mode) if config.instruction is None else "",
        )
        cut = (
            () if answer.ended else (f"the answer was cut off by llm_tokens, {config.llm_tokens}",)
        )
        again = UNSPOKEN not in text.notes  # it would reason as long again
        record = {"answer": _hash(answer.text)}
        return Written(text.text, notes=(*cut, *text.notes), record=record, again=again)

    def _question(self, source: Source, mode: str) -> Question:
        decoding, config = self.decoding, self.model.config
        content = f"{self._instruction(mode, source.used)}\n\nPrompt: {source.words}"
        options: dict[str, Any] = {
            "model": self.model.name,
            "seed": int(source.stream.integers(2**31)),
            "temperature": decoding.temperature if decoding.do_sample else 0.0,
            "top_p": decoding.top_p,
            "max_tokens": config.llm_tokens,
        }
        if config.llm_json:
            options["response_format"] = self._format(mode)
        # One message: the chat templates of some models know no system role.
        messages = [{"role": "user", "content": content}]
        key = key_of([self.model.base, messages, options])
        return Question(key, messages, options, whole=False)

    def _instruction(self, mode: str, used: Sequence[str]) -> str:
        """The instruction that comes before the prompt."""
        text = self._told(mode)
        wishes = " ".join(filter(None, [*_wishes(self.control), _other_than(used)]))
        if _WISHES not in text:
            return f"{text.strip()} {wishes}".strip()
        return text.replace(_WISHES, wishes).replace(" \n", "\n").strip()

    def _told(self, mode: str) -> str:
        return self.model.instructions[f"{mode}-{self.control.form}"]

    def _format(self, mode: str) -> dict[str, Any]:
        """The JSON that servers with structured output are asked for."""
        value: dict[str, Any] = {"type": "string"}
        if _is_list(mode, self.control.form):
            value = {"type": "array", "items": value, "minItems": 1}
            if self.control.length or self.model.config.instruction is None:
                least, most = _SIZES[self.control.length or "medium"]
                value |= {"minItems": least, "maxItems": most}
        schema = {
            "type": "object", "properties": {_field(mode): value}, "required": [_field(mode)],
            "additionalProperties": False,
        }  # fmt: skip
        return {
            "type": "json_schema",
            "json_schema": {"name": "improvement", "strict": True, "schema": schema},
        }


def _wishes(control: ControlConfig) -> list[str]:
    """What the options ask for, in sentences."""
    style, liked = wishes_of(control)
    found = []
    if control.length is not None:
        found.append(_LENGTHS[control.form][control.length])
    if style:
        found.append(f"The style is {style}.")
    if liked:
        found.append(f"Work in, where it fits: {', '.join(liked)}.")
    if control.avoid:
        found.append(f"Never use: {', '.join(control.avoid)}.")
    return found


def _other_than(used: Sequence[str]) -> str:
    return f"Think of something else than: {', '.join(used)}." if used else ""


def _field(mode: str) -> str:
    return "additions" if mode == "extend" else "prompt"


def _is_list(mode: str, form: str) -> bool:
    return mode == "extend" and form == "tags"


@lru_cache
def _instructions(own: str | None, *, as_json: bool) -> Mapping[str, str]:
    """The instruction by mode and form; one's own is the same for all but for the JSON."""
    kinds = [(mode, form) for mode in MODES for form in FORMS]
    texts = (
        dict.fromkeys(kinds, _own(own))
        if own is not None
        else {kind: _ours(*kind) for kind in kinds}
    )
    return {
        f"{mode}-{form}": f"{text.rstrip()}\n{_json_wish(mode, form)}" if as_json else text
        for (mode, form), text in texts.items()
    }


def _json_wish(mode: str, form: str) -> str:
    what = "a list of texts" if _is_list(mode, form) else "a text"
    return f'Put it into a JSON object with {what} named "{_field(mode)}", and nothing else.'


def _ours(mode: str, form: str) -> str:
    folder = files("promptlift.llm") / "instructions"
    return (folder / f"{mode}-{form}.txt").read_text(encoding="utf-8")


def _own(own: str) -> str:
    try:
        text = Path(own).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the instruction {own} cannot be read: {error}") from error
    if not text.strip():
        raise InputError(f"the instruction {own} is empty")
    return text


def _only(endpoint: ChatEndpoint) -> str:
    """The one model of a server."""
    names = endpoint.models()
    if len(names) == 1:
        return names[0]
    found = ", ".join(names) or "none"
    raise ConfigError(f"name a model of {endpoint.base} with --model; it has: {found}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
