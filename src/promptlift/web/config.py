"""Settings of the API: the home of each default, its help and its check."""

import math
from dataclasses import dataclass, field
from typing import Any

from promptlift.errors import ConfigError

# Named here alone: what `promptlift serve` draws with unless told otherwise.
DEFAULT_IMAGE_MODEL = "pocket"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SHORTEST_TOKEN = 16


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """What the API allows, and how it shares batches."""

    host: str = _setting(
        "127.0.0.1", "Address to listen on; any but this machine's own needs a token."
    )
    token: str | None = _setting(None, "What callers must send as `Authorization: Bearer TOKEN`.")
    allow_host: tuple[str, ...] = _setting(
        (), "Name under which the server may be called, beside localhost and addresses in digits."
    )
    batch_size: int = _setting(64, "Results decoded together; 1 shares no batch.")
    wait_ms: float = _setting(5.0, "How long an idle server waits for requests to share a batch.")
    max_queue: int = _setting(512, "Results that may wait; more are refused with 429.")
    timeout_s: float = _setting(30.0, "A request that is not done after so long gets 503.")
    max_body: int = _setting(1_000_000, "Bytes of a request.")
    max_results: int = _setting(64, "Results of a request: its prompts times their variants.")
    max_prompt_chars: int = _setting(4_000, "Characters of a prompt.")
    max_new_tokens: int = _setting(256, "Tokens that a request may ask for in a result.")
    max_jobs: int = _setting(8, "Picture jobs that may wait; more are refused with 429.")
    max_pictures: int = _setting(8, "Pictures of a job: its prompts times its seeds.")
    log_prompts: bool = _setting(False, "Write prompts and results into the log.")

    def __post_init__(self) -> None:
        wrong = [
            f"{_flag(name)} is {getattr(self, name)} and must be a number of {least} or more"
            for name, least in (
                ("batch_size", 1), ("wait_ms", 0), ("timeout_s", 1), ("max_body", 1_000),
                ("max_results", 1), ("max_prompt_chars", 1), ("max_new_tokens", 1),
                ("max_jobs", 1), ("max_pictures", 1),
            )
            if not least <= getattr(self, name) < math.inf
        ]  # fmt: skip
        if self.max_queue < self.max_results:
            wrong.append(
                f"--max-queue is {self.max_queue} and must be --max-results, {self.max_results}, "
                "or more"
            )
        if self.token is not None and not _is_token(self.token):
            wrong.append(
                f"the token must have {_SHORTEST_TOKEN} characters or more, "
                "letters, digits and -._~+/= alone"
            )
        if self.token is None and self.host not in LOOPBACK:
            wrong.append(
                f"{self.host} can be reached by others, so a token is needed. Put one into "
                "PROMPTLIFT_TOKEN, or name a file with --token-file"
            )
        if wrong:
            raise ConfigError("; ".join(wrong))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_token(text: str) -> bool:
    allowed = all(char.isascii() and (char.isalnum() or char in "-._~+/=") for char in text)
    return allowed and len(text) >= _SHORTEST_TOKEN
