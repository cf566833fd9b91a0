"""`etp search`: the reports or ECGs of an index that are nearest to an ECG or to a text."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from etp.common_options import INDEX_HELP, JSON_HELP, BatchArguments, ModelArguments, ReadingArguments
from etp.options import OptionError, option

from .files import EcgRun, find_ecgs, json_line, printable, write
from .models import make_classifier, open_checkpoint

if TYPE_CHECKING:
    from etp.search import Hit


@dataclass(kw_only=True)
class SearchArguments(ModelArguments, ReadingArguments, BatchArguments):
    """What is looked for, and where: by one of --ecg and --text."""

    index: Path = option(INDEX_HELP, positional=True)
    ecg: list[str] | None = option("ECG files; their nearest texts are found.", None, metavar="FILE")
    text: list[str] | None = option("Texts; their nearest ECGs are found.", None)
    find: Literal["ecgs", "texts"] | None = option("What is to be found, if not the other kind.", None)
    top_k: int = option("How many.", 5, short="-k")
    json: bool = option(JSON_HELP, False)


def run(args: SearchArguments) -> int:
    from etp.loading import model_name
    from etp.search import SearchIndex, SearchIndexError

    if args.top_k < 1:
        raise OptionError(f"--top_k must be at least 1, got {args.top_k}.")
    if (args.ecg is None) == (args.text is None):
        raise OptionError("say what to look for: --ecg FILE … or --text TEXT …, one of them.")
    if args.text and not all(text.strip() for text in args.text):
        raise OptionError("--text: a blank text is near to nothing.")
    paths = find_ecgs(args.ecg or [])
    ecgs = EcgRun(paths, args, batch_size=args.batch_size)
    if paths and not ecgs.any_readable():
        return ecgs.status
    checkpoint = open_checkpoint(args.model, device=args.device, max_gap_seconds=args.max_gap_seconds)
    try:
        index = SearchIndex.load(args.index, checkpoint_sha256=checkpoint.sha256, model=model_name(args.model))
    except SearchIndexError as error:
        raise OptionError(str(error)) from error
    wanted = args.find or ("texts" if args.ecg else "ecgs")
    if not len(getattr(index, wanted)):
        raise OptionError(f"{args.index} holds no {wanted}; --find the other kind, or make an index with both.")
    find = {"ecgs": index.nearest_ecgs, "texts": index.nearest_texts}[wanted]

    classifier = make_classifier(checkpoint)
    queries: Iterable[tuple[str, Any]]
    if args.text:
        queries = zip(args.text, classifier.embed_texts(args.text), strict=True)
    else:
        queries = ecgs.map(classifier.embed_ecgs, description="Searching")
    for query, embed in queries:
        (hits,) = find(embed[None], k=args.top_k)
        write(_as_json(query, hits) if args.json else _as_text(query, hits))
    return ecgs.status


def _as_json(query: str, hits: "list[Hit]") -> str:
    return json_line({"query": query, "hits": [asdict(hit) for hit in hits]})


def _as_text(query: str, hits: "list[Hit]") -> str:
    return "\n".join([printable(query), *(f"  {hit.score:6.3f}  {printable(_named(hit))}" for hit in hits)])


def _named(hit: "Hit") -> str:
    ecg = f"{hit.ecg} and {hit.more_ecgs} more" if hit.more_ecgs else hit.ecg
    return "  ".join(filter(None, (ecg, hit.text)))
