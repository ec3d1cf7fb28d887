"""The command line: `python -m blg561 books|train|evaluate|generate|pronounce|grade`.

The commands are in `blg561.commands`.
"""

import argparse
import errno
import io
import os
import sys
import traceback

import blg561
from blg561.commands import books, evaluate, generate, grade, pronounce, train
from blg561.commands.options import PROGRAM
from blg561.errors import InputError, TrainingDiverged

EXIT_CODES = (
    "exit codes: 0 done; 1 the training diverged; 2 the input cannot be used; 3 a fault of the "
    "program, with its traceback; 130 interrupted by Ctrl-C; 141 nobody reads the output any more"
)


def main(argv: list[str] | None = None) -> int:
    make_writable()
    argv = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(argv, argparse.Namespace(argv=argv))
    try:
        code = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        code, message = 130, "interrupted"
    except BrokenPipeError:
        discard_output()
        return 141
    except Exception as error:
        if is_full(error):
            discard_output()
        code, message = exit_code(error), "error: " + " ".join(str(error).split())
        if code == 3 or arguments.debug:
            traceback.print_exc()
            return code
    # Not within `except`: a progress bar leaves the line only when its exception is forgotten.
    print(message, file=sys.stderr)
    return code


def make_writable():
    """Output that is closed goes nowhere, and a letter that it does not have is written \\xe9."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # in a notebook it is not
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_output():
    """What could not be written must not fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: Exception) -> int:
    if isinstance(error, TrainingDiverged):
        return 1
    return 2 if isinstance(error, InputError) or is_full(error) else 3


def is_full(error: Exception) -> bool:
    """Whether there is no room, be it on the disk or where the output goes."""
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Language models of books, or of your own text; spelling to sound.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"blg561 {blg561.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(command, name: str, summary: str, *examples: str) -> argparse.ArgumentParser:
        lines = [f"  {PROGRAM} {name} {example}".rstrip() for example in examples]
        added = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog="\n".join(["examples:", *lines]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # `train.go_on` looks for the options by their full names
        )
        added.add_argument(
            "--debug", action="store_true", help="show the traceback of any error, also of input"
        )
        added.set_defaults(command=command)
        return added

    books.add_to(add)
    train.add_to(add)
    evaluate.add_to(add)
    generate.add_to(add)
    pronounce.add_to(add)
    grade.add_to(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
