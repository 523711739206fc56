"""What scores were measured with: encoder, layer, WordNet, and what was noted."""

from collections.abc import Iterable, Mapping

from promptlift.reporting.run_files import Row

_KINDS = {"bertscore": "BERTScore", "meteor": "METEOR"}


def measured_with(score: Row) -> str:
    """What a score depends on besides the texts, in words; empty where there is nothing to note."""
    settings = score.get("settings") or {}
    said = []
    if "encoder" in settings:
        said.append(f"encoder {settings['encoder']}, layer {settings.get('layer', 'not recorded')}")
    if settings.get("wordnet") is False:
        said.append(f"{settings.get('matches', 'exact and stem only')}, as WordNet was not found")
    if settings.get("note"):
        said.append(str(settings["note"]))
    return "; ".join(said)


def all_measured_with(scores: Iterable[Row], titles: Mapping[str, str]) -> list[str]:
    """A line for each way of measuring, which begins with the metrics that were measured so."""
    noted: dict[str, dict[str, None]] = {}
    for score in scores:
        if said := measured_with(score):
            name = str(score["metric"])
            kind = next((title for start, title in _KINDS.items() if name.startswith(start)), None)
            noted.setdefault(said, {})[kind or titles.get(name, name)] = None
    return [f"{', '.join(names)}: {said}." for said, names in noted.items()]


def sentence(said: str) -> str:
    """Words as a sentence that follows others; empty where there are none."""
    return f" {said[0].upper()}{said[1:]}." if said else ""
