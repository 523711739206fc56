"""Blind votes of people on pairs of pictures: dealing, keeping, and what they say."""
