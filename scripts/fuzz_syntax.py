"""Coverage-guided fuzzing of the prompt parser (needs `pip install atheris`).

    python scripts/fuzz_syntax.py -max_total_time=300 -max_len=200 [CORPUS]

Any bytes, read as UTF-8, are a prompt: parsing never fails, gives the prompt back byte for byte,
takes linear time, and additions leave the prompt's own characters as they are and are words that
no comment, weight or flag holds. Prompts of tests/prompts/test_dialects.py make a good corpus, a
file each.
"""

import sys
import time

import atheris

with atheris.instrument_imports(include=["promptlift.prompts"]):
    from promptlift.prompts.intent import Intent
    from promptlift.prompts.language import foreign_language
    from promptlift.prompts.reading import longest_part, read
    from promptlift.prompts.syntax import parse, render

PHRASES = ["soft light", "4k"]
SLOWEST = 0.5  # seconds for 200 characters


def check(data: bytes) -> None:
    """Raise where a promise does not hold."""
    prompt = data.decode("utf-8", "ignore")
    started = time.process_time()
    assert render(parse(prompt)) == prompt
    reading = read(prompt)
    longer = reading.extended(PHRASES)
    longest_part(longer)
    foreign_language(prompt)
    assert Intent(prompt).lost(prompt) == ()
    assert reading.lost(longer) == ()
    if not reading.improved:
        assert longer == prompt
    else:
        spans = parse(longer)
        holding = [span for span in spans if PHRASES[0] in span.text]
        if PHRASES[0] not in prompt:
            assert [span.kind for span in holding] == ["text"] * len(reading.improved)
        words = ", ".join(part.words for part in read(longer).parts)
        assert all(phrase in words for phrase in PHRASES)
    assert time.process_time() - started < SLOWEST


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
