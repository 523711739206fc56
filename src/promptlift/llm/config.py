"""Settings of asking a language model, and which key goes where."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptlift.endpoint import key_for, wrong_url
from promptlift.options import check, option

URL_VARIABLE, KEY_VARIABLE = "PROMPTLIFT_LLM_URL", "PROMPTLIFT_LLM_API_KEY"
VENDOR = "https://api.openai.com/v1"
_TIME = re.compile(r"-?\d+(?:\.\d+)?(?:ms|s|m|h)?", re.A)


@dataclass(frozen=True, kw_only=True)
class LLMConfig:
    """Which server writes in place of a model on this machine, and how it is asked."""

    llm_url: str | None = option(
        None,
        "Let a language model write: the address of an OpenAI-compatible server, as "
        "http://127.0.0.1:11434/v1, of which --model names a model.",
        shown=URL_VARIABLE,
    )
    instruction: str | None = option(
        None, "File with the instruction to the language model.", shown="ours, by form and mode"
    )
    keep_alive: str | None = option(
        None, "How long Ollama keeps the model in memory after the work: 0, 5m."
    )
    llm_concurrency: int = option(4, "Requests at a time.", least=1, most=256)
    llm_timeout_s: float = option(
        300.0, "Seconds after which a request has failed.", above=0, most=3600
    )
    llm_attempts: int = option(6, "Requests for an answer until it has failed.", least=1)
    llm_tokens: int = option(4096, "Tokens of an answer, reasoning included.", least=1)
    llm_json: bool = option(
        False, "Ask for JSON, for models that answer better so; small ones answer worse."
    )
    llm_cache: bool = option(True, "Keep answers on disk, and ask for none a second time.")

    def __post_init__(self) -> None:
        wrong = "" if self.llm_url is None else wrong_url(self.llm_url, "llm_url")
        time = self.keep_alive
        is_time = time is None or _TIME.fullmatch(str(time))
        check(
            self, wrong, "" if is_time else f"keep_alive is {time!r} and must be like 0, 300 or 5m"
        )


def base_of(url: str) -> str:
    """The address that the paths of the API are appended to."""
    return url.rstrip("/").removesuffix("/chat/completions").rstrip("/")


def api_key(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key to send to an address, None for none.

    Ours goes to PROMPTLIFT_LLM_URL where that is set, and else to whatever address was named;
    OPENAI_API_KEY to OPENAI_BASE_URL where that is set, and else to the vendor. No other server
    gets either.

    Raises:
        ConfigError: it holds what no HTTP header may hold.
    """
    owners = (
        (KEY_VARIABLE, environment.get(URL_VARIABLE) or url),
        ("OPENAI_API_KEY", environment.get("OPENAI_BASE_URL") or VENDOR),
    )
    return key_for(url, owners, environment)
