"""`promptlift pick`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, go_offline, guarded, say
from promptlift.cli.parameters import ModelName, TorchThreads, arg, opt
from promptlift.errors import ConfigError
from promptlift.files import check_overwrites
from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.config import ControlConfig
from promptlift.llm.config import LLMConfig
from promptlift.options import takes
from promptlift.picking.config import SEEDS, PickConfig
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.tables import check_output_ending

_CONTROLS = (
    "form", "diversity", "length", "artists", "styles", "style", "avoid", "include", "force",
    "picture_model",
)  # fmt: skip
_SCORES = ("clip", "wants", "preference", "aesthetic", "aesthetic_clip", "tie")


@takes(PickConfig, "picking")
@takes(LLMConfig, "llm")
@takes(ControlConfig, "control", only=_CONTROLS)
@takes(
    IllustrationConfig,
    "drawing",
    renamed={"model": "picture_model", "seed": "picture_seed"},
    defaults={"seeds": SEEDS},
)
@takes(PictureScoringConfig, "scoring", only=_SCORES)
def pick(
    prompts: Annotated[list[str] | None, arg("Prompts to improve.")] = None,
    input: Annotated[
        list[Path] | None,
        opt("File of prompts (txt, jsonl, json, csv, tsv, parquet).", "--input", "-i"),
    ] = None,
    column: Annotated[str | None, opt("Column of the prompts in the file [prompt].")] = None,
    output: Annotated[Path | None, opt("Run folder, made or gone on.", "--output", "-o")] = None,
    pairs: Annotated[
        Path | None, opt("Also write the choices as pairs that train --pairs reads.")
    ] = None,
    model: ModelName = None,
    llm: Any = None,
    threads: TorchThreads = None,
    score_device: Annotated[
        str | None, opt("Device of the metric's model [that of --device].")
    ] = None,
    picking: Any = None,
    control: Any = None,
    drawing: Any = None,
    scoring: Any = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line a prompt.")] = False,
) -> None:
    """Improve prompts, draw them, and keep the one that draws best; the same command goes on.

    Prints the prompt to use, the original where no gain is clear, and on stderr the evidence.

    Examples:

      promptlift pick "a cat in armor" -n 4 --seeds 4 --picture-model sdxl-turbo -o runs/cat

      promptlift pick --input prompts.txt -o runs/best --confirm-seeds 4 --pairs better.jsonl
    """
    with guarded("interrupted; the same command goes on"):
        files = input or []
        if not prompts and not files:
            raise ConfigError(
                'nothing to pick for. Give prompts ("a cat in armor") or --input FILE'
            )
        if output is None:
            raise ConfigError("name the run folder with --output RUN: the pictures go there")
        if pairs is not None:
            check_output_ending(pairs)
            check_overwrites([pairs], files)
        config = PickConfig(**picking, improving=control)
        illustration = IllustrationConfig.resolve(**{"seeds": SEEDS, **drawing})
        device = score_device or drawing.get("device") or PictureScoringConfig.device
        scored = PictureScoringConfig(**scoring, device=device, offline=illustration.offline)
        go_offline(illustration.offline)

        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.improving.batch import PromptSource
        from promptlift.improving.improver import Improver
        from promptlift.picking.pick import pick as pick_best
        from promptlift.picking.picks import read_picks, write_pick_pairs
        from promptlift.picking.scores import check_metric

        check_metric(config.metric)
        improver = Improver.load(model, threads=threads, **llm)
        counts = pick_best(
            output,
            PromptSource(prompts=prompts or [], files=files, column=column, report=say),
            improver=improver,
            illustrator=Illustrator.of(illustration, say),
            config=config,
            scoring=scored,
            threads=threads,
            report=say,
        )
        for row in read_picks(output):
            if not as_json:
                say(_evidence(row))
            shown = json.dumps(row) if as_json else " ".join(row["prompt"].splitlines())
            print(shown, flush=True)
        say(_summary(counts, output))
        if pairs is not None:
            say(f"pairs in {pairs}: {write_pick_pairs(output, pairs)}")
    if counts["failed"] or counts.get("refused"):
        raise typer.Exit(FAILED)


def _evidence(row: Mapping[str, Any]) -> str:
    """Why a prompt was chosen, in a line."""
    name = row["source"][:40]
    if row["gain"] is None:
        return f"{name}: original kept, {row['reason']}"
    best = f"variant {row['best_variant']}, best of {row['best_of']}"
    gain = f"{_gain(row)} in {row['metric']['name']}, {len(row['seeds'])} seeds"
    if row["choice"] == "original":
        return f"{name}: original kept, {row['reason']} ({best}: {gain})"
    taken = "" if row["clear"] else f", taken all the same: {row['reason']}"
    if (found := row["confirmation"]) is None:
        more = "optimistic, as it was chosen by it; --confirm-seeds measures anew"
    else:
        more = f"from {len(found['seeds'])} fresh seeds {_gain(found)}"
        more += ", confirmed" if found["confirmed"] else ", not clear there"
    return f"{name}: {best}, {gain}{taken}; {more}"


def _gain(found: Mapping[str, Any]) -> str:
    least = "" if found["low"] is None else f" (at least {found['low']:+.3g})"
    return f"{found['gain']:+.3g}{least}"


def _summary(counts: Mapping[str, Any], output: Path) -> str:
    line = f"{counts['improved']} of {counts['prompts']} prompts improved"
    if "confirmed" in counts:
        line += f", {counts['confirmed']} of them confirmed"
    if counts.get("refused"):
        line += f", a picture refused for {counts['refused']} prompts and seeds"
    if counts["failed"]:
        line += f", {counts['failed']} failed"
    return f"{line}; picks in {output / 'picks.jsonl'}"
