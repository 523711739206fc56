"""`promptlift replay`, `show` and `stamp`: receipts made again, and carried by pictures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.cli.parameters import AsJson, Overwrite, arg, opt
from promptlift.errors import InputError
from promptlift.files import check_new
from promptlift.llm.config import LLMConfig
from promptlift.options import takes
from promptlift.pictures import id_of


@takes(LLMConfig, "llm")
def replay(
    receipt: Annotated[Path, arg("JSON of `improve --json`, or a PNG that carries a receipt.")],
    model: Annotated[
        str | None,
        opt(
            "The model that made it [the bundled one where that did, or the default one].",
            "--model",
            "-m",
        ),
    ] = None,
    llm: Any = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Make an improvement again from its receipt, and say whether it is the same.

    Exits with 1 where it is not.

    Example:

      promptlift improve "a cat in armor" --json > receipt.json

      promptlift replay receipt.json
    """
    different = 0
    with guarded():
        from promptlift.improving.improver import Improver
        from promptlift.improving.receipts import bundled_of, read_receipts
        from promptlift.improving.receipts import replay as make_again

        receipts = read_receipts(receipt)
        # Where nothing else is asked for, the environment does not keep it from the bundled model.
        known = bundled_of(receipts) if model is None and "llm_url" not in llm else None
        improver = Improver.load(known or model, **llm)
        for recorded in receipts:
            result = make_again(recorded, improver)
            different += not result.same
            if as_json:
                again, same = result.again.to_dict(), result.same
                print(json.dumps({"same": same, "versions": result.versions, "again": again}))
                continue
            print(f"{'same' if result.same else 'DIFFERENT'}: {result.again.prompt}")
            if not result.same:
                print(f"recorded:  {recorded.prompt}")
            for name, (then, now) in result.versions.items():
                say(f"{name} was {then} and is {now}")
        if (asked := improver.model.requests) is not None:
            say(
                f"{asked} requests to the server, which promises no answer twice"
                if asked
                else "the cache repeated the server's answers; --no-llm-cache asks it again"
            )
    if different:
        raise typer.Exit(FAILED)


def show(
    picture: Annotated[Path, arg("A PNG, JPEG or WebP picture.")],
    as_json: AsJson = False,
) -> None:
    """Show what a picture says of its prompt: promptlift's receipt, and what its tool wrote.

    It reads the texts of A1111 and the tools that follow it, SwarmUI, Fooocus, InvokeAI, NovelAI
    and ComfyUI.

    Example:

      promptlift show picture.png
    """
    with guarded():
        from promptlift.improving.picture_prompts import TOOLS, picture_prompt
        from promptlift.improving.receipts import KEYWORD, parse_receipt
        from promptlift.picture_texts import picture_texts

        texts = picture_texts(picture.read_bytes(), f"{picture}")
        found: dict[str, Any] = {"receipt": None, "parameters": None}
        if KEYWORD in texts:
            found["receipt"] = parse_receipt(texts[KEYWORD], f"{picture}").to_dict()
            # What `illustrate` adds: how the picture was drawn.
            if drawing := json.loads(texts[KEYWORD]).get("drawing"):
                found["drawing"] = drawing
        said = picture_prompt(texts)
        if said:
            found["parameters"] = asdict(said)
        if not found["receipt"]:
            if not said:
                raise InputError(
                    f"{picture} carries neither a receipt nor a prompt of {', '.join(TOOLS)}"
                )
            if not (said.prompt or said.negative or said.settings):
                raise InputError(f"{picture} carries no prompt: {'; '.join(said.notes)}")
        print(json.dumps(found) if as_json else _text(found))


def stamp(
    picture: Annotated[Path, arg("A PNG picture.")],
    receipt: Annotated[Path, opt("The receipt of its prompt.", "--receipt")],
    output: Annotated[Path | None, opt("Where to write it [over it].", "--output", "-o")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a receipt, and A1111's parameters where they are missing, into a PNG.

    Pixels and all other chunks stay as they are.

    Example:

      promptlift stamp picture.png --receipt receipt.json
    """
    with guarded():
        from promptlift.improving.receipts import (
            A1111_KEYWORD,
            KEYWORD,
            a1111_parameters,
            read_receipts,
            receipt_text,
        )
        from promptlift.png_text import read_png_text, write_png_text

        check_new([output], overwrite=overwrite)
        receipts = read_receipts(receipt)
        if len(receipts) > 1:
            raise InputError(f"{receipt} holds {len(receipts)} receipts; give the one of {picture}")
        texts = {KEYWORD: receipt_text(receipts[0])}
        if A1111_KEYWORD not in read_png_text(picture):
            texts[A1111_KEYWORD] = a1111_parameters(receipts[0])
        write_png_text(picture, texts, output)
        say(f"{output or picture} carries the receipt of {receipts[0].model}")


def _text(found: dict[str, Any]) -> str:
    """What a picture carries, a line a fact; facts without a value are left out."""
    rows: list[tuple[str, Any]] = []
    if receipt := found["receipt"]:
        variant = f", variant {receipt['variant']}" if receipt["variant"] else ""
        rows += [
            ("prompt", receipt["prompt"]),
            ("source", receipt["source"]),
            ("negative", receipt["negative"]),
            ("made by", f"{receipt['model']}, {receipt['mode']}, seed {receipt['seed']}{variant}"),
            ("tokens", str(receipt["clip_tokens"])),
            *(("left out", f"{item['phrase']} ({item['reason']})") for item in receipt["dropped"]),
            *(("note", note) for note in receipt["notes"]),
            *(("check", f"{name}: {_outcome(of)}") for name, of in receipt["checks"].items()),
        ]
    if drawing := found.get("drawing"):
        model = " + ".join(map(id_of, drawing["model"]))
        cut = drawing["cut_tokens"]
        rows += [
            ("drawn by", f"{model}, {drawing['side']}, seed {drawing['seed']}"),
            ("cut", cut and f"{cut} tokens: {drawing['cut']}"),
            *(("note", note) for note in drawing["notes"]),
        ]
    if parameters := found["parameters"]:
        settings = (f"{key}: {value}" for key, value in parameters["settings"].items())
        rows += [
            (parameters["tool"], parameters["prompt"].replace("\n", "\n          ")),
            ("negative", parameters["negative"]),
            *(("", setting) for setting in settings),
            *(("note", note) for note in parameters["notes"]),
        ]
    return "\n".join(f"{name:<9} {value}" for name, value in rows if value)


def _outcome(outcome: Any) -> str:
    return ", ".join(outcome) if isinstance(outcome, list) and outcome else str(outcome or "none")
