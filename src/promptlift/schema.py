"""What options and the stages of a run were called before, so that older files are still read."""

from collections.abc import Mapping
from typing import Any

# Options of improving: receipts, journals and model cards of schema version 2 hold the old names.
OPTIONS = {
    "painters": "artists",
    "prefer": "include",
    "like": "reference",
    "variety": "diversity",
    "lock": "keep_intent",
    "budget": "max_prompt_tokens",
}
# Options of improving that version 3 did not have, with what files without them mean.
ADDED = {
    "coherent": False, "form": "tags", "picture_model": "sdxl", "best_of": 1,
    "draft_temperature": None,
}  # fmt: skip
DRAFTING = ("best_of", "draft_temperature")
_LAST_OF_DECODING = "no_repeat_ngram_size"
# Stages of a run's manifest.
STAGES = {
    "experiment": "experimenting",
    "scoring_text": "scoring-texts",
    "scoring pictures": "scoring-pictures",
}


def upgraded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under the names of today, in the same order."""
    return {OPTIONS.get(name, name): value for name, value in dict(settings).items()}


def upgraded_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a result, after them those that were not there yet as it was made."""
    found = upgraded(settings)
    if "guards" not in found:  # every version has it among its settings
        return found
    # In the order of today: those of decoding stand before those of control.
    result: dict[str, Any] = {}
    for name, value in found.items():
        result[name] = value
        if name == _LAST_OF_DECODING:
            result |= {new: ADDED[new] for new in DRAFTING if new not in found}
    return result | {name: value for name, value in ADDED.items() if name not in result}


def upgraded_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A receipt or the header of a journal, from version 2 or 3 to 4; others stay as they are."""
    if record.get("schema_version") not in (2, 3):
        return dict(record)
    found = {**upgraded_settings(record), "schema_version": 4}
    if isinstance(found.get("settings"), Mapping):
        found["settings"] = upgraded_settings(found["settings"])
    return found


def upgraded_stages(stages: Mapping[str, Any]) -> dict[str, Any]:
    """The stages of a manifest, and their settings, under the names of today."""
    found = {STAGES.get(name, name): stage for name, stage in stages.items()}
    return {
        name: {**stage, "config": upgraded(stage["config"])}
        if isinstance(stage, Mapping) and isinstance(stage.get("config"), Mapping)
        else stage
        for name, stage in found.items()
    }
