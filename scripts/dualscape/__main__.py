"""The command line: python3 -m dualscape figures|summary|table|report PATH."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .figures import UnknownFigure, save_all
from .node import ResultError
from .opening import open_any
from .reader import Result
from .report import write_report
from .study import Study
from .summary import summarise, summarise_study

# The exit codes of the program dualscape itself; argparse leaves with 2 on bad usage.
USAGE_ERROR = 2
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
        The exit code: 0, 2 for a figure that is not there, 3 for a file that cannot be used, 4
        when nothing could be written.
    """
    options = _parser().parse_args(arguments)
    try:
        with open_any(options.path) as file:
            options.run(file, options)
    except ResultError as error:
        return _fail(str(error), DATA_ERROR)
    except UnknownFigure as error:
        return _fail(str(error), USAGE_ERROR)
    except OSError as error:
        return _fail(f"cannot write: {error}", WRITE_ERROR)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"dualscape: {' '.join(message.splitlines())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dualscape",
                                     description="Plot or sum up a result or a study of dualscape.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    figures = _command(commands, "figures", "save all figures there is data for", _figures)
    figures.add_argument("--output", metavar="DIR", type=Path,
                         help="folder of the figures (default: that of the file)")
    figures.add_argument("--format", choices=("png", "pdf", "svg"), default="png",
                         help="format of the files (default: %(default)s)")
    figures.add_argument("--only", metavar="NAME", action="append",
                         help="only this figure, or these of a kind: contributions-dense2, or "
                              "contributions; may be repeated")
    figures.add_argument("--csv", action="store_true",
                         help="write the data of each figure beside it")
    _command(commands, "summary", "print the main numbers", _summary)
    table = _command(commands, "table", "write the runs of a study as CSV", _table)
    table.add_argument("--output", metavar="FILE.csv", type=Path,
                       help="the file (default: standard output)")
    table.add_argument("--means", action="store_true",
                       help="a line a point, with mean, deviation, error and count of each number")
    report = _command(commands, "report", "write one HTML page with all there is", _report)
    report.add_argument("--output", metavar="FILE.html", type=Path,
                        help="the page (default: report.html beside the file)")
    return parser


def _command(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str,
             run: object) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.add_argument("path", metavar="PATH", type=Path,
                         help="a result.h5 or study.h5, or the folder that holds one")
    command.set_defaults(run=run)
    return command


def _figures(file: Result | Study, options: argparse.Namespace) -> None:
    for path in save_all(file, options.output or file.path.parent, options.format, options.only,
                         options.csv):
        print(path)


def _summary(file: Result | Study, options: argparse.Namespace) -> None:
    print(summarise_study(file) if isinstance(file, Study) else summarise(file))


def _table(file: Result | Study, options: argparse.Namespace) -> None:
    if not isinstance(file, Study):
        raise ResultError(f"'{file.path}' holds a single run: 'table' needs a study.h5")
    table = file.means if options.means else file.table
    if options.output is None:
        table.write_csv(sys.stdout)
    else:
        print(table.save_csv(options.output))


def _report(file: Result | Study, options: argparse.Namespace) -> None:
    print(write_report(file, options.output or file.path.parent / "report.html"))


if __name__ == "__main__":
    sys.exit(main())
