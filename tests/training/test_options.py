"""Options come from one definition, a file and flags; what does not fit is refused by name."""

from types import SimpleNamespace

import pytest
import yaml
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from accelerate.utils import DistributedType

from etp.options import PRESETS, OptionError, parse_options
from etp.training.arguments import GROUPS, Arguments
from etp.training.preflight import check_before_computing, check_processes
from etp.training.processes.sharding import enable_sharding, is_sharded
from etp.training.trackers import trackers


def parse(*argv: str) -> Arguments:
    return Arguments(*parse_options(GROUPS, argv))


@pytest.fixture
def preset(tmp_path):
    def write(**options) -> str:
        path = tmp_path / "preset.yaml"
        path.write_text(yaml.safe_dump({"output_dir": "runs/a", **options}))
        return str(path)

    return write


@pytest.mark.parametrize("place", [[], ["--config"]])
def test_flags_override_the_file(preset, place):
    args = parse(*place, preset(learning_rate=1e-4, drop_last=False), "--seed", "7", "--learning_rate", "0.5")
    assert (args.training.learning_rate, args.training.drop_last, args.training.seed) == (0.5, False, 7)


def test_nested_settings_are_overridden_one_by_one(preset):
    args = parse(
        preset(model_config={"projection_dim": 64, "loss_type": "siglip"}), "--model_config", "projection_dim=8"
    )
    assert args.model.model_config == {"projection_dim": 8, "loss_type": "siglip"}


def test_weights_are_overridden_as_a_whole(preset):
    args = parse(preset(text_views={"report": 1}), "--text_views", "statement=0.5", "subset=2")
    assert args.data.text_views == {"statement": 0.5, "subset": 2}


def test_a_written_configuration_repeats_the_run(tmp_path):
    args = parse("--output_dir", "a", "--objectives", "batch=1", "vocabulary=2", "--ecg_config", "depths=[1,1]")
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(args.to_dict()))
    assert parse(str(path)) == args


@pytest.mark.parametrize("path", sorted(PRESETS.glob("etp-*.yaml")), ids=lambda path: path.stem)
def test_presets_are_read(path):
    tower = ["--ecg_model", "b"] if path.stem == "etp-base-align" else []  # the preset's second half needs the first
    assert parse(str(path), "--output_dir", "a", *tower).data.dataset == "ptb_xl"


def test_the_paper_preset_holds_the_verified_values():
    args = parse("--config", "etp-paper", "--output_dir", "a")
    assert args.model.text_model == "emilyalsentzer/Bio_ClinicalBERT"
    assert (args.training.learning_rate, args.training.weight_decay, args.training.batch_size) == (2e-3, 1e-5, 128)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--output_dir", "a", "--learning_rat", "1"],
            "unknown argument '--learning_rat'; did you mean '--learning_rate'?",
        ),
        (["--seed", "1"], "--output_dir is required"),
        (["nowhere.yaml"], "there is no file nowhere.yaml"),
        (["--output_dir", "a", "--batch_size", "1"], "--batch_size must be at least 2, got 1"),
        (["--output_dir", "a", "--batch_size", "many"], "--batch_size: 'many' is not a whole number"),
        (["--output_dir", "a", "--drop_last", "maybe"], "--drop_last: 'maybe' is not true or false"),
        (
            ["--output_dir", "a", "--objectives", "bath=1"],
            "--objectives: unknown 'bath', choose from batch, vocabulary",
        ),
        (["--output_dir", "a", "--objectives", "batch=0"], "the weight of batch must be a number above 0, got 0"),
        (["--output_dir", "a", "--objectives", "batch"], "write name=value pairs"),
        (["--output_dir", "a", "--text_source", "scp_codes"], "choose from statements, label_derived"),
        (
            ["--output_dir", "a", "--vocabulary_size", "9"],
            "--vocabulary_size, --vocabulary_min_count, --vocabulary_generalisations, --vocabulary_hypernyms and --paraphrase_rate need",
        ),
        (
            ["--output_dir", "a", "--resume", "auto", "--overwrite"],
            "--resume continues a run and --overwrite replaces it",
        ),
        (["--output_dir", "a", "--lead_dropout", "1.5"], r"--lead_dropout must be in \[0, 1\), got 1.5"),
        (
            ["--output_dir", "a", "--unfreeze_text_from", "1", "--objectives", "vocabulary=1"],
            "--unfreeze_text_from and the objectives vocabulary and negation contradict each other",
        ),
        (["--output_dir", "a", "--text_layer_decay", "0.5"], "add --unfreeze_text_from, or leave them out"),
        (
            ["--output_dir", "a", "--augment_fraction", "0.5"],
            "--augment_fraction 0.5 without an augmentation: add one of",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(argv, message):
    with pytest.raises(OptionError, match=message.replace("?", r"\?") if "mean" in message else message):
        parse(*argv)


def test_an_unknown_key_of_the_file_is_refused_by_name(preset):
    with pytest.raises(OptionError, match=r"preset.yaml: unknown key 'lerning_rate'; did you mean 'learning_rate'\?"):
        parse(preset(lerning_rate=1))


def test_an_unknown_setting_of_a_tower_is_refused_by_name():
    from etp.training.towers.building import make_configs

    with pytest.raises(OptionError, match="--ecg_config: ETPEcgConfig has no setting 'depth'"):
        make_configs(parse("--output_dir", "a", "--ecg_config", "depth=[1]").model)
    with pytest.raises(OptionError, match="`kernel_sizes` must be odd"):
        make_configs(parse("--output_dir", "a", "--ecg_config", "kernel_sizes=[2,2,2,2]").model)


def test_another_run_in_the_folder_is_not_overwritten(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(OptionError, match=r"holds another run .* --resume auto, replace it with --overwrite"):
        check_before_computing(parse("--output_dir", str(tmp_path)))


def test_a_folder_that_can_not_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match=r"--output_dir .*file/run can't be written"):
        check_before_computing(parse("--output_dir", str(tmp_path / "file" / "run")))


def test_a_missing_archive_and_tracker_are_refused(tmp_path):
    with pytest.raises(OptionError, match="--data_dir: there is no folder"):
        check_before_computing(parse("--output_dir", str(tmp_path), "--data_dir", str(tmp_path / "no")))
    with pytest.raises(OptionError, match="--report_to: unknown tracker 'wandbb', choose from aim, clearml, comet_ml"):
        check_before_computing(parse("--output_dir", str(tmp_path), "--report_to", "wandbb"))


@pytest.mark.parametrize("name", LOGGER_TYPE_TO_CLASS)
def test_every_tracker_of_accelerate_is_taken_or_refused_with_its_installation(name, tmp_path, monkeypatch):
    monkeypatch.setattr("etp.training.trackers.get_available_trackers", lambda: [])
    with pytest.raises(OptionError, match=rf"--report_to {name}: it is not installed: pip install {name}\."):
        check_before_computing(parse("--output_dir", str(tmp_path), "--report_to", name))
    monkeypatch.setattr("etp.training.trackers.get_available_trackers", lambda: [name])
    assert trackers([name, name]) == trackers(["all"]) == [name]
    assert trackers(["none"]) == trackers([]) == []
    assert check_before_computing(parse("--output_dir", str(tmp_path), "--report_to", name)) is None


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="2 processes were started and 1 take part"):
        check_processes(SimpleNamespace(num_processes=1, distributed_type=DistributedType.NO))


def test_a_launch_that_is_not_known_is_refused():
    with pytest.raises(
        OptionError, match=r"distributed_type DEEPSPEED is not known to train.py: take one of examples/"
    ):
        check_processes(SimpleNamespace(num_processes=1, distributed_type=DistributedType.DEEPSPEED))


def test_sharding_needs_processes_and_its_second_version(monkeypatch):
    accelerator = SimpleNamespace(distributed_type=DistributedType.NO, state=SimpleNamespace())
    enable_sharding(accelerator)
    assert not is_sharded(accelerator)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(OptionError, match="FSDP needs several processes: raise --num_processes"):
        enable_sharding(accelerator)
    plugin = SimpleNamespace(fsdp_version=1, cpu_ram_efficient_loading=False)
    accelerator = SimpleNamespace(distributed_type=DistributedType.FSDP, state=SimpleNamespace(fsdp_plugin=plugin))
    with pytest.raises(
        OptionError, match=r"FSDP is used with fsdp_version: 2, got 1; see examples/accelerate/fsdp.yaml"
    ):
        enable_sharding(accelerator)
    plugin.fsdp_version, plugin.cpu_ram_efficient_loading = 2, True
    with pytest.raises(OptionError, match="with fsdp_cpu_ram_efficient_loading: False, got True"):
        enable_sharding(accelerator)
