"""`etp export-archive`: an archive as Parquet files with its dataset card, on disk or on the Hub."""

from dataclasses import dataclass
from pathlib import Path

from etp.common_options import REPO_HELP, DatasetArguments
from etp.options import OptionError, option

from .files import write


@dataclass(kw_only=True)
class ExportArchiveArguments(DatasetArguments):
    """Which archive, and where it goes."""

    output: Path | None = option("Folder that receives Parquet files and the card.", None, short="-o")
    push_to_hub: str | None = option(f"{REPO_HELP[:-1]}, a data set's: it is pushed there.", None, metavar="USER/NAME")
    public: bool = option("A new repository is public, not private.", False)
    num_proc: int | None = option("Processes that prepare it.", None, minimum=1)

    def __post_init__(self):
        if self.output is None and self.push_to_hub is None:
            raise OptionError("say where it goes: --output DIR, --push_to_hub USER/NAME or both.")


def run(args: ExportArchiveArguments) -> int:
    from etp.archive_export import export_parquet, push_archive, read_card
    from etp.archives import open_archive

    read_card(args.dataset)  # no export goes without one: said before the archive is prepared
    splits = open_archive(
        args.dataset,
        args.data_dir,
        config=args.dataset_config,
        cache_dir=args.cache_dir,
        num_proc=args.num_proc,
    )
    config = args.dataset_config or next(iter(splits.values())).info.config_name
    if args.output is not None:
        write(f"{export_parquet(splits, args.output, name=args.dataset, config=config)}: written")
    if args.push_to_hub is not None:
        write(push_archive(splits, args.push_to_hub, name=args.dataset, config=config, private=not args.public))
    return 0
