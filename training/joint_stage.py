"""The joint miniature's training: flow matching on cached latents."""

import math
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor
from torch.utils.data import Dataset

from training import checkpoint, judge
from training.assemble import assemble
from training.denoiser import Captioned
from training.joint import (
    ZEROS,
    ZEROS_SHARES,
    Shape,
    attend_with_counts,
    build,
    columns,
    initial_words,
)
from training.joint_pipeline import autoencoder, pipeline
from training.precision import autocast
from training.stable import Stable
from training.teacher import Teacher
from training.words import kept_tokenizer

# The share of noise of the first steps, and the part of a batch drawn around it.
HIGH, HIGH_SHARE = 0.9, 0.25


def noise_levels(count: int, random: torch.Generator) -> Tensor:
    """Shares of noise (N) over (0, 1): logit-normal draws, a part of them around `HIGH`.

    The logit-normal alone (arXiv 2403.03206, section 3.1) has 0.4% beyond 0.936, where the
    first steps of an image lie.
    """
    shares = (torch.arange(count) + torch.rand(count, generator=random)) / count
    shares = shares[torch.randperm(count, generator=random)].clamp(1e-4, 1 - 1e-4)
    logits = torch.special.ndtri(shares)
    logits[: round(HIGH_SHARE * count)] += math.log(HIGH / (1 - HIGH))
    return torch.sigmoid(logits)[torch.randperm(count, generator=random)]


class JointStage(Stable):
    """Mean squared error of the velocity at the levels of `noise_levels`."""

    name = "joint"
    report_every = 1500

    def __init__(
        self,
        means: Tensor,
        shape: Shape | None = None,
        seed: int = 0,
        compiled: bool = False,
        folder: Path | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """`folder` keeps the tokenizer, and the pipeline of each report; None writes none.

        With a teacher, its velocity is learned instead of the data's.
        """
        torch.manual_seed(seed + 1)
        self.shape, self.seed, self.folder = shape or Shape(), seed, folder
        self.means, self.teacher = means, teacher
        self.vae = autoencoder()
        self.scale = self.vae.config.scaling_factor
        self.tokenizer = kept_tokenizer(folder, self.shape.length)
        self.words = initial_words(self.shape, self.tokenizer)
        self.transformer = build(self.shape)
        attend_with_counts(self.transformer)
        self.modules = {"transformer": self.transformer, "words": self.words}
        self.compiled = torch.compile(self.transformer) if compiled else self.transformer
        self.batch_size, self.lr = 32, 1.5e-3
        self.settings = {
            "stage": self.name,
            "seed": seed,
            "vocabulary": len(self.tokenizer),
            "autoencoder_sha256": checkpoint.digest(self.vae),
            "teacher_sha256": teacher and checkpoint.digest(teacher.unet),
        } | vars(self.shape)

    def dataset(self) -> Dataset:
        """Latents with a caption, by number."""
        return Captioned(self.means, self.scale, self.seed, self.tokenizer)

    def velocity(self, noisy: Tensor, levels: Tensor, ids: Tensor, zeros: Tensor) -> Tensor:
        """The predicted velocity (N, 4, 16, 16).

        Args:
            noisy: latents of the same shape.
            levels: share of noise (N), 0 to 1.
            ids: tokens (N, L) of the captions.
            zeros: how many columns of zeros (N) stand behind the text.
        """
        text = self.words(ids)
        # Reports look into the layers and have other sizes, so they are not compiled.
        model = self.compiled if torch.is_grad_enabled() else self.transformer
        return model(
            hidden_states=noisy,
            encoder_hidden_states=columns(text),
            pooled_projections=text.new_zeros(len(ids), self.shape.text_width),
            timestep=levels * 1000,
            joint_attention_kwargs={"zeros": zeros.to(text.dtype).log()},
            return_dict=False,
        )[0]

    def loss(self, batch: list[Tensor], step: int, device: torch.device) -> Tensor:
        """Mean squared error of the velocity over the batch."""
        latents, ids = (part.to(device) for part in batch)
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        noise = torch.randn(latents.shape, generator=random).to(device)
        levels = noise_levels(len(latents), random).to(device)
        if self.teacher is not None:
            # Beyond its noisiest level the data teach.
            known = levels <= self.teacher.levels[-1]
            steps = self.teacher.timesteps(levels)
            levels = torch.where(known, self.teacher.levels[steps], levels)
        shares = torch.tensor(ZEROS_SHARES, dtype=torch.float)
        chosen = torch.multinomial(shares, len(latents), replacement=True, generator=random)
        zeros = torch.tensor(ZEROS)[chosen].to(device)
        blend = levels.view(-1, 1, 1, 1)
        noisy, wanted = latents.lerp(noise, blend), noise - latents
        with autocast(device):
            found = self.velocity(noisy, levels, ids, zeros)
            if self.teacher is not None:
                wanted[known] = self.teacher.velocity(noisy, steps, ids)[known]
        return (found.float() - wanted).square().mean()

    def pipeline(self) -> StableDiffusion3Pipeline:
        """The pipeline of the present weights, a copy."""
        own = build(self.shape)
        own.load_state_dict(self.transformer.state_dict())
        return pipeline(own, self.words, self.shape, self.tokenizer)

    def report(self, device: torch.device) -> tuple[dict[str, float], np.ndarray | None]:
        """Errors, localisation, singles; the pipeline goes into the folder."""
        figures = judge.velocity_errors(self) | judge.localisation(self)
        pipe = self.pipeline()
        if self.folder is not None:
            assemble(pipe, self.folder / "pipeline")
        shown, sheet = judge.sheet(pipe, guidance_scale=5.0, max_sequence_length=16)
        return {k: round(v, 4) for k, v in (figures | shown).items()}, sheet
