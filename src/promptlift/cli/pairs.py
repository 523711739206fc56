"""`promptlift pairs`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import AsJson, ModelName, Overwrite, arg, opt
from promptlift.errors import ConfigError
from promptlift.files import check_new
from promptlift.improving.config import ControlConfig
from promptlift.llm.config import LLMConfig, api_key
from promptlift.options import options_of, takes
from promptlift.pairs.config import BuildConfig, ColumnsConfig, ParaphraseConfig, SplitConfig
from promptlift.progress import progress

_LLM = {name: f"llm_{name}" for name in options_of(ParaphraseConfig)}

app = typer.Typer(help="Make training pairs.", rich_markup_mode=None, no_args_is_help=True)
_PairsFile = Annotated[Path, arg("Pairs file.")]
_Output = Annotated[Path, opt("Pairs file to write.", "--output", "-o")]


@app.command()
@takes(ParaphraseConfig, "asking", renamed=_LLM)
@takes(BuildConfig, "building", renamed={"forms": "form"})
def build(
    prompts: Annotated[list[Path], arg("Files of detailed prompts.")],
    output: _Output,
    overwrite: Overwrite = False,
    column: Annotated[str | None, opt("Column of the prompts [prompt].")] = None,
    exclude_source: Annotated[
        list[str] | None, opt("Leave out rows with this in column `source`.")
    ] = None,
    building: Any = None,
    asking: Any = None,
) -> None:
    """Cut detailed prompts into pairs to extend and to rewrite.

    Answers of an endpoint are kept beside the output, in OUTPUT.answers.jsonl: the same command
    goes on where it was stopped. Its key is read from PROMPTLIFT_LLM_API_KEY.

    Examples:

      promptlift pairs build prompts.parquet --output pairs.jsonl

      promptlift pairs build p.txt -o pairs.jsonl --llm-url http://localhost:8000/v1 --llm-model m
    """
    kept = "; answers are kept, the same command goes on" if asking else ""
    with guarded(f"interrupted{kept}"):
        check_new([output], overwrite=overwrite or bool(asking))  # with an endpoint it goes on
        config = BuildConfig(**building)
        if asking and not {"url", "model"} <= asking.keys():
            raise ConfigError("--llm-url and --llm-model go together")
        endpoint = None
        if asking:
            endpoint = ParaphraseConfig(**asking, api_key=api_key(asking["url"]))

        from promptlift.pairs.build import build_file

        built = build_file(
            prompts,
            output,
            config,
            column=column,
            exclude_source=exclude_source or [],
            asking=endpoint,
            report=say,
        )
        summary = ", ".join(f"{count} to {mode}" for mode, count in sorted(built.pairs.items()))
        say(
            f"{summary} in {output}, from {built.prompts} prompts; {built.fruitless} gave no pair; "
            + built.faults.summary()
        )


@app.command()
@takes(ControlConfig, "control")
@takes(LLMConfig, "llm")
def write(
    prompts: Annotated[list[Path], arg("Files of plain prompts.")],
    output: _Output,
    overwrite: Overwrite = False,
    column: Annotated[str | None, opt("Column of the prompts [prompt].")] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Targets of each prompt.")] = 1,
    seed: Annotated[int, typer.Option(help="Another seed gives other targets.")] = 0,
    mode: Annotated[str, typer.Option(help="extend, or rewrite.")] = "extend",
    model: ModelName = None,
    llm: Any = None,
    control: Any = None,
) -> None:
    """Have a model write detailed targets for plain prompts, with all checks of `improve`.

    Improvements are kept beside the output, in OUTPUT.improved.jsonl: the same command goes on
    where it was stopped. Prompts to which nothing could be added give no pair.

    Example:

      promptlift pairs write p.txt -o pairs.jsonl --llm-url http://127.0.0.1:11434/v1 -m qwen3:4b
    """
    with guarded("interrupted; the same command goes on"):
        check_new([output], overwrite=overwrite)
        from promptlift.improving.batch import PromptSource
        from promptlift.improving.improver import Improver
        from promptlift.improving.journal import improve_to_file
        from promptlift.improving.learned import write_learned

        session = Improver.load(model, **llm).session(**control)
        source = PromptSource(files=prompts, column=column, mode=mode, report=say)
        improved = output.with_name(f"{output.name}.improved.jsonl")
        with progress("prompts") as show:
            improve_to_file(
                session, source.items(), improved, source=source.identity(), n=n, seed=seed,
                resume=True, overwrite=True, progress=lambda done: show(done, source.count()),
            )  # fmt: skip
        pairs, without = write_learned(improved, output)
        say(f"{pairs} pairs in {output}; {without} improvements gave none")


@app.command()
@takes(ColumnsConfig, "columns")
def load(
    name: Annotated[str, arg("File, folder, or data set of the Hub.")],
    output: _Output,
    overwrite: Overwrite = False,
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "train",
    columns: Any = None,
    faults: Annotated[Path | None, opt("JSONL file for all faulty rows.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not reach for the Hub.")] = False,
) -> None:
    """Read pairs, check every row, and write those that can be learned from.

    Example:

      promptlift pairs load groloch/stable_diffusion_prompts_instruct --output pairs.jsonl
    """
    with guarded():
        check_new([output, faults], overwrite=overwrite)
        from promptlift.pairs.datasets import load_data_set

        kept, faulty = load_data_set(
            name,
            output,
            ColumnsConfig(**columns),
            split=split,
            faulty=faults,
            offline=offline,
            report=say,
        )
        say(f"{kept} pairs in {output}; " + faulty.summary("; --faults FILE writes all"))


@app.command()
@takes(ColumnsConfig, "columns")
@takes(SplitConfig, "splitting")
def split(
    pairs: _PairsFile,
    output: Annotated[Path, opt("Folder for both sides.", "--output", "-o")],
    overwrite: Overwrite = False,
    splitting: Any = None,
    columns: Any = None,
) -> None:
    """Split pairs into train.jsonl and test.jsonl; near-duplicates stay on one side.

    Writes split.json too: counts, settings, and how close the closest test prompt is to any
    training prompt.

    Example:

      promptlift pairs split pairs.jsonl --output split
    """
    with guarded():
        check_new([output / "train.jsonl", output / "test.jsonl"], overwrite=overwrite)
        config, named = SplitConfig(**splitting), ColumnsConfig(**columns)

        from promptlift.pairs.near import THRESHOLD
        from promptlift.pairs.split import split_file

        sides, faults = split_file(pairs, output, config, named, report=say)
        say(
            f"{len(sides.train)} pairs to train, {len(sides.test)} to test in {output}; "
            f"{len(sides.left_out)} left out whose long target is almost one to train. Across, the "
            f"closest two prompts are {sides.closest:.2f} alike, the closest two long targets "
            f"{sides.closest_target:.2f}, below {THRESHOLD}; " + faults.summary()
        )


@app.command()
@takes(ColumnsConfig, "columns")
def describe(
    pairs: _PairsFile,
    output: Annotated[
        Path | None, opt("Folder for description.json and page.html.", "--output", "-o")
    ] = None,
    overwrite: Overwrite = False,
    columns: Any = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in a file of pairs, and draw it.

    Example:

      promptlift pairs describe pairs.jsonl --output described
    """
    with guarded():
        from promptlift.files import write_json
        from promptlift.pairs.describe import describe_file
        from promptlift.reporting.pairs_page import write_pairs_page

        if output is not None:
            check_new([output / "description.json"], overwrite=overwrite)
        found = describe_file(pairs, ColumnsConfig(**columns), report=say)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            write_json(output / "description.json", found)
            write_pairs_page(found, pairs.name, output / "page.html")
            say(f"description.json and page.html in {output}")
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else _text(found))


def _text(found: dict[str, Any]) -> str:
    modes = ", ".join(f"{count} to {mode}" for mode, count in found["modes"].items())
    lines = [
        f"pairs      {found['pairs']} ({modes}); {found['faulty_rows']} faulty rows",
        f"prompts    {found['prompts']}, {found['near_duplicate_prompts']} near-duplicates; "
        f"{found['repeated_pairs']} repeated pairs",
    ]
    for name in ("source", "target"):
        words = found[f"{name}_words"]
        lines.append(
            f"{name}     {words['mean']} words, median {words['median']:g}, "
            f"90% up to {words['90%']}, longest {words['longest']}"
        )
    adds = ", ".join(f"{kind} {share:.1%}" for kind, share in found["share_adding"].items())
    lines.append(f"adds       {adds}")
    if found["survival"]["pairs"]:
        lines.append(
            f"survival   {found['survival']['mean']:.1%} of the source's words stand in the target "
            f"of a rewrite; all of them in {found['survival']['all_words']:.1%}"
        )
    for title in ("words", "phrases"):
        top = ", ".join(f"{name} {count}" for name, count in found[f"top_target_{title}"][:12])
        lines.append(f"{title:<10} {top}")
    return "\n".join(lines)
