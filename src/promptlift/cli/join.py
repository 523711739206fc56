"""`promptlift join`."""

from pathlib import Path
from typing import Annotated

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import Overwrite, arg, opt
from promptlift.files import check_new, check_overwrites
from promptlift.tables import check_output_ending, write_rows


def join(
    parts: Annotated[list[Path], arg("Files that improve --shard wrote, .jsonl or .parquet.")],
    input: Annotated[
        list[Path], opt("The prompts that were improved, for comparison.", "--input", "-i")
    ],
    output: Annotated[Path, opt("File to write.", "--output", "-o")],
    column: Annotated[str | None, opt("Column of the prompts in the file [prompt].")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Join the parts of a job, and see that no prompt is missing, double or another one.

    Examples:

      promptlift improve -i prompts.txt --seed 7 --shard 1/2 -o part-1.jsonl

      promptlift join part-*.jsonl -i prompts.txt -o improved.jsonl
    """
    with guarded():
        check_output_ending(output)
        check_overwrites([output], [*parts, *input])
        check_new([output], overwrite=overwrite)

        from promptlift.improving.batch import PromptSource
        from promptlift.improving.joining import joined
        from promptlift.improving.journal import COLUMNS

        source = PromptSource(files=input, column=column, report=say)
        write_rows(output, joined(parts, source), COLUMNS)
        say(f"{output} has every prompt of {', '.join(map(str, input))} once")
