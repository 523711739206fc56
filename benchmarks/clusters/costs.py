"""What so many prompts cost, calculated from measured rates: the table of docs/scale.md.

    python -m benchmarks.clusters.costs --rate 6.4 --start 3.1 --ray-start 12.9 --ray-share 0.95
        --bytes 900

Nothing is measured here. A core works as one thread does, beside others or not; a cluster has 10
machines of 16 cores, each core an actor that loses what Ray costs; starting is counted once.
"""

import argparse

CORES, MACHINES = 16, 10
SIZES = [10**power for power in range(3, 9)]
_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))
_BYTES = ((10**9, "GB"), (10**6, "MB"))


def said(amount: float, units: tuple[tuple[int, str], ...]) -> str:
    """An amount in the largest unit of which it has two, or in the smallest."""
    size, name = next((unit for unit in units if amount >= 2 * unit[0]), units[-1])
    return f"{number(amount / size)} {name}"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rate", type=float, required=True, help="Prompts a second and thread.")
    parser.add_argument("--start", type=float, required=True, help="Seconds to the first prompt.")
    parser.add_argument("--ray-start", type=float, required=True, help="The same with a cluster.")
    parser.add_argument(
        "--ray-share", type=float, required=True, help="Of the rate that Ray leaves."
    )
    parser.add_argument("--bytes", type=float, required=True, help="Of a result, in Parquet.")
    args = parser.parse_args()
    heads = ["prompts", "2 cores", "a machine of 16 cores", "10 such machines, Ray"]
    print(f"| {' | '.join([*heads, 'core hours', 'results'])} |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for rows in SIZES:
        alone = [args.start + rows / (args.rate * cores) for cores in (2, CORES)]
        spread = args.ray_start + rows / (args.rate * args.ray_share * CORES * MACHINES)
        hours = rows / args.rate / 3600
        cells = [said(seconds, _UNITS) for seconds in (*alone, spread)]
        cells += [number(hours), said(rows * args.bytes, _BYTES)]
        print(f"| {rows:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
