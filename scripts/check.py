"""All checks: format, lint, types, tests, docs examples; `--coverage` as CI runs them."""

import argparse
import subprocess
import sys
import time

CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("tests", ["pytest", "-n", "auto"]),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="Measure it, and hold it to its floor: takes a third longer.",
    )
    coverage = parser.parse_args().coverage
    for name, command in CHECKS:
        if coverage and name == "tests":
            command = [*command, "--cov", "--cov-report=term"]
        started = time.monotonic()
        print(f"== {name}: {' '.join(command)}", flush=True)
        status = subprocess.run([sys.executable, "-m", *command]).returncode
        print(f"== {name} took {time.monotonic() - started:.0f} s", flush=True)
        if status:
            sys.exit(status)


if __name__ == "__main__":
    main()
