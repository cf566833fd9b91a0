"""Pairs per second of the training loop, of its bare tower and of a MERL-style loop: `python benchmarks/bench_training.py`."""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from etp.options import parse_options
from etp.texts.views import TextViews
from etp.training.arguments import GROUPS, Arguments
from etp.training.data.fingerprint import Fingerprint
from etp.training.data.records import Split
from etp.training.data.signals import SignalStore
from etp.training.identity import Identity
from etp.training.loop import Trainer
from etp.training.objectives import ContrastiveModel
from etp.training.steps import backward
from modeling_etp.configuration_etp import ETPConfig, ETPEcgConfig
from modeling_etp.loss_etp import info_nce_loss
from modeling_etp.modeling_etp import ETPEcgModel, ETPModel

NUM_RECORDS, NUM_STATEMENTS, TEXT_HIDDEN = 2048, 1500, 384
ROOT = Path(__file__).resolve().parents[1]


class RandomTexts:
    """Stands in for the cached features of a text tower: the loop only looks them up."""

    fingerprint = "random"

    def __init__(self, device: torch.device):
        self._features = torch.randn(8192, TEXT_HIDDEN, device=device)
        self._rows: dict[str, int] = {}

    def prepare(self, texts: list[str], *, progress: bool = False) -> None:
        for text in texts:
            self._rows.setdefault(text, len(self._rows) % len(self._features))

    def columns(self, texts: list[str]) -> Tensor:
        return self._features[torch.tensor([self._rows[text] for text in texts])]


def make_trainer(preset: Path, batch_size: int, output_dir: str) -> tuple[Trainer, Accelerator]:
    """A run of the preset on random records of PTB-XL's shape and statistics of statements."""
    argv = [str(preset), "--output_dir", output_dir, "--batch_size", str(batch_size), "--drop_last", "true"]
    args = Arguments(*parse_options(GROUPS, argv))
    bf16 = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()
    accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no")
    random = np.random.default_rng(0)
    # Zipf-like, as in reports: "sinus rhythm" is everywhere, most statements are rare.
    shares = 1 / np.arange(1, NUM_STATEMENTS + 1)
    statements = [
        [f"statement {index}" for index in random.choice(NUM_STATEMENTS, size=4, p=shares / shares.sum())]
        for _ in range(NUM_RECORDS)
    ]
    signals = random.integers(-800, 800, size=(NUM_RECORDS, 12, args.model.num_samples), dtype=np.int16)
    split = Split(
        record_ids=[str(index) for index in range(NUM_RECORDS)],
        signals=SignalStore(signals, device=accelerator.device),
        statements=statements,
        views=TextViews(statements, weights=args.data.text_views, seed=0),
        fingerprint=Fingerprint(records=NUM_RECORDS, sha256="made up"),
    )
    config = ETPConfig(
        ecg_config=ETPEcgConfig(**args.model.ecg_config),
        text_config=BertConfig(
            hidden_size=TEXT_HIDDEN, num_hidden_layers=1, num_attention_heads=12, intermediate_size=TEXT_HIDDEN
        ).to_dict(),
        **args.model.model_config,
    )
    model = ETPModel(config).to(accelerator.device)
    model.freeze_text_model()
    module = ContrastiveModel(model, weights=args.training.objectives)
    texts = RandomTexts(accelerator.device)
    identity = Identity(data={"train": split.fingerprint, "validation": split.fingerprint}, text_tower="made up")
    trainer = Trainer(accelerator, module, args, train=split, validation=split, texts=texts, identity=identity)
    return trainer, accelerator


def loop_step(trainer: Trainer, accelerator: Accelerator, *, epoch: int) -> Callable[[], None]:
    """One step of an epoch as `Trainer` makes it: batch, augmentation, objectives, backward, clipping, optimizer, average."""
    options = trainer.args.training
    views = trainer.train_split.views.draw(epoch)
    trainer.prepare_texts(trainer.batches.texts_of_epoch(views, epoch=epoch))
    order = trainer.plan.order(epoch)
    trainer.model.train()
    count = iter(range(10**9))

    def step() -> None:
        position = next(count) % trainer.plan.steps_per_epoch
        batch = trainer.batches.make(trainer.plan.batch(order, position), views, epoch=epoch, step=position)
        losses = backward(accelerator, trainer.model, batch, chunk=None)
        losses["loss"].item()
        accelerator.clip_grad_norm_(trainer.model.parameters(), options.max_grad_norm)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        if trainer.average is not None:
            trainer.average.update()

    return step


def bare_step(
    ecg_config: ETPEcgConfig, batch_size: int, num_samples: int, accelerator: Accelerator
) -> Callable[[], None]:
    """Forward, backward and AdamW step of the ECG tower alone on one batch that never changes."""
    tower = ETPEcgModel(ecg_config).to(accelerator.device).train()
    optimizer = torch.optim.AdamW(tower.parameters(), lr=1e-4, fused=True)
    input_values = torch.randn(batch_size, ecg_config.num_leads, num_samples, device=accelerator.device)

    def step() -> None:
        with accelerator.autocast():
            loss = tower(input_values).pooler_output.float().square().mean()
        loss.backward()
        loss.item()
        optimizer.step()
        optimizer.zero_grad()

    return step


class PlainBlock(nn.Module):
    """Basic block of ResNet18-1D on `nn.Conv1d`."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv1d(in_channels, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm1d(channels)
        self.conv2 = nn.Conv1d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(channels)
        changes = stride > 1 or in_channels != channels
        self.shortcut = nn.Sequential(
            nn.Conv1d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm1d(channels)
        )
        if not changes:
            self.shortcut = nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        residual = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(frames)))))
        return torch.relu(residual + self.shortcut(frames))


def merl_step(batch_size: int, num_samples: int) -> Callable[[], None]:
    """A step as MERL makes it: BERT-base in the loop on reports padded to 256 tokens, `nn.Conv1d` in float32.

    The text tower is frozen, which is the cheapest of MERL's settings; nothing is read from disk.
    """
    stem = [nn.Conv1d(12, 64, 7, 2, 3, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.MaxPool1d(3, 2, 1)]
    blocks = [
        PlainBlock(width if second else max(64, width // 2), width, 1 if second or width == 64 else 2)
        for width in (64, 128, 256, 512)
        for second in (False, True)
    ]
    tower = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(512, 256))
    text_tower, text_projection = BertModel(BertConfig()).eval(), nn.Linear(768, 256)
    optimizer = torch.optim.AdamW([*tower.parameters(), *text_projection.parameters()], lr=1e-4)
    input_values = torch.randn(batch_size, 12, num_samples)
    input_ids = torch.randint(1000, 20000, (batch_size, 256))
    mask = (torch.arange(256) < 24).long().expand(batch_size, -1)  # 24 tokens are a report of PTB-XL, the rest padding

    def step() -> None:
        with torch.no_grad():
            features = text_tower(input_ids=input_ids, attention_mask=mask).last_hidden_state[:, 0]
        ecg_embeds = nn.functional.normalize(tower(input_values), dim=-1)
        text_embeds = nn.functional.normalize(text_projection(features), dim=-1)
        info_nce_loss(ecg_embeds, text_embeds, torch.tensor(14.3)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def seconds_of(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", type=Path, default=ROOT / "examples" / "configs" / "etp-base.yaml")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--merl_batch_size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=15, help="Timed steps of each kind; the median is reported.")
    parser.add_argument("--warmup", type=int, default=3, help="Untimed steps of each kind.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as output_dir:
        trainer, accelerator = make_trainer(options.preset, options.batch_size, output_dir)
    num_samples = trainer.args.model.num_samples
    # Crops grow in equal steps, so the middle epoch has their mean length, and the last one whole ECGs like the other loops.
    last = trainer.args.training.num_epochs - 1
    steps = {
        "loop": loop_step(trainer, accelerator, epoch=last),
        "middle": loop_step(trainer, accelerator, epoch=last // 2),
        "bare": bare_step(trainer.module.model.config.ecg_config, options.batch_size, num_samples, accelerator),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(options.warmup + options.repeats):
        for name, step in steps.items():  # in turn, so that both see the same machine
            duration = seconds_of(step)
            if repeat >= options.warmup:
                seconds[name].append(duration)
    merl = merl_step(options.merl_batch_size, num_samples)
    seconds["merl"] = [seconds_of(merl) for _ in range(1 + max(3, options.repeats // 2))][1:]
    pairs = {**dict.fromkeys(steps, options.batch_size), "merl": options.merl_batch_size}
    rates = {name: pairs[name] / statistics.median(durations) for name, durations in seconds.items()}
    ratios = [bare / loop for loop, bare in zip(seconds["loop"], seconds["bare"], strict=True)]
    result = {
        "loop_pairs_per_second": round(rates["loop"], 1),
        "bare_tower_ecgs_per_second": round(rates["bare"], 1),
        "merl_style_pairs_per_second": round(rates["merl"], 2),
        "loop_over_bare": round(statistics.median(ratios), 3),
        "loop_over_merl_style": round(rates["loop"] / rates["merl"], 1),
        "middle_epoch_pairs_per_second": round(rates["middle"], 1),
        "middle_epoch_over_merl_style": round(rates["middle"] / rates["merl"], 1),
        "batch_size": options.batch_size,
        "preset": options.preset.stem,
        "precision": accelerator.mixed_precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine() if accelerator.device.type == "cpu" else torch.cuda.get_device_name(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
