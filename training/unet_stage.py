"""The bundled U-Net's training, gone on with on the world as it is now."""

from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from adhere import mini
from training import checkpoint, judge
from training.assemble import assemble
from training.denoiser import DenoiserStage, scheduler
from training.dial import TrainingRecipe
from training.stable import Stable
from training.text import LENGTH, build_text_encoder
from training.words import kept_tokenizer, shared_rows


class UNetStage(Stable, DenoiserStage):
    """The denoiser's loss, from the bundled weights on: known words keep their rows."""

    name = "unet"
    report_every = 250

    def __init__(
        self, means: Tensor, seed: int = 0, folder: Path | None = None, lr: float = 5e-4
    ) -> None:
        """`folder` keeps the tokenizer, and the pipeline of each report; None writes none."""
        torch.manual_seed(seed + 1)
        self.means, self.seed, self.folder = means, seed, folder
        pipe = mini.load()
        self.vae, self.scale = pipe.vae, pipe.vae.config.scaling_factor
        self.unet = pipe.unet
        self.tokenizer = kept_tokenizer(folder, LENGTH)
        self.text_encoder = _grown(pipe.text_encoder, pipe.tokenizer, self.tokenizer)
        self.unet.set_attn_processor(AttnProcessor())
        self.unet.to(memory_format=torch.channels_last)
        self.modules = {"unet": self.unet, "text_encoder": self.text_encoder}
        self.batch_size, self.lr = 32, lr
        self.settings = {
            "stage": self.name,
            "seed": seed,
            "vocabulary": len(self.tokenizer),
            "autoencoder_sha256": checkpoint.digest(self.vae),
        }
        self.alphas = scheduler().alphas_cumprod

    def report(self, device: torch.device) -> tuple[dict[str, float], np.ndarray | None]:
        """Localisation and singles; the pipeline goes into the folder."""
        pipe = self.pipeline()
        figures = self.localisation(pipe)
        shown, sheet = judge.sheet(pipe, height=128, width=128)
        if self.folder is not None:
            assemble(pipe, self.folder / "pipeline")
        return figures | shown, sheet


def _grown(old: torch.nn.Module, old_tokenizer: object, tokenizer: object) -> torch.nn.Module:
    """A text encoder for a new vocabulary, with the rows of the words that the old one had."""
    encoder = build_text_encoder(TrainingRecipe(), tokenizer)
    weights = old.state_dict()
    own = encoder.state_dict()
    token = next(name for name in own if name.endswith("token_embedding.weight"))
    with torch.no_grad():
        table = own[token] * weights[token].std() / own[token].std()
        for new, row in shared_rows(tokenizer.get_vocab(), old_tokenizer.get_vocab()):
            table[new] = weights[token][row]
    encoder.load_state_dict(weights | {token: table})
    return encoder
