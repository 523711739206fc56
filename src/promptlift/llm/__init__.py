"""Language models behind an OpenAI-compatible address: asking them, and reading what they say."""
