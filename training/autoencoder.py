"""Stage 1: the autoencoder, 128×128 pictures to 16×16 latents of 4 channels."""

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from training import world
from training.dial import TrainingRecipe
from training.loop import Stage
from training.precision import autocast

SIZE, CROP = 128, 64
KL_WEIGHT = 3e-5


def build(recipe: TrainingRecipe) -> AutoencoderKL:
    """The untrained autoencoder of a recipe."""
    widths = recipe.autoencoder_widths
    return AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
        mid_block_add_attention=False,
    )


def to_model(pictures: Tensor) -> Tensor:
    """Pictures (B, H, W, 3) uint8 as the autoencoder takes them: (B, 3, H, W) in -1…1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_picture(images: Tensor) -> np.ndarray:
    """The autoencoder's (B, 3, H, W) in -1…1 as pictures (B, H, W, 3) uint8."""
    scaled = (images.float() * 127.5 + 127.5).clamp(0, 255).round()
    return scaled.byte().permute(0, 2, 3, 1).cpu().numpy()


class Pictures(Dataset):
    """Scenes of the training mix by number, whole or cropped near their things."""

    def __init__(self, seed: int, whole_from: int) -> None:
        """Samples numbered `whole_from` and up are whole pictures, those before are crops."""
        self.seed, self.whole_from = seed, whole_from

    def __getitem__(self, index: int) -> Tensor:
        random = np.random.default_rng((self.seed, 1, index))
        scene, _ = world.random_sample(random)
        picture = world.draw(scene, SIZE)
        if index < self.whole_from:
            thing = scene.things[int(random.integers(len(scene.things)))]
            near = np.array([thing.y, thing.x]) + random.uniform(-0.5, 0.5, 2) * thing.size
            top, left = np.clip(near * SIZE - CROP / 2, 0, SIZE - CROP).astype(int)
            picture = picture[top : top + CROP, left : left + CROP]
        return torch.from_numpy(np.ascontiguousarray(picture))


class AutoencoderStage(Stage):
    """Absolute and squared error of pixels and of their edges, with a faint KL term."""

    name = "autoencoder"

    def __init__(self, recipe: TrainingRecipe) -> None:
        torch.manual_seed(recipe.seed)
        self.model = build(recipe)
        self.modules = {"autoencoder": self.model}
        self.steps, self.batch_size, self.lr = recipe.steps(2000), 32, 2e-3
        self.report_every = 400
        self.settings = recipe.settings() | {"stage": self.name, "steps": self.steps}
        self.seed = recipe.seed
        # The last steps see whole pictures, as the model will.
        self.whole_from = int(0.92 * self.steps) * self.batch_size
        random = np.random.default_rng((recipe.seed, 99))
        held_out = [world.draw(world.random_sample(random)[0], SIZE) for _ in range(64)]
        self.held_out = torch.from_numpy(np.stack(held_out))

    def dataset(self) -> Dataset:
        """Crops, then whole pictures, by number."""
        return Pictures(self.seed, self.whole_from)

    def loss(self, batch: Tensor, step: int, device: torch.device) -> Tensor:
        """Reconstruction error of a noisy code, plus a faint KL term."""
        images = to_model(batch.to(device))
        with autocast(device):
            posterior = self.model.encode(images).latent_dist
            noise = torch.randn(
                posterior.mean.shape, generator=torch.Generator().manual_seed(step)
            ).to(device)
            decoded = self.model.decode(posterior.mean + posterior.std * noise).sample
        error = decoded.float() - images
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        pixels = error.abs().mean() + 4 * error.square().mean()
        return pixels + 0.5 * edges + KL_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel()

    @torch.no_grad()
    def report(self, device: torch.device) -> tuple[dict[str, float], np.ndarray]:
        """PSNR in dB over 64 held-out scenes, and 16 of them above their reconstructions."""
        images = to_model(self.held_out.to(device))
        self.model.eval()
        latents = self.model.encode(images).latent_dist.mean
        decoded = self.model.decode(latents).sample.clamp(-1, 1)
        self.model.train()
        error = F.mse_loss(decoded, images, reduction="none").mean((1, 2, 3)) / 4
        psnr = -10 * error.log10()
        figures = {
            "psnr": round(psnr.mean().item(), 3),
            "psnr_lowest": round(psnr.min().item(), 3),
            "latent_std": round(latents.std().item(), 4),
        }
        pairs = np.concatenate([self.held_out[:16].numpy(), to_picture(decoded[:16])], 1)
        return figures, np.concatenate(
            [np.concatenate(list(pairs[i : i + 8]), 1) for i in (0, 8)], 0
        )
