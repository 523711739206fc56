"""What a sweep adds to each trial: claiming, proposing and telling, with trials that do nothing.

python -m benchmarks.sweeping.overhead [SETTINGS]
"""

import sys
import tempfile
import time
from pathlib import Path

from promptlift.sweeping.config import load_sweep
from promptlift.sweeping.journal import Journal

SEEDS = 3


def main(settings: int) -> None:
    """Print seconds a trial, on the clock and of processor time, for each third of the sweep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "sweep.toml"
        text = Path("src/promptlift/sweeping/pocket-learning-rate.toml").read_text("utf-8")
        file.write_text(text.replace("settings = 6", f"settings = {settings}"), "utf-8")
        sweep = load_sweep(str(file))
        assert sweep.trials == settings * SEEDS
        journal = Journal(folder)
        part = sweep.trials // 3
        for first in range(0, 3 * part, part):
            clock, processor = time.perf_counter(), time.process_time()
            for _ in range(part):
                with journal.claimed(sweep) as trial:
                    assert trial is not None
                    journal.note(trial, [2.0, 1.0])
                    journal.tell(trial, "complete", 1.0 + trial.setting["train.learning_rate"])
            clock, processor = time.perf_counter() - clock, time.process_time() - processor
            print(
                f"trials {first} to {first + part - 1}: {1000 * clock / part:.0f} ms on the clock, "
                f"{1000 * processor / part:.0f} ms of processor time a trial"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
