"""Settings of the API: the home of each default, its help and its check."""

import re
from dataclasses import dataclass

from promptlift.options import check, option

# Named here alone: what `promptlift serve` draws with unless told otherwise.
DEFAULT_IMAGE_MODEL = "pocket"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """What the API allows, and how it shares batches."""

    host: str = option(
        "127.0.0.1",
        "Address to listen on; any but this machine's own needs a token.",
    )
    token: str | None = option(None, "What callers must send as `Authorization: Bearer TOKEN`.")
    allow_host: tuple[str, ...] = option(
        (),
        "Name under which the server may be called, beside localhost and addresses in digits.",
    )
    workers: int = option(
        1,
        "Processes that serve the address, each with its own model, queue and limits; more than "
        "one draw no pictures.",
        least=1,
        most=64,
    )
    batch_size: int = option(64, "Results decoded together; 1 shares no batch.", least=1)
    wait_ms: float = option(
        5.0,
        "How long an idle server waits for requests to share a batch.",
        least=0,
    )
    max_queue: int = option(512, "Results that may wait; more are refused with 429.")
    timeout_s: float = option(
        30.0,
        "A request that is not done after so long gets 503.",
        least=1,
        shown="30; with a language model --llm-timeout-s, where that is more",
    )
    max_body: int = option(1_000_000, "Bytes of a request.", least=1000)
    max_results: int = option(
        64, "Results of a request: its prompts times their variants.", least=1
    )
    max_prompt_chars: int = option(4_000, "Characters of a prompt.", least=1)
    max_new_tokens: int = option(256, "Tokens that a request may ask for in a result.", least=1)
    max_jobs: int = option(8, "Picture jobs that may wait; more are refused with 429.", least=1)
    max_pictures: int = option(8, "Pictures of a job: its prompts times its seeds.", least=1)
    log_prompts: bool = option(False, "Write prompts and results into the log.")

    def __post_init__(self) -> None:
        wrong = []
        if self.max_queue < self.max_results:
            wrong.append(
                f"--max-queue is {self.max_queue} and must be --max-results, {self.max_results}, "
                "or more"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            wrong.append(
                "the token must have 16 characters or more, letters, digits and -._~+/= alone"
            )
        if self.token is None and self.host not in LOOPBACK:
            wrong.append(
                f"{self.host} can be reached by others, so a token is needed. Put one into "
                "PROMPTLIFT_TOKEN, or name a file with --token-file"
            )
        check(self, *wrong)
