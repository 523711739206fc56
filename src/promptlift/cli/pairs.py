"""`promptlift pairs`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.records import Pair

if TYPE_CHECKING:
    from promptlift.tables import Fault

API_KEY_VARIABLE = "PROMPTLIFT_LLM_API_KEY"
_SHOWN = 20  # faults on the terminal; all of them are counted, and written where asked for

app = typer.Typer(help="Make training pairs.", rich_markup_mode=None, no_args_is_help=True)

_Source = Annotated[str | None, typer.Option(help="Column of the sources.", show_default=False)]
_Mode = Annotated[
    str, typer.Option(help="What pairs without a column `mode` are for: rewrite or extend.")
]
_Target = Annotated[str | None, typer.Option(help="Column of the targets.", show_default=False)]


class _Faults:
    """Names the first faulty rows on the terminal, and keeps and counts all of them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(self, path: Path, fault: "Fault") -> None:
        self.rows.append({"file": str(path), "line": fault.number, "fault": fault.message})
        if len(self.rows) <= _SHOWN:
            say(f"{path} line {fault.number}: {fault.message}")

    def summary(self, hint: str = "") -> str:
        if len(self.rows) > _SHOWN:
            say(f"… and {len(self.rows) - _SHOWN} more faulty rows{hint}")
        return f"{len(self.rows)} faulty rows left out"


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
    with guarded(
        "interrupted; answers are kept, the same command goes on" if llm_url else "interrupted"
    ):
        from promptlift.errors import ConfigError, InputError
        from promptlift.files import check_overwrites
        from promptlift.pairs.build import FORMS, build_pairs, keep_one_of_each, paraphrased_pairs
        from promptlift.pairs.clean import KEPT, cap_phrases
        from promptlift.pairs.load import load_prompts, write_pairs
        from promptlift.pairs.paraphrase import ParaphraseConfig
        from promptlift.tables import Fault, check_output_ending

        check_output_ending(output)
        check_overwrites([output], prompts)
        if cuts < 0:
            raise ConfigError(f"--cuts is {cuts} and must be 0 or more")
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
        faults, read, fruitless = _Faults(), 0, 0

        def texts() -> Iterator[str]:
            nonlocal read
            for path in prompts:
                for row in load_prompts(path, column=column, exclude_source=exclude_source or []):
                    if isinstance(row, Fault):
                        faults.add(path, row)
                    else:
                        read += 1
                        yield str(row.value)

        cut = 0

        def watched(found: Iterable[str]) -> Iterator[str]:
            nonlocal fruitless
            for prompt in found:
                before = cut
                yield prompt  # comes back when all its pairs are made
                fruitless += cut == before

        def cut_pairs() -> Iterator[Pair]:
            nonlocal cut
            found: Iterable[str] = texts()
            if drop_near or asking:  # both need the prompts twice
                found = every = list(found)
                if drop_near:
                    found = every = keep_one_of_each(every)
                    say(f"{len(every)} prompts after dropping near-duplicates")
            for pair in build_pairs(
                watched(found), keep=keep, cuts=cuts, seed=seed, forms=form or ["head"]
            ):
                cut += 1
                yield pair
            if asking:
                journal = output.with_name(output.name + ".answers.jsonl")
                for answered in paraphrased_pairs(every, asking, journal, keep=keep, report=say):
                    if isinstance(answered, Pair):
                        yield answered

        written: Counter[str] = Counter()

        def counted() -> Iterator[Pair]:
            made: Iterable[Pair] = cut_pairs()
            if max_share < 1:
                made = cap_phrases(list(made), max_share, seed=seed)
            for pair in made:
                written[pair.mode] += 1
                yield pair
            if not written:
                raise InputError(f"{read} prompts gave no pairs; nothing was written")

        write_pairs(output, counted())
        summary = ", ".join(f"{count} to {mode}" for mode, count in sorted(written.items()))
        say(
            f"{summary} in {output}, from {read} prompts; {fruitless} gave no pair; "
            + faults.summary()
        )


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
    mode: _Mode = "rewrite",
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
        from promptlift.errors import InputError
        from promptlift.files import check_overwrites
        from promptlift.pairs.datasets import find_files
        from promptlift.pairs.load import load_pairs, write_pairs
        from promptlift.tables import Fault, check_output_ending, write_rows

        check_output_ending(output)
        if faults is not None:
            check_output_ending(faults)
        files = find_files(name, split, offline=offline)
        check_overwrites([output, faults], files)
        columns = _columns(source, target, mode)
        found, kept = _Faults(), 0

        def sound() -> Iterator[Pair]:
            nonlocal kept
            for path in files:
                for pair in load_pairs(path, **columns, check=True, report=say):
                    if isinstance(pair, Fault):
                        found.add(path, pair)
                    else:
                        kept += 1
                        yield pair
            if faults is not None:
                write_rows(faults, found.rows, ("file", "line", "fault"))
            if not kept:
                raise InputError(f"{name} holds no sound pair; {output} was not written")

        write_pairs(output, sound())
        say(f"{kept} pairs in {output}; " + found.summary("; --faults FILE writes all"))


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
    mode: _Mode = "rewrite",
) -> None:
    """Split pairs into train.jsonl and test.jsonl; near-duplicates stay on one side.

    Writes split.json too: counts, settings, and how close the closest test prompt is to any
    training prompt.

    Example:

      promptlift pairs split pairs.jsonl --output split
    """
    with guarded():
        from promptlift.errors import ConfigError
        from promptlift.files import check_overwrites, sha256_of_file, write_json
        from promptlift.pairs.load import load_pairs, write_pairs
        from promptlift.pairs.near import THRESHOLD
        from promptlift.pairs.split import LONG_TARGET, SEARCHED_FROM, split_pairs

        if not 0 < test_share < 1:
            raise ConfigError(f"--test-share is {test_share} and must lie between 0 and 1")
        train_file, test_file = output / "train.jsonl", output / "test.jsonl"
        check_overwrites([train_file, test_file], [pairs])
        digest = sha256_of_file(pairs)
        sound, faults = _all_of(
            load_pairs(pairs, **_columns(source, target, mode), report=say), pairs
        )
        sides = split_pairs(sound, test_share=test_share, seed=seed)
        write_pairs(train_file, sides.train)
        write_pairs(test_file, sides.test)
        write_json(
            output / "split.json",
            {
                "schema_version": 1,
                "pairs": pairs.name,
                "sha256": digest,
                "seed": seed,
                "test_share": test_share,
                "threshold": THRESHOLD,
                "train": len(sides.train),
                "test": len(sides.test),
                "left_out": len(sides.left_out),
                "faulty": len(faults.rows),
                "closest": sides.closest,
                "closest_prompts": sides.closest_prompts,
                "closest_target": sides.closest_target,
                "closest_targets": sides.closest_targets,
                "long_target_words": LONG_TARGET,
                "searched_from": SEARCHED_FROM,
            },
        )
        say(
            f"{len(sides.train)} pairs to train, {len(sides.test)} to test in {output}; "
            f"{len(sides.left_out)} left out whose long target is almost one to train. Across, the "
            f"closest two prompts are {sides.closest:.2f} alike, the closest two long targets "
            f"{sides.closest_target:.2f}, below {THRESHOLD}; " + faults.summary()
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
    mode: _Mode = "rewrite",
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

        sound, faults = _all_of(
            load_pairs(pairs, **_columns(source, target, mode), report=say), pairs
        )
        if not sound:
            raise InputError(f"{pairs} holds no pairs.")
        found = {**describe_pairs(sound), "faulty_rows": len(faults.rows)}
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            write_json(output / "description.json", found)
            write_pairs_page(found, pairs.name, output / "page.html")
            say(f"description.json and page.html in {output}")
        if json:
            typer.echo(json_module.dumps(found, ensure_ascii=False, indent=2))
        else:
            _show(found)


def _columns(source: str | None, target: str | None, mode: str) -> dict[str, Any]:
    from promptlift.errors import ConfigError
    from promptlift.pairs.load import MODES

    if mode not in MODES:
        raise ConfigError(f"--mode is {mode!r} and must be one of {', '.join(MODES)}")
    return {"source": source, "target": target, "mode": mode}


def _all_of(rows: "Iterable[Pair | Fault]", path: Path) -> tuple[list[Pair], _Faults]:
    sound, faults = [], _Faults()
    for row in rows:
        if isinstance(row, Pair):
            sound.append(row)
        else:
            faults.add(path, row)
    return sound, faults


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
