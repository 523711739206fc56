"""`promptlift pairs`."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.records import Pair

API_KEY_VARIABLE = "PROMPTLIFT_LLM_API_KEY"
_SHOWN = 20  # faults on the terminal; all of them are counted, and written where asked for

app = typer.Typer(help="Make training pairs.", rich_markup_mode=None, no_args_is_help=True)

_Source = Annotated[str | None, typer.Option(help="Column of the sources.", show_default=False)]
_Target = Annotated[str | None, typer.Option(help="Column of the targets.", show_default=False)]


@app.callback()
def options() -> None:
    """Make training pairs."""


@app.command()
def build(
    prompts: Annotated[
        list[Path], typer.Argument(help="Files of detailed prompts.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Pairs file to write.", show_default=False)
    ],
    column: Annotated[
        str | None, typer.Option(help="Column of the prompts [prompt].", show_default=False)
    ] = None,
    exclude_source: Annotated[
        list[str] | None,
        typer.Option(help="Leave out rows with this in column `source`.", show_default=False),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            help="What targets keep: offers (phrases that fit a stranger's prompt), words (all but "
            "names and unknown words), all."
        ),
    ] = "offers",
    cuts: Annotated[int, typer.Option(help="Random cuts of a prompt beside the head.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the cuts.")] = 0,
    form: Annotated[
        list[str] | None,
        typer.Option(
            help="Plain form to rewrite: head (the first clause), bare (the prompt without style, "
            "medium, light, fillers, painters); may be repeated [head].",
            show_default=False,
        ),
    ] = None,
    drop_near: Annotated[
        bool, typer.Option("--drop-near", help="Keep one of each group of near-duplicates.")
    ] = False,
    max_share: Annotated[
        float,
        typer.Option(help="Share of targets that may hold one and the same phrase to add."),
    ] = 1.0,
    llm_url: Annotated[
        str | None,
        typer.Option(
            help="OpenAI-compatible endpoint, http://localhost:8000/v1, that also shortens each "
            f"prompt. Its key is read from {API_KEY_VARIABLE}.",
            show_default=False,
        ),
    ] = None,
    llm_model: Annotated[
        str | None, typer.Option(help="Model to ask there.", show_default=False)
    ] = None,
    llm_concurrency: Annotated[int, typer.Option(help="Requests at a time.")] = 4,
    llm_max_requests: Annotated[
        int | None, typer.Option(help="Stop asking after so many.", show_default=False)
    ] = None,
) -> None:
    """Cut detailed prompts into pairs to extend and to rewrite.

    Answers of an endpoint are kept beside the output, in OUTPUT.answers.jsonl: the same command
    goes on where it was stopped.

    Examples:

      promptlift pairs build prompts.parquet --output pairs.jsonl

      promptlift pairs build p.txt -o pairs.jsonl --llm-url http://localhost:8000/v1 --llm-model m
    """
    with guarded("interrupted; answers are kept, the same command goes on"):
        from promptlift.errors import ConfigError
        from promptlift.pairs.build import FORMS, build_pairs, keep_one_of_each, paraphrased_pairs
        from promptlift.pairs.clean import KEPT, cap_phrases
        from promptlift.pairs.load import load_prompts, write_pairs
        from promptlift.pairs.paraphrase import ParaphraseConfig
        from promptlift.tables import Fault, check_output_ending

        check_output_ending(output)
        if keep not in KEPT:
            raise ConfigError(f"--keep is {keep!r} and must be one of {', '.join(KEPT)}")
        if unknown := set(form or []) - set(FORMS):
            raise ConfigError(f"--form is {unknown.pop()!r} and must be one of {', '.join(FORMS)}")
        if not 0 < max_share <= 1:
            raise ConfigError(f"--max-share is {max_share} and must lie above 0 and at most at 1")
        if (llm_url is None) != (llm_model is None):
            raise ConfigError("--llm-url and --llm-model go together")
        asking = llm_url and llm_model and ParaphraseConfig(
            url=llm_url, model=llm_model, api_key=os.environ.get(API_KEY_VARIABLE) or None,
            concurrency=llm_concurrency, max_requests=llm_max_requests,
        )  # fmt: skip
        left_out = 0

        def texts() -> Iterator[str]:
            nonlocal left_out
            for path in prompts:
                for row in load_prompts(path, column=column, exclude_source=exclude_source or []):
                    if isinstance(row, Fault):
                        left_out += 1
                        say(f"{path} line {row.number}: {row.message}")
                    else:
                        yield str(row.value)

        counts: Counter[str] = Counter()

        def counted() -> Iterator[Pair]:
            found = texts()
            if drop_near or asking:  # both need the prompts twice
                found = iter(every := list(found))
                if drop_near:
                    every = keep_one_of_each(every)
                    found = iter(every)
                    say(f"{len(every)} prompts after dropping near-duplicates")
            for pair in build_pairs(found, keep=keep, cuts=cuts, seed=seed, forms=form or ["head"]):
                counts[f"to {pair.mode}"] += 1
                yield pair
            if asking:
                journal = output.with_name(output.name + ".answers.jsonl")
                for answered in paraphrased_pairs(every, asking, journal, keep=keep, report=say):
                    if isinstance(answered, Pair):
                        counts["to rewrite from a paraphrase"] += 1
                        yield answered
                    else:
                        counts[f"paraphrases {answered}"] += 1

        made: Iterator[Pair] = counted()
        if max_share < 1:
            made = iter(cap_phrases(list(made), max_share, seed=seed))
        write_pairs(output, made)
        summary = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        faulty = f"; {left_out} faulty rows left out" if left_out else ""
        say(f"{summary or 'no pairs'} in {output}{faulty}")


@app.command()
def load(
    name: Annotated[
        str, typer.Argument(help="File, folder, or data set of the Hub.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Pairs file to write.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "train",
    source: _Source = None,
    target: _Target = None,
    faults: Annotated[
        Path | None, typer.Option(help="JSONL file for all faulty rows.", show_default=False)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not reach for the Hub.")] = False,
) -> None:
    """Read pairs, check every row, and write those that can be learned from.

    Example:

      promptlift pairs load groloch/stable_diffusion_prompts_instruct --output pairs.jsonl
    """
    with guarded():
        from promptlift.pairs.load import find_files, load_pairs, write_pairs
        from promptlift.tables import Fault, check_output_ending, write_rows

        check_output_ending(output)
        if faults is not None:
            check_output_ending(faults)
        files = find_files(name, split, offline=offline)
        found: list[dict[str, object]] = []
        kept = 0

        def sound() -> Iterator[Pair]:
            nonlocal kept
            for path in files:
                for pair in load_pairs(path, source=source, target=target, check=True, report=say):
                    if isinstance(pair, Fault):
                        found.append(
                            {"file": str(path), "line": pair.number, "fault": pair.message}
                        )
                        if len(found) <= _SHOWN:
                            say(f"{path} line {pair.number}: {pair.message}")
                    else:
                        kept += 1
                        yield pair

        write_pairs(output, sound())
        if faults is not None:
            write_rows(faults, found, ("file", "line", "fault"))
        if len(found) > _SHOWN:
            say(f"… and {len(found) - _SHOWN} more faulty rows; --faults FILE writes all")
        say(f"{kept} pairs in {output}; {len(found)} faulty rows left out")


@app.command()
def split(
    pairs: Annotated[Path, typer.Argument(help="Pairs file.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for both sides.", show_default=False)
    ],
    test_share: Annotated[float, typer.Option(help="Share of the groups to test on.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    source: _Source = None,
    target: _Target = None,
) -> None:
    """Split pairs into train.jsonl and test.jsonl; near-duplicates stay on one side.

    Writes split.json too: counts, settings, and how close the closest test prompt is to any
    training prompt.

    Example:

      promptlift pairs split pairs.jsonl --output split
    """
    with guarded():
        from promptlift.errors import ConfigError
        from promptlift.files import sha256_of_file, write_json
        from promptlift.pairs.load import load_pairs, write_pairs
        from promptlift.pairs.near import THRESHOLD
        from promptlift.pairs.split import SEARCHED_FROM, split_pairs
        from promptlift.tables import Fault

        if not 0 < test_share < 1:
            raise ConfigError(f"--test-share is {test_share} and must lie between 0 and 1")
        rows = list(load_pairs(pairs, source=source, target=target, report=say))
        faulty = [row for row in rows if isinstance(row, Fault)]
        for row in faulty[:_SHOWN]:
            say(f"{pairs} line {row.number}: {row.message}")
        sides = split_pairs(
            [row for row in rows if isinstance(row, Pair)], test_share=test_share, seed=seed
        )
        output.mkdir(parents=True, exist_ok=True)
        write_pairs(output / "train.jsonl", sides.train)
        write_pairs(output / "test.jsonl", sides.test)
        write_json(
            output / "split.json",
            {
                "pairs": pairs.name,
                "sha256": sha256_of_file(pairs),
                "seed": seed,
                "test_share": test_share,
                "threshold": THRESHOLD,
                "train": len(sides.train),
                "test": len(sides.test),
                "faulty": len(faulty),
                "closest": sides.closest,
                "closest_prompts": sides.closest_prompts,
                "searched_from": SEARCHED_FROM,
            },
        )
        say(
            f"{len(sides.train)} pairs to train, {len(sides.test)} to test in {output}; "
            f"the closest two prompts across are {sides.closest:.2f} alike, below {THRESHOLD}; "
            f"{len(faulty)} faulty rows left out"
        )


@app.command()
def describe(
    pairs: Annotated[Path, typer.Argument(help="Pairs file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for description.json and page.html.", show_default=False
        ),
    ] = None,
    source: _Source = None,
    target: _Target = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is in a file of pairs, and draw it.

    Example:

      promptlift pairs describe pairs.jsonl --output described
    """
    with guarded():
        import json as json_module

        from promptlift.errors import InputError
        from promptlift.files import write_json
        from promptlift.pairs.describe import describe as describe_pairs
        from promptlift.pairs.load import load_pairs
        from promptlift.reporting.pairs_page import write_pairs_page

        rows = list(load_pairs(pairs, source=source, target=target, report=say))
        sound = [row for row in rows if isinstance(row, Pair)]
        if not sound:
            raise InputError(f"{pairs} holds no pairs.")
        found = {**describe_pairs(sound), "faulty_rows": len(rows) - len(sound)}
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            write_json(output / "description.json", found)
            write_pairs_page(found, pairs.name, output / "page.html")
            say(f"description.json and page.html in {output}")
        if json:
            typer.echo(json_module.dumps(found, ensure_ascii=False, indent=2))
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    modes = ", ".join(f"{count} to {mode}" for mode, count in found["modes"].items())
    typer.echo(f"pairs      {found['pairs']} ({modes}); {found['faulty_rows']} faulty rows")
    typer.echo(
        f"prompts    {found['prompts']}, {found['near_duplicate_prompts']} near-duplicates; "
        f"{found['repeated_pairs']} repeated pairs"
    )
    for name in ("source", "target"):
        words = found[f"{name}_words"]
        typer.echo(
            f"{name}     {words['mean']} words, median {words['median']}, "
            f"90% up to {words['90%']}, longest {words['longest']}"
        )
    adds = ", ".join(f"{kind} {share:.1%}" for kind, share in found["share_adding"].items())
    typer.echo(f"adds       {adds}")
    if found["survival"]["pairs"]:
        typer.echo(
            f"survival   {found['survival']['mean']:.1%} of the source's words stand in the target "
            f"of a rewrite; all of them in {found['survival']['all_words']:.1%}"
        )
    for title, rows in (("words", "top_target_words"), ("phrases", "top_target_phrases")):
        top = ", ".join(f"{name} {count}" for name, count in found[rows][:12])
        typer.echo(f"{title:<10} {top}")
