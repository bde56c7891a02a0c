"""Segment, correct and measure in one window: a page in your browser, served by this computer.

    python app.py
    python app.py --images study

The first call works on raw/test, the second on a folder tree group/animal/image; results lie in
preds/ and morphometry/, as find_myelin.py and morphometry.py write them. Every step is saved at
once into preds/<id>_mask.tif (and <id>_axon.tif, <id>_nerve.tif), decisions into exclude.csv and
classes.csv; the model's own masks are kept in preds/model/. Nothing leaves this computer, and no
other computer can open the page. docs/window.md describes the page.
"""

import argparse
from pathlib import Path

from myelin.runtime.cli import Parser, UserError, number, script


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder tree of images, group/animal/image (default: raw/test)",
    )
    parser.add_argument(
        "--port",
        type=number(int, 0, 65535),
        default=0,
        metavar="N",
        help="port of the address (default: 0, any that is free)",
    )
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="only print the address (default: open it in a browser)",
    )
    parser.add_argument(
        "--blind",
        action="store_true",
        help="show images under code names in random order, without groups, until you unblind; "
        "blind_key.csv has the names (default: as they are)",
    )
    return parser.parse_args(argv)


@script
def main(argv: list[str] | None = None) -> None:
    """Serve the window until Ctrl-C."""
    args = parse(argv)
    if args.images and not args.images.is_dir():
        raise UserError(f"--images {args.images}: no such folder, check the name")
    try:
        from myelin.app.server import serve
        from myelin.app.study import Study
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name}: not installed, run pip install -r requirements-light.txt"
        ) from None
    serve(Study(args.images, args.blind), args.port, not args.no_browser)


if __name__ == "__main__":
    main()
