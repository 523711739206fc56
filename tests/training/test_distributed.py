"""Two processes learn what one learns with the same total batch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from promptlift.pairs.load import write_pairs
from promptlift.training.distributed import Processes, launched
from tests.training.test_paper import PAIRS, VALIDATION

SETTINGS = {
    "preset": "paper-exact", "epochs": 2, "gradient-accumulation-steps": 1, "dropout-rate": 0,
    "logging-steps": 1, "precision": "fp32", "learning-rate": 1e-3, "training-sample": 8,
    "evaluation-decoding": "none", "save-steps": 2,
}  # fmt: skip
ALONE = [sys.executable, "-m", "promptlift"]
TORCHRUN = [
    sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
    "-m", "promptlift",
]  # fmt: skip
ACCELERATE = [
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
    "--main_process_port", "0", "-m", "promptlift",
]  # fmt: skip


def test_a_process_alone_has_nobody_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Processes()
    alone.wait()
    assert alone.main and alone.any(True) and alone.from_main("a") == "a"
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched() == Processes(1, 2) and not launched().main


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "launcher"), [("t5v11_folder", TORCHRUN), ("llama_folder", ACCELERATE)]
)
def test_two_processes_learn_what_one_learns(
    kind: str, launcher: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    # A multiple of the batch: else the last batch of an epoch is filled up from its beginning.
    write_pairs(tmp_path / "pairs.jsonl", PAIRS[:24])
    write_pairs(tmp_path / "validation.jsonl", [*VALIDATION, *VALIDATION[:3]])
    flags = [part for name, value in SETTINGS.items() for part in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, command, size in (("one", ALONE, 8), ("two", launcher, 4)):
        subprocess.run(
            [
                *command, "train", "--model", str(folder), *flags,
                "--batch-size", str(size), "--eval-batch-size", "2",
                "--pairs", str(tmp_path / "pairs.jsonl"),
                "--validation", str(tmp_path / "validation.jsonl"),
                "--output", str(tmp_path / name),
            ],
            env=environment, check=True, capture_output=True, timeout=300,
        )  # fmt: skip
    logs = []
    for name in ("one", "two"):
        with (tmp_path / name / "log.csv").open() as file:
            logs.append(list(csv.DictReader(file)))
    assert len(logs[0]) == 6 + 2
    for one, two in zip(*logs, strict=True):
        for column in ("step", "loss", "eval_loss", "training_sample_loss"):
            if one[column]:
                assert float(two[column]) == pytest.approx(float(one[column]), abs=1e-4)
    first, second = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")
    )
    for key, weight in first.items():
        assert torch.allclose(weight, second[key], atol=1e-4), key
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["stages"]["training"]["state"] == "done"
