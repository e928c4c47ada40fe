"""The one dial of the recipe, and what follows from it."""

from dataclasses import asdict, dataclass

from training.world.sprites import fingerprint


@dataclass(frozen=True)
class TrainingRecipe:
    """All that the training depends on.

    Attributes:
        dial: the size of every network; 2 is the bundled model.
        length: factor on every stage's number of steps; 1 is the published run.
        seed: of weights, scenes, captions and noise.
    """

    dial: int = 2
    length: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.dial <= 8:
            raise ValueError(
                f"The dial is {self.dial}; it goes from 1 to 8 (2 is the bundled model)."
            )
        if not 0 < self.length <= 1000:
            raise ValueError(
                f"The length is {self.length}; give a factor above 0 (1 is the published run)."
            )

    @property
    def autoencoder_widths(self) -> tuple[int, ...]:
        """Channels of the autoencoder at 128, 64, 32 and 16 pixels."""
        return tuple(self.dial * width for width in (8, 16, 32, 64))

    @property
    def denoiser_widths(self) -> tuple[int, ...]:
        """Channels of the U-Net at 16×16 and 8×8."""
        return tuple(self.dial * width for width in (32, 96))

    @property
    def text_width(self) -> int:
        """Channels of a token."""
        return 64 * self.dial

    def steps(self, published: int) -> int:
        """A stage's number of steps, from that of the published run."""
        return max(1, round(self.length * published))

    def settings(self) -> dict[str, float | str]:
        """The recipe as plain values, and which sprite file it draws with."""
        return asdict(self) | {"sprites_sha256": fingerprint()}
