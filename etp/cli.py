"""The command `etp`, the one door: train and evaluate a model, use it on ECG files, and share it."""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etp import __version__
from etp.cures import as_flags
from etp.extras import install_hint
from etp.options import HELP_FLAGS, OptionError, options_of, parse_options

DONE, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141


@dataclass(frozen=True)
class Command:
    """What a command is, by names that are imported only when it is called.

    Attributes:
        help: What it does, in half a sentence.
        arguments: `module:name` of its dataclass of options, or of a tuple of them.
        run: `module:function` that takes them filled in, and returns the exit status or None.
        extra: The extra of our package that brings what it needs; None where it depends on the package.
        presets: Whether a preset can be its first argument.
        data_errors: Whether a ValueError or OSError is about the user's files, and so one line.
        passes_on: Whether it starts processes, and so wants its own words before the options.
    """

    help: str
    arguments: str
    run: str
    extra: str | None = None
    presets: bool = False
    data_errors: bool = True
    passes_on: bool = False


def _evaluate(module: str, arguments: str, help: str) -> Command:
    return Command(
        help, f"etp.evaluation.arguments:{arguments}", f"etp.evaluation.{module}:main", "eval", data_errors=False
    )


def _on_files(name: str, help: str, extra: str | None = None) -> Command:
    return Command(help, f"etp.commands.{name}:{name.capitalize()}Arguments", f"etp.commands.{name}:run", extra)


COMMANDS: dict[str, dict[str, Command]] = {
    "make a model": {
        "train": Command(
            "train a model on ECGs and their reports, from a preset, on one or several processes",
            "etp.training.launch:GROUPS",
            "etp.training.launch:main",
            "train",
            presets=True,
            data_errors=False,
            passes_on=True,
        ),
        "adapt-text": Command(
            "adapt a text tower to the language of ECGs, before `train` aligns ECGs with it",
            "etp.training.adaptation_arguments:AdaptationArguments",
            "etp.training.text_adaptation:adapt",
            "train",
        ),
        "finetune": Command(
            "fine-tune a classifier on the ECG tower: all of it, its head, or small adapters",
            "etp.finetuning.arguments:GROUPS",
            "etp.finetuning.main:main",
            "finetune",
            data_errors=False,
        ),
        "evaluate zero-shot": _evaluate("zero_shot", "ZERO_SHOT", "classify ECGs by phrases alone, and evaluate it"),
        "evaluate linear": _evaluate("linear", "LINEAR", "evaluate a linear classifier on the frozen ECG tower"),
        "evaluate fine-tuned": _evaluate("fine_tuned", "FINE_TUNED", "evaluate a classifier that `etp finetune` made"),
        "evaluate retrieval": _evaluate("retrieval", "RETRIEVAL", "find reports by ECGs and ECGs by reports"),
        "evaluate open-vocabulary": _evaluate(
            "open_vocabulary", "OPEN_VOCABULARY", "evaluate by paraphrases that no training text has, and by negations"
        ),
        "evaluate protocol": _evaluate("protocol", "PROTOCOL", "evaluate on the six label sets of MERL's benchmark"),
        "evaluate all": _evaluate("all", "ALL", "run all of these, and write the page of results"),
        "evaluate tables": _evaluate("tables", "TABLES", "write the page of results from their JSON files"),
        "evaluate ablations": _evaluate("ablations", "TABLES", "write a table of runs that differ in one thing"),
    },
    "use a model": {
        "classify": _on_files(
            "classify", "score ECG files against labels given as text, or those of a fine-tuned model"
        ),
        "embed": _on_files("embed", "embed ECG files as unit vectors, in an .npz file or as JSON lines"),
        "index": _on_files("index", "make a search index of ECG files, of texts, or of a data set with its reports"),
        "search": _on_files("search", "find the texts or ECGs of an index that are nearest to an ECG or a text"),
        "app": Command(
            "serve a page that scores, draws and explains uploaded ECGs",
            "etp.app.arguments:AppArguments",
            "etp.app.main:main",
            "app",
            data_errors=False,
        ),
        "measure": _on_files("measure", "measure heart rate, intervals and axis of ECG files", "measure"),
        "plot": _on_files("plot", "draw an ECG file on paper, as PNG, SVG or PDF"),
        "check": _on_files("check", "say which records of a data set can be used, and why others can't"),
        "info": _on_files("info", "say what a model, a search index or an ECG file is"),
    },
    "share a model": {
        "card": _on_files("card", "write the model card of a checkpoint, to edit it before it is pushed"),
        "push": _on_files("push", "push a model with its processor, pipeline and card to the Hub"),
        "export": _on_files("export", "export both towers to ONNX or torch.export, checked against the model"),
        "export-archive": Command(
            "write a data set as Parquet files with its card, or push it to the Hub",
            "etp.commands.export_archive:ExportArchiveArguments",
            "etp.commands.export_archive:run",
            "data",
        ),
    },
}
ALL_COMMANDS = {name: command for group in COMMANDS.values() for name, command in group.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        0: all right. 1: some files failed, or what was asked for could not be done. 2: it cannot be asked like this.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name, rest = _split(words)
    if name not in ALL_COMMANDS:
        return _without_command(words)
    try:
        status = _run(ALL_COMMANDS[name], f"etp {name}", rest)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as of `etp … | head`; nothing may be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _say(f"etp {name}", "interrupted.", INTERRUPTED)


def _split(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command at the beginning of a command line, of two words for `evaluate`, and what follows it."""
    for length in (2, 1):
        if " ".join(words[:length]) in ALL_COMMANDS:
            return " ".join(words[:length]), list(words[length:])
    return "", list(words)


def _run(command: Command, name: str, words: Sequence[str]) -> int:
    expected = (ValueError, OSError) if command.data_errors else ()
    groups: Any = ()
    try:
        groups = _load(command.arguments)
        groups = groups if isinstance(groups, tuple) else (groups,)
        description = f"{command.help[0].upper()}{command.help[1:]}."
        values = parse_options(groups, words, description=description, prog=name, presets=command.presets)
        return _load(command.run)(*([words] if command.passes_on else []), *values) or DONE
    except BrokenPipeError:  # an OSError, but nobody is there to read a sentence
        raise
    except OptionError as error:
        return _say(name, as_flags(str(error), options_of(groups)), USAGE)
    except ModuleNotFoundError as error:
        hint = install_hint(error, extra=command.extra)
        if hint is None:
            raise
        return _say(name, hint, FAILED)
    except expected as error:
        return _say(name, as_flags(str(error), options_of(groups)), FAILED)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _without_command(words: Sequence[str]) -> int:
    """`etp --help`, `etp evaluate`, `etp --version`, or a command that is none."""
    asked = words[0] if words else "--help"
    if asked == "--version":
        print(f"etp {__version__}")
        return DONE
    if asked in HELP_FLAGS or (asked == "evaluate" and (len(words) == 1 or words[1] in HELP_FLAGS)):
        print(overview("evaluate " if asked == "evaluate" else ""))
        return DONE if words and words[-1] in HELP_FLAGS else USAGE
    wanted = " ".join(words[: 2 if asked == "evaluate" else 1])
    from difflib import get_close_matches

    close = get_close_matches(wanted, ALL_COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`etp --help` lists the commands."
    return _say("etp", f"there is no command {wanted!r}; {hint}", USAGE)


def overview(prefix: str = "") -> str:
    """The commands by subject; those that begin with `prefix`."""
    from etp.help_pages import entry

    lines = [
        f"usage: etp {prefix}COMMAND [options]",
        "",
        "12-lead ECGs and sentences about them. Research software: not a medical device.",
    ]
    for subject, commands in COMMANDS.items():
        shown = {name: command for name, command in commands.items() if name.startswith(prefix)}
        if shown:
            lines += ["", subject, *(entry(name, command.help) for name, command in shown.items())]
    lines += [
        "",
        f"`etp {prefix}COMMAND --help` says more; `etp --version` names the version.",
        "Exit status: 0 all right, 1 some files failed or it could not be done, 2 wrong usage.",
    ]
    return "\n".join(lines)


def _say(name: str, error: object, status: int) -> int:
    """Say one line on stderr."""
    from etp.commands.files import write_error

    write_error(f"{name}: {' '.join(str(error).split())}")
    return status


if __name__ == "__main__":
    sys.exit(main())
