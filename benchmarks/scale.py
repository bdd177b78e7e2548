"""Prints the tables of the paper on scale, and draws its picture: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale_model import MEASURED, order, picture, read_units, table
from benchmarks.scale_simulation import told


def main(arguments: Sequence[str]) -> None:
    """Print the tables; with `--picture FILE` draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument(
        "results", type=Path, nargs="?", default=MEASURED, help="what `./dev bench units --full --json` said"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    units = read_units(options.results)
    if options.picture is not None:
        options.picture.write_text(picture(units), encoding="utf-8")
    sys.stdout.write(f"{table(units)}\n\n{order(units)}\n\n{told(units)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
