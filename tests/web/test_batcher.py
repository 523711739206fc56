"""Batches of a server's model: memory is freed once nobody waits, and errors do not stay."""

import asyncio

import pytest

from promptlift.errors import ModelError
from promptlift.improving.config import resolve_options
from promptlift.improving.improver import Improver
from promptlift.improving.session import Ask
from promptlift.records import Improvement
from promptlift.web.batcher import Batcher
from tests.llm.server import answer, failure, serving


def test_a_server_is_asked_anew_after_an_error_and_frees_its_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving() as endpoint:
        improver = Improver.load("tiny", llm_url=endpoint.url, llm_attempts=1, keep_alive="0")
        options = resolve_options(improver.card, None, {})

        async def improve(*prompts: str) -> list[list[Improvement]]:
            batcher = Batcher(improver, batch_size=8, wait_s=0.0, max_queue=100)
            batcher.start()
            try:
                asks = [Ask(prompt=prompt, seed=1) for prompt in prompts]
                return await asyncio.gather(*batcher.put(options, asks))
            finally:
                await batcher.stop(5)

        endpoint.respond = lambda prompt: failure(401, "who?")
        with pytest.raises(ModelError, match="Check the API key"):
            asyncio.run(improve("a cat"))
        endpoint.others.clear()
        endpoint.respond = lambda prompt: answer("warm lamplight")
        found = asyncio.run(improve("a cat", "a dog"))
        assert [result.prompt for [result] in found] == [
            "a cat, warm lamplight", "a dog, warm lamplight",
        ]  # fmt: skip
        assert [path for path, _, _ in endpoint.others] == ["/api/generate"]
