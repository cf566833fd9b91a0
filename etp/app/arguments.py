"""The options of `etp app`."""

import os
from dataclasses import dataclass
from pathlib import Path

from etp.common_options import DEFAULT_MODEL_HELP, DEVICE_HELP, INDEX_HELP, RESULTS_HELP
from etp.options import option


@dataclass(kw_only=True)
class AppArguments:
    """What is served, and where; the variables ETP_MODEL and ETP_INDEX stand in for --model and --index."""

    model: str | None = option(DEFAULT_MODEL_HELP, None)
    device: str = option(DEVICE_HELP, "auto")
    index: Path | None = option(INDEX_HELP, None)
    results: list[Path] | None = option(RESULTS_HELP, None, metavar="JSON")
    host: str | None = option("Address to listen on; GRADIO_SERVER_NAME or 127.0.0.1 if omitted.", None)
    port: int | None = option("GRADIO_SERVER_PORT or the first free one from 7860 if omitted.", None)

    def __post_init__(self):
        self.model = self.model or os.environ.get("ETP_MODEL") or None
        if self.index is None and os.environ.get("ETP_INDEX"):
            self.index = Path(os.environ["ETP_INDEX"])
