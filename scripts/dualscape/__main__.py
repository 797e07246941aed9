"""The command line: python3 -m dualscape figures|summary RESULT.h5."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .figures import save_all
from .node import ResultError
from .reader import Result
from .summary import summarise

# The exit codes of the program dualscape itself; argparse leaves with 2 on bad usage.
DATA_ERROR = 3
WRITE_ERROR = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        The words after the program's name; those of this process by default.

    Returns
    -------
    int
        The exit code: 0, 3 for a file that cannot be used, 4 when nothing could be written.
    """
    options = _parser().parse_args(arguments)
    try:
        with Result(options.result) as result:
            options.run(result, options)
    except ResultError as error:
        return _fail(str(error), DATA_ERROR)
    except OSError as error:
        return _fail(f"cannot write: {error}", WRITE_ERROR)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"dualscape: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dualscape",
                                     description="Plot or sum up a result of dualscape.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    figures = commands.add_parser("figures", help="save the figures of a result")
    figures.add_argument("result", metavar="RESULT.h5", type=Path)
    figures.add_argument("--output", metavar="DIR", type=Path,
                         help="folder of the figures (default: that of the result)")
    figures.add_argument("--format", choices=("png", "pdf", "svg"), default="png",
                         help="format of the files (default: %(default)s)")
    figures.set_defaults(run=_figures)
    summary = commands.add_parser("summary", help="print the main numbers of a result")
    summary.add_argument("result", metavar="RESULT.h5", type=Path)
    summary.set_defaults(run=_summary)
    return parser


def _figures(result: Result, options: argparse.Namespace) -> None:
    for path in save_all(result, options.output or options.result.parent, options.format):
        print(path)


def _summary(result: Result, options: argparse.Namespace) -> None:
    print(summarise(result))


if __name__ == "__main__":
    sys.exit(main())
