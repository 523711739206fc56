"""Commands that meet another process in their run folder."""

import json
from pathlib import Path

from promptlift.pairs.load import write_pairs
from promptlift.runs import Run as RunFolder
from tests.cli.conftest import Run
from tests.conftest import another_process
from tests.scoring.clip_models import draw_run
from tests.training.test_paper import PAIRS


def test_a_folder_that_another_process_works_in_is_left_alone(
    run: Run, t5v11_folder: Path, tmp_path: Path
) -> None:
    prompts, pairs = tmp_path / "prompts.jsonl", tmp_path / "pairs.jsonl"
    rows = [{"source": f"a {what}", "prompt": f"a {what}, 4k"} for what in ("cat", "dog")]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_pairs(pairs, PAIRS)
    folder = draw_run(tmp_path / "run")
    RunFolder.open(tmp_path / "other").begin("illustrating", {}, {})
    (tmp_path / "other" / "manifest.json").rename(folder / "manifest.json")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with another_process(folder, "drawn") as other:
        for line in (
            ("illustrate", "--prompts", prompts, "-o", folder),
            ("score", "--predictions", prompts, "-o", folder),
            ("score", folder, "--only", "pictures", "--metrics", "measures"),
            ("train", "--pairs", pairs, "--model", t5v11_folder, "-o", folder),
        ):
            result = run(*line)
            assert result.exit_code == 1, line
            assert result.stderr.splitlines()[-1] == (
                f"promptlift: error: {folder} is being drawn by another process "
                f"(pid {other.pid}) already; wait for it, or name another folder"
            )
    (folder / ".lock").unlink()  # of the process that was killed
    assert all(path.read_bytes() == content for path, content in before.items())
