"""The help of every command, and one spelling of every option."""

import subprocess
import sys
from collections import defaultdict

import pytest

from etp import __version__, cli
from etp.help_pages import subject_of
from etp.options import Option, options_of

# The same word for another thing, or another value where nothing is said, and why.
OTHER_MEANING = {
    "batch_size": {"train", "finetune"},  # of a step
    "tasks": {"finetune", "evaluate fine-tuned", "evaluate zero-shot"},  # of the head; of the patient too
    "unfreeze_text_from": {"adapt-text"},  # which trains the tower in any case
    "model": {"finetune", "card", "export"},  # a tower or a classifier too; what is shared is named
    **dict.fromkeys(
        ("output_dir", "resume", "report_to", "num_epochs", "learning_rate", "weight_decay", "warmup_ratio"),
        "each training has its own",
    ),
    "sampling_rate": {"train"},  # of the tower's input, which is a number of the model
    "output": "every command writes something else",
    "results": {"evaluate tables", "evaluate ablations"},  # of any model
    "split": "each protocol has its own records: train, validation or test",
    "top_k": {"search"},  # of hits, not of labels
    "data_dir": {"train", "check", "export-archive"},  # may be fetched
    "push_to_hub": {"export-archive"},  # a data set, not a model
    "files": {"index"},  # may be missing where texts or a data set are indexed
}
FOUND = ("--model", "m", "--data_dir", "d", "-o", "o.json")
# Required where nothing can be done without it, optional where it can.
OPTIONAL_ELSEWHERE = {"data_dir", "model", "files", "index", "repo"}


def every_option() -> list[tuple[str, Option]]:
    return [(name, option) for name, command in cli.ALL_COMMANDS.items() for option in options_of_command(command)]


def options_of_command(command: cli.Command) -> list[Option]:
    groups = cli._load(command.arguments)
    return list(options_of(groups if isinstance(groups, tuple) else (groups,)).values())


def test_help_imports_no_framework():
    code = """
import contextlib, io, sys
from etp import cli
with contextlib.redirect_stdout(io.StringIO()):
    cli.main(["--help"])
    for name in cli.ALL_COMMANDS:
        try:
            cli.main([*name.split(), "--help"])
        except SystemExit:
            pass
names = ("numpy", "torch", "transformers", "datasets", "accelerate", "gradio", "matplotlib")
print([name for name in names if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


@pytest.mark.parametrize("name", cli.ALL_COMMANDS)
def test_the_help_of_a_command_shows_its_subjects_and_marks_what_is_required(etp, name):
    status, out, err = etp(*name.split(), "--help")
    assert (status, err) == (0, "")
    usage, *lines = out.splitlines()
    assert usage.startswith(f"usage: etp {name} ")
    options = options_of_command(cli.ALL_COMMANDS[name])
    assert len(lines) < 100
    for option in options:
        assert any(line.startswith(f"{subject_of(option.group)}: ") for line in lines)
        if option.required:
            assert option.flag in usage
    assert out.count("(required)") == sum(option.required for option in options)


@pytest.mark.parametrize("name", cli.ALL_COMMANDS)
def test_every_option_is_shown_by_help_all_and_under_its_subject(etp, name):
    _, out, _ = etp(*name.split(), "--help", "all")
    options = options_of_command(cli.ALL_COMMANDS[name])
    for option in options:
        shown = [line for line in out.splitlines() if line.startswith("  ") and option.flag in line.split("  ")[1]]
        assert shown, option.flag
        _, page, _ = etp(*name.split(), "--help", subject_of(option.group))
        assert option.flag in page
        for choice in option.choices:
            assert choice in page


def test_the_short_help_of_training_leads_to_the_rest(etp):
    _, short, _ = etp("train", "--help")
    _, whole, _ = etp("train", "--help", "all")
    assert len(short.splitlines()) < 0.6 * len(whole.splitlines())
    assert "--lead_dropout" not in short
    assert "11 options: etp train --help augmentation" in short
    assert "Presets: etp-base, etp-base-align, " in short


def test_a_switch_that_is_on_shows_how_to_turn_it_off(etp):
    _, out, _ = etp("classify", "--help")
    assert "--verify_checksum {true,false}" in out
    assert "header. (true)" in out
    assert "  --json   " in out  # what is off is turned on by its name


def test_a_subject_that_is_none_is_refused_with_those_there_are(etp):
    status, _, err = etp("train", "--help", "colours")
    assert status == 2
    assert "--help colours: the subjects are dataset, missing-samples, bad-record, texts, model, augmentation" in err


def test_an_option_means_the_same_in_every_command():
    meanings = defaultdict(lambda: defaultdict(set))
    for command, option in every_option():
        exempt = OTHER_MEANING.get(option.name, set())
        if isinstance(exempt, str) or command in exempt:
            continue
        default = (
            None if option.name in OPTIONAL_ELSEWHERE else ("required" if option.required else repr(option.default))
        )
        kind = None if option.name in OPTIONAL_ELSEWHERE else str(option.hint)
        meanings[option.name][option.metadata["help"], default, kind, option.short].add(command)
    assert not {name: dict(found) for name, found in meanings.items() if len(found) > 1}


@pytest.mark.parametrize(
    ("name", "fetches"), [("train", True), ("check", True), ("export-archive", True), ("index", False)]
)
def test_the_help_says_where_a_data_set_that_is_not_named_comes_from(etp, name, fetches):
    words = " ".join(etp(name, "--help")[1].split())
    assert "--data_dir" in words
    assert ("if omitted, it is fetched from there" in words) is fetches


def test_there_are_not_two_words_for_one_option():
    texts = defaultdict(set)
    for _, option in every_option():
        texts[option.metadata["help"].lower().rstrip(".")].add(option.name)
    assert not {text: names for text, names in texts.items() if len(names) > 1}
    names = {option.name for _, option in every_option()}
    gone = {"archive", "bf16", "config", "label_set", "template", "no_cuda", "fp16"}
    assert not names & gone
    assert not {name for name in names if name.endswith("s") and name[:-1] in names} - {
        "texts",
        "tasks",
        "files",
        "label_fractions",
    }


def test_etp_alone_and_evaluate_alone_say_what_there_is(etp):
    for words in ([], ["evaluate"]):
        status, out, _ = etp(*words)
        assert status == 2
        assert "evaluate zero-shot" in out
    status, out, _ = etp("--help")
    assert status == 0
    for subject, commands in cli.COMMANDS.items():
        assert subject in out.splitlines()
        assert all(f"  {name}" in out for name in commands)
    assert etp("evaluate", "--help")[0] == 0
    assert etp("--version")[:2] == (0, f"etp {__version__}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "there is no command 'trian'; did you mean 'train'?"),
        (["evaluate", "zeroshot"], "there is no command 'evaluate zeroshot'; did you mean 'evaluate zero-shot'?"),
        (["colour"], "`etp --help` lists the commands"),
        (["classify", "a.hea", "--modle", "m"], "unknown argument '--modle'; did you mean '--model'?"),
        (["classify", "--model", "m", "--labels", "a"], "FILE is required"),
        (["info"], "MODEL|INDEX|FILE is required"),
        (["info", "a", "b"], "unexpected argument 'b'"),
        (["evaluate", "linear", "--model"], "--model: a value must follow"),
        (
            ["evaluate", "retrieval", *FOUND, "--text_kinds", "report", "words"],
            "--text_kinds: unknown 'words', choose from",
        ),
    ],
)
def test_what_is_misspelt_is_one_line_and_status_2(etp, words, message):
    status, out, err = etp(*words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_the_options_of_any_command_come_from_a_file_too(etp, checkpoint_dir, ecg_folder, tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text(f"model: {checkpoint_dir}\nlabels: [normal ECG, atrial fibrillation]\njson: true\ntop_k: 1\n")
    status, out, _ = etp("classify", ecg_folder / "00001_lr.hea", "--config", file)
    assert status == 0
    assert out.count('"label"') == 1
    status, out, _ = etp("classify", ecg_folder / "00001_lr.hea", "--config", file, "--top_k", 2)
    assert out.count('"label"') == 2
