"""Score forecasts of other programs: folders of videos paired by name.

    python pipelines/benchmark.py truth forecasts/ours forecasts/theirs --out studies/benchmark.md

Each folder of forecasts holds one video for every video in `truth`, with the same length and frame size.
"""

import argparse
from pathlib import Path

from vidgan import compare
from vidgan.evaluation.tables import markdown_table
from vidgan.files import check_overwrite, write_text


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("forecasts", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    check_overwrite(options.out, overwrite=False)

    tables = [f"## {folder.name}\n\n{markdown_table(compare(folder, options.truth))}" for folder in options.forecasts]
    write_text(options.out, "\n\n".join(tables) + "\n")
    print(options.out)


if __name__ == "__main__":
    main()
