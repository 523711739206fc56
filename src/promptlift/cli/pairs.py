"""`promptlift pairs`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from promptlift.cli.door import guarded, say
from promptlift.records import Pair

if TYPE_CHECKING:
    from promptlift.tables import Fault, Row

T = TypeVar("T")
API_KEY_VARIABLE = "PROMPTLIFT_LLM_API_KEY"
_SHOWN = 20  # faults on the terminal; all of them are counted, and written where asked for

app = typer.Typer(help="Make training pairs.", rich_markup_mode=None, no_args_is_help=True)

_Source = Annotated[str | None, typer.Option(help="Column of the sources.", show_default=False)]
_Mode = Annotated[
    str, typer.Option(help="What pairs without a column `mode` are for: rewrite or extend.")
]
_KeepUnfit = Annotated[
    bool,
    typer.Option(
        "--keep-unfit",
        help="Keep texts that are no prompts: nan, refusals, prefaces and fences of a chat, "
        "settings, negative prompts, flags, tags, JSON.",
    ),
]
_Target = Annotated[str | None, typer.Option(help="Column of the targets.", show_default=False)]


class _Faults:
    """Names the first faulty rows on the terminal, and keeps and counts all of them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.unfit: Counter[str] = Counter()

    def sound(self, path: Path, rows: "Iterable[T | Fault]") -> Iterator[T]:
        """The rows of a file that are none."""
        from promptlift.pairs.load import Unfit
        from promptlift.tables import Fault

        for row in rows:
            if not isinstance(row, Fault):
                yield row
                continue
            if isinstance(row, Unfit):
                self.unfit[row.kind] += 1
            self.rows.append({"file": str(path), "line": row.number, "fault": row.message})
            if len(self.rows) <= _SHOWN:
                say(f"{path} line {row.number}: {row.message}")

    def summary(self, hint: str = "") -> str:
        if len(self.rows) > _SHOWN:
            say(f"… and {len(self.rows) - _SHOWN} more faulty rows{hint}")
        if not self.unfit:
            return f"{len(self.rows)} faulty rows left out"
        from promptlift.pairs.unfit import counted

        return (
            f"{len(self.rows)} faulty rows left out, of them no prompts to learn: "
            f"{counted(self.unfit)} (--keep-unfit keeps those)"
        )


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
    keep_unfit: _KeepUnfit = False,
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
        from promptlift.errors import ConfigError
        from promptlift.files import check_overwrites
        from promptlift.pairs.build import BuildConfig, build_file
        from promptlift.pairs.load import fit_prompts, load_prompts
        from promptlift.pairs.paraphrase import ParaphraseConfig
        from promptlift.tables import check_output_ending

        check_output_ending(output)
        check_overwrites([output], prompts)
        config = BuildConfig(
            keep=keep, cuts=cuts, seed=seed, forms=tuple(form or ["head"]),
            drop_near=drop_near, max_share=max_share,
        )  # fmt: skip
        if (llm_url is None) != (llm_model is None):
            raise ConfigError("--llm-url and --llm-model go together")
        asking = None
        if llm_url and llm_model:
            asking = ParaphraseConfig(
                url=llm_url, model=llm_model, api_key=os.environ.get(API_KEY_VARIABLE) or None,
                concurrency=llm_concurrency, max_requests=llm_max_requests,
            )  # fmt: skip
        faults = _Faults()

        def rows_of(path: Path) -> "Iterator[Row | Fault]":
            rows = load_prompts(
                path, column=column, exclude_source=exclude_source or [], report=say
            )
            return rows if keep_unfit else fit_prompts(rows)

        texts = (str(row.value) for path in prompts for row in faults.sound(path, rows_of(path)))
        built = build_file(texts, output, config, asking=asking, report=say)
        summary = ", ".join(f"{count} to {mode}" for mode, count in sorted(built.pairs.items()))
        say(
            f"{summary} in {output}, from {built.prompts} prompts; {built.fruitless} gave no pair; "
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
    keep_unfit: _KeepUnfit = False,
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
        from promptlift.tables import check_output_ending, write_rows

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
                rows = load_pairs(
                    path, **columns, check=True, drop_unfit=not keep_unfit, report=say
                )
                for pair in found.sound(path, rows):
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
    keep_unfit: _KeepUnfit = False,
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
        faults = _Faults()
        rows = load_pairs(
            pairs, **_columns(source, target, mode), drop_unfit=not keep_unfit, report=say
        )
        sound = list(faults.sound(pairs, rows))
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

        faults = _Faults()
        rows = load_pairs(pairs, **_columns(source, target, mode), report=say)
        sound = list(faults.sound(pairs, rows))
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
