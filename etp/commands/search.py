"""`etp search`: the reports or ECGs of an index that are nearest to an ECG or to a text."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import EcgRun, add_reading_arguments, find_ecgs, json_line, printable, write
from .models import add_model_arguments, make_classifier, open_checkpoint

HELP = "find the texts or ECGs of an index that are nearest to an ECG or a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, metavar="INDEX", help="folder that `etp index` made")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--ecg", nargs="+", metavar="FILE", help="ECG files; their nearest texts are found")
    query.add_argument("--text", nargs="+", metavar="TEXT", help="texts; their nearest ECGs are found")
    parser.add_argument("--find", choices=("ecgs", "texts"), help="what is to be found, if not the other kind")
    parser.add_argument("-k", type=int, default=5, help="how many (5)")
    add_model_arguments(parser)
    add_reading_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line and query")
    parser.set_defaults(batch_size=32)


def run(args: argparse.Namespace) -> int:
    from etp.search import SearchIndex, SearchIndexError

    if args.k < 1:
        raise UsageError(f"-k must be at least 1, got {args.k}.")
    if args.text and not all(text.strip() for text in args.text):
        raise UsageError("--text: a blank text is near to nothing.")
    paths = find_ecgs(args.ecg or [])
    checkpoint = open_checkpoint(args.model, device=args.device)
    try:
        index = SearchIndex.load(args.index, checkpoint_sha256=checkpoint.sha256)
    except SearchIndexError as error:
        raise UsageError(str(error)) from error
    wanted = args.find or ("texts" if args.ecg else "ecgs")
    if not len(getattr(index, wanted)):
        raise UsageError(f"{args.index} holds no {wanted}; --find the other kind, or make an index with both.")
    find = {"ecgs": index.nearest_ecgs, "texts": index.nearest_texts}[wanted]

    classifier, ecgs = make_classifier(checkpoint), EcgRun(paths, args)
    queries: Iterable[tuple[str, Any]]
    if args.text:
        queries = zip(args.text, classifier.embed_texts(args.text), strict=True)
    else:
        queries = ecgs.map(classifier.embed_ecgs, description="Searching")
    for query, embed in queries:
        (hits,) = find(embed[None], k=args.k)
        write(_as_json(query, hits) if args.json else _as_text(query, hits))
    return ecgs.status


def _as_json(query: str, hits) -> str:
    return json_line({"query": query, "hits": [asdict(hit) for hit in hits]})


def _as_text(query: str, hits) -> str:
    found = [f"  {hit.score:6.3f}  {printable('  '.join(filter(None, (hit.ecg, hit.text))))}" for hit in hits]
    return "\n".join([printable(query), *found])
