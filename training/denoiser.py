"""Stage 2: the U-Net and the tokens that it reads, trained together on cached latents."""

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor
from torch.utils.data import Dataset
from transformers import CLIPTokenizer

from training import checkpoint
from training.dial import TrainingRecipe
from training.gates.localisation import localisation
from training.latents import scene
from training.loop import Stage
from training.precision import autocast
from training.text import build_text_encoder, build_tokenizer
from training.world.captions import caption
from training.world.mix import FORGET

DROP_CAPTION = 0.1
SHEET_PROMPTS = (
    "a cat", "a frog", "an elephant", "a red car", "a blue crown", "a green chair",
    "a photo of a turtle", "two rabbits", "a dog and a bird", "a cat and a frog",
    "a lion and a mouse", "a bear and a yellow balloon", "a red apple and a blue clock",
    "a purple backpack and a white bench", "a horse in the forest", "a monkey on the beach",
)  # fmt: skip


def build(recipe: TrainingRecipe) -> UNet2DConditionModel:
    """The untrained U-Net of a recipe: 16×16 and 8×8, cross-attention at both."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=recipe.denoiser_widths,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=recipe.text_width,
        attention_head_dim=(2, 4),
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, predicting v."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


class Captioned(Dataset):
    """Latents with a caption, by number; a scene seen again is captioned anew."""

    def __init__(
        self, means: Tensor, scale: float, seed: int, tokenizer: CLIPTokenizer | None = None
    ) -> None:
        self.means, self.scale, self.seed = means, scale, seed
        self.tokenizer = tokenizer or build_tokenizer()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = index % len(self.means)
        random = np.random.default_rng((self.seed, 3, index))
        text = caption(scene(self.seed, number), random, FORGET)
        if random.random() < DROP_CAPTION:
            text = ""
        ids = self.tokenizer(text, padding="max_length", truncation=True).input_ids
        return self.means[number].float() * self.scale, torch.tensor(ids)


class DenoiserStage(Stage):
    """Mean squared error of v, at timesteps drawn mostly from the middle of the schedule."""

    name = "denoiser"
    report_every = 500

    def __init__(self, recipe: TrainingRecipe, means: Tensor, pipeline_parts: dict) -> None:
        """`pipeline_parts` holds the trained `vae`, for pictures in reports."""
        torch.manual_seed(recipe.seed + 1)
        self.means, self.vae = means, pipeline_parts["vae"]
        self.scale = 1 / means[:4096].float().std().item()
        self.tokenizer = build_tokenizer()
        self.unet = build(recipe)
        self.text_encoder = build_text_encoder(recipe, self.tokenizer)
        # Explicit attention trains a third faster than the fused kernel on a CPU at this size.
        self.unet.set_attn_processor(AttnProcessor())
        self.modules = {"unet": self.unet, "text_encoder": self.text_encoder}
        self.steps, self.batch_size, self.lr = recipe.steps(7200), 32, 1.5e-3
        self.settings = recipe.settings() | {
            "stage": self.name,
            "steps": self.steps,
            "autoencoder_sha256": checkpoint.digest(self.vae),
        }
        self.seed = recipe.seed
        self.alphas = scheduler().alphas_cumprod

    def dataset(self) -> Dataset:
        """Latents with a caption, by number."""
        return Captioned(self.means, self.scale, self.seed, self.tokenizer)

    def loss(self, batch: list[Tensor], step: int, device: torch.device) -> Tensor:
        """Mean squared error of v over the batch."""
        latents, ids = (part.to(device) for part in batch)
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        noise = torch.randn(latents.shape, generator=random).to(device)
        middle = torch.sigmoid(torch.randn(len(latents), generator=random))
        evenly = torch.rand(len(latents), generator=random)
        is_even = torch.rand(len(latents), generator=random) < 0.2
        timesteps = (torch.where(is_even, evenly, middle) * 1000).long().clamp(0, 999)
        alphas = self.alphas[timesteps].to(device).view(-1, 1, 1, 1)
        noisy = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
        target = alphas.sqrt() * noise - (1 - alphas).sqrt() * latents
        with autocast(device):
            hidden = self.text_encoder(ids).last_hidden_state
            predicted = self.unet(noisy, timesteps.to(device), hidden).sample
        return (predicted.float() - target).square().mean()

    def pipeline(self) -> StableDiffusionPipeline:
        """The parts put together, sharing their weights with the stage."""
        self.vae.register_to_config(scaling_factor=self.scale)
        return StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def localisation(self, pipe: StableDiffusionPipeline, count: int = 64) -> dict[str, float]:
        """Where the nouns' attention peaks on held-out scenes, as the gates do."""
        # Scores are read where the fused kernel is called.
        self.unet.set_attn_processor(AttnProcessor2_0())
        try:
            shares = localisation(pipe, count)
        finally:
            self.unet.set_attn_processor(AttnProcessor())
        return {name: round(float(share), 4) for name, share in shares.items()}

    def report(self, device: torch.device) -> tuple[dict[str, float], np.ndarray]:
        """Localisation, and sixteen fixed prompts, one fixed seed each, 25 steps."""
        pipe = self.pipeline().to(device)
        pipe.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(i) for i in range(len(SHEET_PROMPTS))]
        pictures = pipe(
            list(SHEET_PROMPTS),
            num_inference_steps=25,
            generator=generators,
            height=128,
            width=128,
            output_type="np",
        ).images
        tiles = (np.asarray(pictures) * 255).round().astype(np.uint8)
        rows = [np.concatenate(list(tiles[i : i + 8]), 1) for i in range(0, len(tiles), 8)]
        return self.localisation(pipe), np.concatenate(rows, 0)
