"""The bundled U-Net as a teacher of flow matching (distillation, arXiv 1503.02531)."""

import torch
from torch import Tensor
from torch.nn import functional

from adhere import mini
from training.text import LENGTH


class Teacher:
    """The velocity that the bundled U-Net expects of noisy latents.

    It predicts v of x = a x0 + s e, from which follow x0 and e, and so e - x0. Divided by
    a + s, such latents are those of flow matching at the share of noise s / (a + s).

    Attributes:
        levels: the shares of noise (1000) that it knows, rising.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """On a device, where its arguments must be too."""
        pipe = mini.load().to(device)
        self.unet, self.text_encoder = pipe.unet, pipe.text_encoder
        self.padding = pipe.tokenizer.pad_token_id
        alphas = pipe.scheduler.alphas_cumprod.to(device)
        self.of_image, self.of_noise = alphas.sqrt(), (1 - alphas).sqrt()
        self.levels = self.of_noise / (self.of_image + self.of_noise)

    def timesteps(self, levels: Tensor) -> Tensor:
        """The timesteps (N) whose shares of noise are nearest to `levels` (N)."""
        return (self.levels - levels.view(-1, 1)).abs().argmin(1)

    @torch.no_grad()
    def velocity(self, noisy: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """The expected velocity (N, 4, 16, 16).

        Args:
            noisy: latents of the same shape, of flow matching.
            timesteps: of the U-Net (N), 0 to 999.
            ids: tokens (N, L) of the captions, in the vocabulary of both models.
        """
        ids = functional.pad(ids, (0, LENGTH - ids.shape[1]), value=self.padding)
        a, s = (x[timesteps].view(-1, 1, 1, 1) for x in (self.of_image, self.of_noise))
        x = noisy * (a + s)
        v = self.unet(x, timesteps, self.text_encoder(ids).last_hidden_state).sample.float()
        return (s * x + a * v) - (a * x - s * v)
