"""`python -m promptlift`."""

from promptlift.cli import main

main()
