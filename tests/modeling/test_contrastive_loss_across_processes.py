"""The contrastive losses on several real processes, against the same batch on one."""

import datetime
import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from text_positives import same_text_positives
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from modeling_etp.loss_etp import gather_with_gradient, info_nce_loss, siglip_loss

CASES = ("infonce", "same_text", "statements", "siglip", "siglip_same_text")
LOCAL_BATCHES = {2: (3, 5), 4: (1, 4, 2, 3)}
STEPS = 3


class TwoTowers(nn.Module):
    """Linear towers with a temperature and a bias: everything the losses have gradients for."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.ecg = nn.Parameter(torch.randn(9, 6, generator=generator))
        self.text = nn.Parameter(torch.randn(7, 6, generator=generator))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.logit_bias = nn.Parameter(torch.tensor(-3.0))

    def forward(self, ecgs: Tensor, texts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ecg_embeds, text_embeds = F.normalize(ecgs @ self.ecg, dim=-1), F.normalize(texts @ self.text, dim=-1)
        return ecg_embeds, text_embeds, self.logit_scale.exp(), self.logit_bias + 0


def batch_of_all(step: int, num_ecgs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ECGs, texts, the text id of each pair, and up to two statement ids of each ECG (-1 is none; some have none)."""
    generator = torch.Generator().manual_seed(step)
    ecgs, texts = torch.randn(num_ecgs, 9, generator=generator), torch.randn(num_ecgs, 7, generator=generator)
    text_ids = torch.randint(0, 4, (num_ecgs,), generator=generator)
    statement_ids = torch.randint(-1, 5, (num_ecgs, 2), generator=generator)
    return ecgs, texts, text_ids, statement_ids


def loss_of(case: str, model: nn.Module, batch: tuple[Tensor, ...], *, across_processes: bool) -> Tensor:
    ecgs, texts, text_ids, statement_ids = batch
    ecg_embeds, text_embeds, logit_scale, logit_bias = model(ecgs, texts)
    all_text_ids = gather_with_gradient(text_ids) if across_processes else text_ids
    positives = {
        "same_text": same_text_positives(text_ids, all_text_ids),
        "siglip_same_text": same_text_positives(text_ids, all_text_ids),
        # Weights, not only matches: the first statement of an ECG counts twice.
        "statements": same_text_positives(statement_ids, all_text_ids).float()
        + same_text_positives(statement_ids[:, 0], all_text_ids),
    }.get(case)
    if case.startswith("siglip"):
        return siglip_loss(
            ecg_embeds, text_embeds, logit_scale, logit_bias, positives, across_processes=across_processes
        )
    loss = info_nce_loss(
        ecg_embeds,
        text_embeds,
        logit_scale,
        positives,
        text_count_exponent=0.5 if case == "statements" else 0.0,
        across_processes=across_processes,
    )
    return loss + 0 * logit_bias  # DistributedDataParallel expects every parameter to be used


def train(case: str, model: nn.Module, batches: list, *, across_processes: bool) -> dict[str, Tensor]:
    """Losses, gradients of the first step and weights after all steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    results = {}
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = loss_of(case, model, batch, across_processes=across_processes)
        loss.backward()
        results[f"loss {step}"] = loss.detach()
        if step == 0:
            parameters = {name.removeprefix("module."): value for name, value in model.named_parameters()}
            results |= {f"gradient of {name}": value.grad.clone() for name, value in parameters.items()}
        optimizer.step()
    return results | {f"weight {name}": value.detach().clone() for name, value in parameters.items()}


def run_other_process(number: int, sizes: tuple[int, ...], folder: str) -> None:
    torch.set_num_threads(1)
    run_process(number + 1, sizes, folder)


def run_process(rank: int, sizes: tuple[int, ...], folder: str) -> None:
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=len(sizes),
        timeout=datetime.timedelta(seconds=240),
    )
    rows = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    results = {"world size": torch.tensor(dist.get_world_size())}
    for case in CASES:
        batches = [tuple(part[rows] for part in batch_of_all(step, sum(sizes))) for step in range(STEPS)]
        model = DistributedDataParallel(TwoTowers())
        results |= {
            f"{case}: {name}": value for name, value in train(case, model, batches, across_processes=True).items()
        }
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("world_size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_many_processes_are_one_in_loss_gradient_temperature_and_training(world_size, tmp_path):
    sizes = LOCAL_BATCHES[world_size]
    others = torch.multiprocessing.spawn(
        run_other_process, args=(sizes, str(tmp_path)), nprocs=world_size - 1, join=False
    )
    run_process(0, sizes, str(tmp_path))  # here, where what it runs is seen by tools that measure tests
    while not others.join():
        pass
    for rank in range(world_size):
        of_many = torch.load(tmp_path / f"{rank}.pt")
        assert of_many.pop("world size") == world_size
        for case in CASES:
            batches = [batch_of_all(step, sum(sizes)) for step in range(STEPS)]
            for name, expected in train(case, TwoTowers(), batches, across_processes=False).items():
                torch.testing.assert_close(
                    of_many.pop(f"{case}: {name}"),
                    expected,
                    rtol=1e-5,
                    atol=1e-5,
                    msg=lambda text, name=name, case=case, rank=rank: f"{case}, rank {rank}, {name}: {text}",
                )
        assert not of_many


def test_one_process_group_of_one_equals_no_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        batches = [batch_of_all(step, 6) for step in range(STEPS)]
        for case in CASES:
            alone = train(case, TwoTowers(), batches, across_processes=False)
            for name, value in train(case, TwoTowers(), batches, across_processes=True).items():
                torch.testing.assert_close(value, alone[name], msg=name)
        embeds = F.normalize(batch_of_all(0, 6)[0], dim=-1)
        with pytest.raises(ValueError, match=r"shape \(ECGs, texts of all processes\) = \(6, 6\), got \(6, 5\)"):
            info_nce_loss(embeds, embeds, torch.tensor(1.0), torch.ones(6, 5), across_processes=True)
    finally:
        dist.destroy_process_group()
