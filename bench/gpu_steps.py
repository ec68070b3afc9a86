"""The steps of ``gpu_train.py``: what is drawn, Adam and the running mean, and a step as a graph on CUDA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

import gpu_photographs
from fastip.train.engine import loop, schedule
from fastip.train.engine.feed import Feed, Stage
from fastip.train.losses.restoration import Drawn
from fastip.train.recipes import photo_denoiser
from gpu_state import MODULE, Kept, Say, objective_of

WARM = 3  # steps before a step is captured: libraries choose their kernels and Adam makes its moments


def drawn(patches: gpu_photographs.Patches, batch: int, levels: Sequence[float]) -> Drawn:
    """What ``Feed`` gives for a step, with the device's random numbers: (x, e, levels, n)."""
    x = patches(batch)
    share = torch.rand(batch, device=x.device)
    low, high = levels
    uniform = torch.arange(batch, device=x.device) % 2 == 0
    chosen = torch.where(uniform, low + (high - low) * share, low * (high / low) ** share)
    return x, torch.randn_like(x), chosen, torch.empty(0, device=x.device)


class Descent:
    """The weights, Adam and the running mean of a state, and a step of them.

    What depends on the step is a tensor on a GPU, filled in before it, so that a captured step can be replayed.
    """

    def __init__(self, kept: Kept, device: torch.device) -> None:
        self.settings, self.history, self.device = kept.settings, kept.history, device
        self.objective = objective_of(kept.settings)
        weights = {n.removeprefix(MODULE): t for n, t in kept.tensors.items() if n.startswith(MODULE)}
        self.objective.load_state_dict(weights)
        self.objective.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = [p for p in self.objective.parameters() if p.requires_grad]
        on_gpu: dict[str, Any] = {"lr": torch.tensor(0.0, device=device), "fused": True, "capturable": True}
        self.adam = torch.optim.Adam(self.weights, betas=(0.9, 0.99), **(on_gpu if device.type == "cuda" else {}))
        self._load_moments(kept.tensors)
        self.share = torch.zeros((), device=device)  # of the way that the mean goes towards the weights

    def _load_moments(self, tensors: Mapping[str, Tensor]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "adam":
                index, _, key = rest.partition(".")
                weight = self.weights[int(index)]
                # A fused step wants the moments laid out as the weights are.
                value = torch.empty_like(weight).detach().copy_(tensor) if tensor.ndim else tensor.clone()
                moments.setdefault(int(index), {})[key] = value
        if moments:
            self.adam.load_state_dict({"state": moments, "param_groups": self.adam.state_dict()["param_groups"]})

    def prepare(self, step: int) -> None:
        """Learning rate and share of the mean of this step."""
        s = self.settings
        rate = schedule.learning_rate(step, s["steps"], s["learning_rate"])
        rate *= schedule.warm_up(step - self.history.since, s["warm_up"])
        group = self.adam.param_groups[0]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
        self.share.fill_(1 - min(s["average"], (1 + step) / (10 + step)))

    def step(self, values: Drawn) -> Tensor:
        """One step of Adam on these; the loss before it. Nothing in it waits for the device."""
        half = self.settings["precision"] == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            loss = self.objective(*values)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.settings["clip"])
        self.adam.step()
        with torch.no_grad():
            for mean, weight in zip(self.objective.average.parameters(), self.weights, strict=True):
                mean.lerp_(weight, self.share)
        return loss.detach()

    def kept(self) -> Kept:
        """The state as it is now. Raises Diverged where a weight is no number."""
        tensors = {f"{MODULE}{name}": tensor for name, tensor in self.objective.state_dict().items()}
        for index, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise loop.Diverged(f"weights are no numbers any more after {self.history.step} steps")
        return Kept(self.settings, tensors, self.history)

    def score(self, pictures: list[Tensor]) -> float:
        """As the CPU's training scores itself."""
        half = self.settings["precision"] == "bf16-mixed"
        return float(np.mean(photo_denoiser.psnr(self.objective.average, pictures, half)))


class Steps:
    """Draws and steps, by the stage of their number: on CUDA a graph of one for each stage, after a few eager ones."""

    def __init__(self, descent: Descent, photographs: gpu_photographs.Photographs, say: Say) -> None:
        self.descent, self.photographs, self.say = descent, photographs, say
        s = descent.settings
        stages = [Stage(**stage) for stage in s["stages"]]
        self.feed = Feed(cast(Any, None), stages, s["steps"], tuple(s["levels"]), s["seed"])
        self.shape = (0, 0)
        self.captures = descent.device.type == "cuda"

    def __call__(self, step: int) -> Tensor:
        """One step; the loss before it, which the next replay overwrites."""
        stage, _ = self.feed.stage(step)
        if self.shape != (stage.batch, stage.size):
            self.shape, self.done = (stage.batch, stage.size), 0
            self.patches = self.photographs.patches(stage.size)
            self.graph: torch.cuda.CUDAGraph | None = None
            self.say(f"from step {step} on: {stage.batch} patches of {stage.size} x {stage.size} a step")
        self.descent.prepare(step)
        if self.captures and self.graph is None and self.done >= WARM:
            self._capture()
        if self.graph is not None:
            self.graph.replay()
            return self.loss
        self.done += 1
        return self._step()

    def _step(self) -> Tensor:
        return self.descent.step(drawn(self.patches, self.shape[0], self.feed.levels))

    def _capture(self) -> None:
        """Record a step, which does not run it. Where that fails, steps stay eager."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self.loss = self._step()
            self.graph = graph
            self.say("a step is captured as a graph")
        except RuntimeError as error:
            self.captures = False
            self.say(f"NO GRAPH, each operation is launched by itself: {str(error).strip().splitlines()[0]}")
            self.descent.adam.zero_grad(set_to_none=True)
            torch.cuda.synchronize()
