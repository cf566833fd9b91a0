"""Contrastive losses between ECGs and texts, equal on one process and on many."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def pairwise_logits(ecg_embeds: Tensor, text_embeds: Tensor, logit_scale: Tensor) -> Tensor:
    """Scaled cosine similarities `(num_ecgs, num_texts)`, in float32 whatever autocast says.

    A logit of 100 has a step of 0.5 in bfloat16, which is more than the differences the loss is made of.
    """
    with torch.autocast(ecg_embeds.device.type, enabled=False):
        return logit_scale.float() * ecg_embeds.float() @ text_embeds.float().T


def info_nce_loss(
    ecg_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor,
    positives: Tensor | None = None,
    *,
    text_count_exponent: float = 0.0,
    across_processes: bool = False,
) -> Tensor:
    """Symmetric InfoNCE (arXiv:2103.00020, section 2.3), with any number of positives per ECG and per text.

    Each row of `positives` is normalised to a distribution over the texts, the target of that ECG's softmax; each column
    likewise for the texts. An ECG without a positive text, or a text without a positive ECG, is no example of its
    direction: it serves as a negative of the others and is left out of the mean.

    With `across_processes=True` every process of the default group passes its own part of the batch, of any size, and
    receives the loss of the whole. Each computes only its own rows against all texts: the softmax over the ECGs is put
    together from one log-sum-exp per process and text. The gradient is that of the whole batch once it is averaged over
    the processes, which `DistributedDataParallel` does.

    Args:
        ecg_embeds: L2-normalised, shape `(num_ecgs, dim)`.
        text_embeds: L2-normalised, shape `(num_texts, dim)`.
        logit_scale: Inverse temperature, a positive scalar.
        positives: Non-negative weights, shape `(num_ecgs, num_texts)`; the identity if omitted. Across processes: this
            process's ECGs against the texts of all processes in the order of their ranks.
        text_count_exponent: A text's share in the mean of the texts is the sum of its weights to this power: 0 lets a
            text of one ECG count as much as one of many, 1 lets every pair count alike.
        across_processes: Whether the batch is spread over the processes of the default group.

    Returns:
        Scalar mean of the ECG-to-text and the text-to-ECG cross-entropies, in nats.

    Raises:
        ValueError: If the shapes do not fit or a weight is negative.
    """
    num_texts = len(text_embeds)
    if across_processes:
        text_embeds = gather_with_gradient(text_embeds)
    logits = pairwise_logits(ecg_embeds, text_embeds, logit_scale)
    weights = _positive_weights(positives, logits, num_texts, across_processes=across_processes)
    weights_per_text = weights.sum(dim=0)
    lse_per_text = logits.logsumexp(dim=0)
    if across_processes:
        dist.all_reduce(weights_per_text)
        lse_per_text = _logsumexp_across_processes(lse_per_text)
    weights_per_ecg = weights.sum(dim=1)
    has_ecg, has_text = weights_per_text > 0, weights_per_ecg > 0

    attraction_per_ecg = (weights * logits).sum(dim=1) / weights_per_ecg.masked_fill(~has_text, 1)
    ecg_loss = ((logits.logsumexp(dim=1) - attraction_per_ecg) * has_text).sum()
    text_shares = weights_per_text.masked_fill(~has_ecg, 1) ** text_count_exponent * has_ecg
    text_shares = text_shares / text_shares.sum().clamp(min=torch.finfo(logits.dtype).tiny)
    attraction_of_texts = (text_shares * weights / weights_per_text.masked_fill(~has_ecg, 1) * logits).sum()

    num_examples = has_text.sum()
    totals = torch.stack([ecg_loss, attraction_of_texts, num_examples]).detach()
    if across_processes:
        dist.all_reduce(totals)
    num_ecg_examples = totals[2].clamp(min=1)
    lse_of_texts = (lse_per_text * text_shares).sum()  # the same on every process, its gradient this process's part

    def mean_of_directions(ecg_loss: Tensor, attraction_of_texts: Tensor) -> Tensor:
        return (ecg_loss / num_ecg_examples + lse_of_texts - attraction_of_texts) / 2

    loss = mean_of_directions(ecg_loss, attraction_of_texts)
    if not across_processes:
        return loss
    return _value_of_all_gradient_of_own(mean_of_directions(totals[0], totals[1]), loss)


def siglip_loss(
    ecg_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    positives: Tensor | None = None,
    *,
    across_processes: bool = False,
) -> Tensor:
    """Sigmoid loss over all pairs (arXiv:2303.15343, algorithm 1): every pair is one binary example.

    Args:
        ecg_embeds: L2-normalised, shape `(num_ecgs, dim)`.
        text_embeds: L2-normalised, shape `(num_texts, dim)`.
        logit_scale: Inverse temperature, a positive scalar.
        logit_bias: Bias of every logit, a scalar.
        positives: As for [`info_nce_loss`]; a pair with a positive weight is a match, whatever the weight.
        across_processes: As for [`info_nce_loss`].

    Returns:
        Scalar sum over the pairs divided by the number of ECGs, in nats.

    Raises:
        ValueError: If the shapes do not fit or a weight is negative.
    """
    num_texts = len(text_embeds)
    if across_processes:
        text_embeds = gather_with_gradient(text_embeds)
    logits = pairwise_logits(ecg_embeds, text_embeds, logit_scale) + logit_bias.float()
    matches = _positive_weights(positives, logits, num_texts, across_processes=across_processes) > 0
    loss = -F.logsigmoid(torch.where(matches, logits, -logits)).sum()
    if not across_processes:
        return loss / len(logits)
    totals = torch.stack([loss.detach(), loss.new_tensor(len(logits))])
    dist.all_reduce(totals)
    return _value_of_all_gradient_of_own(totals[0] / totals[1], loss / totals[1])


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """Concatenate the rows of every process in the order of their ranks; row counts may differ.

    `Accelerator.gather` and `dist.all_gather` detach their result, so a loss computed from it would not train the rows
    of the other processes. Here the gradient of a row is the sum of what all processes found for it.

    Args:
        tensor: Shape `(rows, ...)`; all but the first axis equal on every process.

    Returns:
        Shape `(rows of all processes, ...)`.
    """
    return _Gather.apply(tensor)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        counts = _row_counts(tensor)
        rank = dist.get_rank()
        ctx.start, ctx.rows = sum(counts[:rank]), counts[rank]
        # Collectives move equal shapes only: pad every part to the longest and cut afterwards.
        padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
        padded[: len(tensor)] = tensor.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[ctx.start : ctx.start + ctx.rows]


def _row_counts(tensor: Tensor) -> list[int]:
    counts = [torch.zeros(1, dtype=torch.long, device=tensor.device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([len(tensor)], device=tensor.device))
    return torch.cat(counts).tolist()


def _logsumexp_across_processes(own: Tensor) -> Tensor:
    """Log-sum-exp over processes of `(num_texts,)`; differentiable in the own part, the others are constants."""
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own.detach().contiguous())
    parts[dist.get_rank()] = own
    return torch.stack(parts).logsumexp(dim=0)


def _value_of_all_gradient_of_own(value: Tensor, own: Tensor) -> Tensor:
    # `DistributedDataParallel` divides the summed gradients by the number of processes; the factor undoes that.
    own = own * dist.get_world_size()
    return own + (value - own).detach()


def _positive_weights(positives: Tensor | None, logits: Tensor, num_texts: int, *, across_processes: bool) -> Tensor:
    """Check `positives` against the logits `(num_ecgs, all texts)`, or make the identity of paired rows."""
    if positives is None:
        if len(logits) != num_texts:
            raise ValueError(
                f"Without `positives` ECGs and texts are paired by row, got {len(logits)} ECGs and {num_texts} texts. "
                "Pass `positives` of shape (num_ecgs, num_texts)."
            )
        start = sum(_row_counts(logits)[: dist.get_rank()]) if across_processes else 0
        rows = torch.arange(num_texts, device=logits.device)
        return F.one_hot(rows + start, logits.shape[1]).to(logits.dtype)
    if positives.shape != logits.shape:
        texts = "texts of all processes" if across_processes else "texts"
        raise ValueError(
            f"`positives` must have shape (ECGs, {texts}) = {tuple(logits.shape)}, got {tuple(positives.shape)}."
        )
    # Not checked on accelerators: reading a value there would make every training step wait.
    if positives.device.type == "cpu" and positives.dtype != torch.bool and (positives < 0).any():
        raise ValueError(f"`positives` are non-negative weights, got {positives.min().item()}.")
    return positives.to(logits.device, logits.dtype)


__all__ = ["gather_with_gradient", "info_nce_loss", "pairwise_logits", "siglip_loss"]
