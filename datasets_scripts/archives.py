"""Every data set as one `Archive`: its builder, labels, texts and licence, in the one place that all else asks."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What the code knows about a data set besides its rows.

    Attributes:
        name: As `--dataset` takes it.
        title: As texts name it.
        builder: `module:class` of its builder, imported when the data set is opened.
        configs: Configurations of the builder, its default first.
        tasks: Label task -> label column. A file of the task's name in `label_sets` has its phrases; without one, each
            label is its own phrase.
        default_tasks: Tasks that are evaluated where none is named.
        label_text: The task whose phrases label-derived training texts are made of; None refuses those.
        normal: Task and label that tell a normal ECG from any other; None if no label says so.
        texts: Where `statements` come from; blank if there are none.
        splits: Which records are in which split.
        license: Of the data, as the Hub spells it; None if it depends on who uses the builder.
        citation: Of the data; blank without a publication.
        supervised: Task -> macro AUROC of the best supervised network that was published, and its source.
    """

    name: str
    title: str
    builder: str
    configs: tuple[str, ...] = ("default",)
    tasks: Mapping[str, str] = field(default_factory=dict)
    default_tasks: tuple[str, ...] = ()
    label_text: str | None = None
    normal: tuple[str, str] | None = None
    texts: str = ""
    splits: str = ""
    license: str | None = None
    citation: str = ""
    supervised: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    def load_builder(self) -> type[Any]:
        """The builder's class."""
        module, _, name = self.builder.partition(":")
        return getattr(importlib.import_module(module), name)


_STRODTHOFF = "Strodthoff et al., IEEE JBHI 25(5):1519-1528, 2021, doi:10.1109/JBHI.2020.3022989"

PTB_XL = Archive(
    name="ptb_xl",
    title="PTB-XL",
    builder="datasets_scripts.ptb_xl:PtbXl",
    configs=("100hz", "500hz"),
    tasks={task: task for task in ("superclass", "subclass", "diagnostic", "form", "rhythm", "all")},
    default_tasks=("superclass", "subclass", "form", "rhythm"),
    label_text="all",
    normal=("superclass", "NORM"),
    texts="the statements of the records' reports, translated into English by rules",
    splits="folds 1 to 8; fold 9 validates, fold 10 is never trained on",
    license="cc-by-4.0",
    citation="Wagner et al. 2020, doi 10.1038/s41597-020-0495-6",
    # Of fold 10.
    supervised={
        "superclass": (0.930, f"resnet1d_wang, {_STRODTHOFF}"),
        "subclass": (0.930, f"inception1d, {_STRODTHOFF}"),
        "diagnostic": (0.937, f"xresnet1d101, {_STRODTHOFF}"),
        "form": (0.899, f"inception1d, {_STRODTHOFF}"),
        "rhythm": (0.957, f"xresnet1d101, {_STRODTHOFF}"),
        "all": (0.925, f"inception1d, {_STRODTHOFF}"),
    },
)

CPSC2018 = Archive(
    name="cpsc2018",
    title="CPSC2018",
    builder="datasets_scripts.cpsc2018:Cpsc2018",
    configs=("all", "challenge", "original"),
    tasks={"cpsc2018": "labels"},
    default_tasks=("cpsc2018",),
    label_text="cpsc2018",
    normal=("cpsc2018", "NORM"),
    splits="those of MERL (ICML 2024)",
    license="cc-by-4.0",
    citation="Liu et al., J Med Imaging Health Inform 8(7):1368-1373, 2018",
    # Of a split of all 6,877 records (there "ICBEB2018"), of which a folder may hold only a part.
    supervised={"cpsc2018": (0.974, f"xresnet1d101 on all of CPSC2018, {_STRODTHOFF}")},
)

FOLDER = Archive(
    name="folder",
    title="A folder with records.csv",
    builder="datasets_scripts.wfdb_folder:WfdbFolder",
    tasks={"labels": "labels"},
    default_tasks=("labels",),
    label_text="labels",
    texts="the columns report and statements of records.csv",
    splits="as records.csv says, or dealt by patient",
)

MIMIC_IV_ECG = Archive(
    name="mimic_iv_ecg",
    title="MIMIC-IV-ECG",
    builder="datasets_scripts.mimic_iv_ecg:MimicIvEcg",
    texts="the findings in the devices' own English reports",
    splits="dealt by patient",
    license="odbl",
    citation="Gow et al. 2023, doi 10.13026/4nqg-sb35",
)

CHALLENGE = Archive(
    name="challenge",
    title="PhysioNet/CinC Challenge 2021",
    builder="datasets_scripts.challenge:Challenge",
    configs=(
        "all",
        "cpsc_2018",
        "cpsc_2018_extra",
        "georgia",
        "ptb",
        "incart",
        "chapman_shaoxing",
        "ningbo",
    ),
    tasks={"challenge": "labels"},
    default_tasks=("challenge",),
    label_text="challenge",
    splits="dealt by record, for patients are not known; of CPSC2018 those of MERL (ICML 2024)",
    license="cc-by-4.0",
    citation="Reyna et al. 2021, doi 10.23919/CinC53138.2021.9662687",
)

CSN = Archive(
    name="csn",
    title="Chapman-Shaoxing-Ningbo",
    builder="datasets_scripts.csn:Csn",
    configs=("all", "merl"),
    tasks={"csn": "labels"},
    default_tasks=("csn",),
    label_text="csn",
    splits="those of MERL (ICML 2024); records that it does not use are dealt by record",
    license="cc-by-4.0",
    citation="Zheng et al. 2020, doi 10.1038/s41598-020-59821-7",
)

CODE15 = Archive(
    name="code15",
    title="CODE-15%",
    builder="datasets_scripts.code15:Code15",
    tasks={"code15": "labels"},
    default_tasks=("code15",),
    label_text="code15",
    normal=("code15", "normal ECG"),
    splits="dealt by patient",
    license="cc-by-4.0",
    citation="Ribeiro et al. 2021, doi 10.5281/zenodo.4916206",
)

# Name -> archive. A new one is a builder and an entry here: docs/add-an-archive.md.
ARCHIVES: dict[str, Archive] = {
    archive.name: archive for archive in (PTB_XL, CPSC2018, FOLDER, MIMIC_IV_ECG, CHALLENGE, CSN, CODE15)
}


def find_archive(name: str) -> Archive:
    """The archive of a name.

    Raises:
        ValueError: If there is none; lists the known ones.
    """
    if name not in ARCHIVES:
        raise ValueError(f"Unknown archive {name!r}; known are {', '.join(ARCHIVES)}.")
    return ARCHIVES[name]


def title_of(name: str) -> str:
    """What texts call an archive; of one that is not known here, its name."""
    return ARCHIVES[name].title if name in ARCHIVES else name
