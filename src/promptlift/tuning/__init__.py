"""Rewriters that learn from the pictures that their prompts draw."""
