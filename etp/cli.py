"""The command `etp`: classify, embed and search ECG files, draw them, look into models, and share models."""

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from etp.commands import card, classify, embed, export, index, info, plot, push, search
from etp.commands.errors import UsageError
from etp.commands.files import printable

COMMANDS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (classify, embed, index, search, plot, info, card, push, export)
}
ALL_RIGHT, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

# Packages that are not needed by every command -> the extra of ours that brings them.
EXTRAS = {
    "datasets": "data",
    "pandas": "data",
    "pyarrow": "data",
    "matplotlib": "plot",
    "psutil": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        0: all right. 1: some files failed, or what was asked for could not be done. 2: it cannot be asked like this.
    """
    args = make_parser().parse_args(argv)
    try:
        status = args.run(args)
        sys.stdout.flush()
        return status
    except UsageError as error:
        return _say(args.command, error, USAGE)
    except BrokenPipeError:  # as of `etp … | head`; nothing may be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _say(args.command, f'{error.name} is not installed: pip install "etp-ecg[{extra}]".', FAILED)
    except (ValueError, OSError) as error:
        return _say(args.command, error, FAILED)
    except KeyboardInterrupt:
        return _say(args.command, "interrupted.", INTERRUPTED)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; it imports no framework, so that `--help` is quick."""
    parser = argparse.ArgumentParser(
        prog="etp",
        description="12-lead ECGs and sentences about them. Research software: not a medical device.",
        epilog="Exit status: 0 all right, 1 some files failed, 2 wrong usage.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name, help=module.HELP, description=f"{module.HELP[0].upper()}{module.HELP[1:]}."
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _say(command: str, error: object, status: int) -> int:
    """Say one line on stderr."""
    print(printable(f"etp {command}: {' '.join(str(error).split())}"), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
