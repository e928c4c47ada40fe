"""What goes wrong in generated pictures, done to drawn things and to whole pictures.

A layer is one thing, RGBA float32 of shape (side, side, 4) in 0…255, colours not multiplied by
opacity. Pictures are (B, 3, 128, 128) in -1…1.
"""

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Two layers as one: `share` of the first, (side, side, 1) or a number in 0…1."""
    weights = share * first[..., 3:], (1 - share) * second[..., 3:]
    opacity = weights[0] + weights[1]
    colour = weights[0] * first[..., :3] + weights[1] * second[..., :3]
    return np.concatenate([colour / np.maximum(opacity, 1e-3), opacity], -1).astype(np.float32)


def _ramp(random: np.random.Generator, side: int) -> np.ndarray:
    """-1…1 across a square, along a random direction, mostly upright or level."""
    angle = random.integers(4) * np.pi / 2
    if random.random() < 0.4:
        angle = random.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:side, 0:side] / max(side - 1, 1) * 2 - 1
    return (rows * np.sin(angle) + columns * np.cos(angle)).astype(np.float32)


def _blobs(random: np.random.Generator, side: int, cells: int) -> np.ndarray:
    """A smooth random field of mean 0 and deviation about 1."""
    coarse = Image.fromarray(random.standard_normal((cells, cells)).astype(np.float32))
    field = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return field / max(float(field.std()), 1e-3)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def halves(random: np.random.Generator, side: int) -> np.ndarray:
    """A share for `mix` that is one half of each, with a sharp or a soft seam."""
    seam, softness = random.uniform(-0.15, 0.15), random.uniform(0.02, 0.4)
    return _sigmoid((_ramp(random, side) - seam) / softness)[..., None]


def patches(random: np.random.Generator, side: int) -> np.ndarray:
    """A share for `mix` that changes from place to place."""
    field = _blobs(random, side, int(random.integers(3, 6)))
    return _sigmoid(field * random.uniform(1, 6))[..., None]


def colours_apart(first: np.ndarray, second: np.ndarray) -> float:
    """How far two layers' mean colours lie from each other, 0…441."""
    means = [
        (layer[..., :3] * layer[..., 3:]).sum((0, 1)) / max(layer[..., 3].sum(), 1.0)
        for layer in (first, second)
    ]
    return float(np.linalg.norm(means[0] - means[1]))


def in_colours_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The first layer's shape with the mean and deviation of the second one's colours."""
    (mean, deviation), (new_mean, new_deviation) = (
        (seen.mean(0), seen.std(0) + 1)
        for layer in (first, second)
        for seen in [layer[layer[..., 3] > 128][:, :3]]
    )
    colour = (first[..., :3] - mean) / deviation * np.minimum(new_deviation, 1.3 * deviation)
    return np.concatenate([np.clip(colour + new_mean, 0, 255), first[..., 3:]], -1)


def erase(random: np.random.Generator, layer: np.ndarray, keep: float) -> np.ndarray:
    """The layer with all but about `keep` of it gone, from one side or in patches."""
    side = len(layer)
    field = _ramp(random, side) if random.random() < 0.6 else _blobs(random, side, 3)
    seen = field[layer[..., 3] > 64]
    edge = np.quantile(seen, 1 - keep)
    softness = random.uniform(0.02, 0.15)
    return np.concatenate(
        [layer[..., :3], layer[..., 3:] * _sigmoid((field - edge) / softness)[..., None]], -1
    )


def smear(layer: np.ndarray, sigma: float) -> np.ndarray:
    """The layer blurred, with room around for what runs out of it."""
    room = int(2 * sigma) + 1
    wide = np.pad(layer, ((room, room), (room, room), (0, 0)))
    opacity = wide[..., 3:] / 255
    premultiplied = np.concatenate([wide[..., :3] * opacity, wide[..., 3:]], -1)
    image = Image.fromarray(premultiplied.round().astype(np.uint8), "RGBA")
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)), np.float32)
    colour = np.clip(soft[..., :3] / np.maximum(soft[..., 3:] / 255, 1e-3), 0, 255)
    return np.concatenate([colour, soft[..., 3:]], -1)


def shuffle(random: np.random.Generator, layer: np.ndarray) -> np.ndarray:
    """The layer cut into 9 or 16 tiles that stand in a wrong order: colours without a shape."""
    tiles = int(random.integers(3, 5))
    edge = len(layer) // tiles
    cut = layer[: edge * tiles, : edge * tiles]
    grid = cut.reshape(tiles, edge, tiles, edge, 4).swapaxes(1, 2).reshape(-1, edge, edge, 4)
    order = random.permutation(len(grid))
    while (order == np.arange(len(order))).mean() > 0.2:
        order = random.permutation(len(grid))
    mixed = grid[order].reshape(tiles, tiles, edge, edge, 4).swapaxes(1, 2)
    return mixed.reshape(cut.shape).copy()


def melt(random: np.random.Generator, layer: np.ndarray, strength: float) -> np.ndarray:
    """The layer run together: every point shows another, about `strength` of its side away."""
    side = len(layer)
    room = side // 6
    wide = np.pad(layer, ((room, room), (room, room), (0, 0)))
    rows, columns = np.mgrid[0 : len(wide), 0 : len(wide)]
    cells = int(random.integers(4, 8))
    down, across = (_blobs(random, len(wide), cells) * strength * side for _ in range(2))
    rows = np.clip(rows + down.round().astype(int), 0, len(wide) - 1)
    columns = np.clip(columns + across.round().astype(int), 0, len(wide) - 1)
    return smear(wide[rows, columns], 0.6)


def bend(random: np.random.Generator, layer: np.ndarray) -> np.ndarray:
    """The layer turned a little, stretched and sheared."""
    side = len(layer)
    turn, shear = random.uniform(-0.22, 0.22), random.uniform(-0.12, 0.12)
    wide, tall = random.uniform(1.0, 1.28, 2)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array([[wide, shear], [0.0, tall]])
    shift = (np.eye(2) - matrix) @ np.full(2, side / 2)
    image = Image.fromarray(layer.round().astype(np.uint8), "RGBA").convert("RGBa")
    numbers = (*matrix[0], shift[0], *matrix[1], shift[1])
    bent = image.transform(
        (side, side), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR
    )
    return np.asarray(bent.convert("RGBA"), np.float32)


def warp(images: Tensor, boxes: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures mirrored, moved, zoomed and bent, and their boxes moved along.

    Args:
        images: (B, 3, H, W).
        boxes: (B, K, 4) in pixels, (left, top, right, bottom).
        random: of the CPU; draws how.

    Returns:
        Pictures and boxes of the same shapes; boxes may reach beyond the picture.
    """
    batch, _, height, width = images.shape
    scale = 1 + 0.12 * (2 * torch.rand(batch, 1, generator=random) - 1)
    mirror = torch.where(torch.rand(batch, 1, generator=random) < 0.5, -1.0, 1.0)
    shift = 0.12 * (2 * torch.rand(batch, 2, generator=random) - 1)
    # A third of the pictures stays on its pixels, so that sharp edges are seen too.
    still = torch.rand(batch, 1, generator=random) < 0.33
    scale = torch.where(still, 1.0, scale)
    shift = torch.where(still, 0.0, shift)
    bending = 0.05 * torch.rand(batch, 1, 1, 1, generator=random) ** 2
    bending = torch.where(still[:, :, None, None], 0.0, bending)
    cells = 3 + int(torch.randint(4, (1,), generator=random))
    coarse = torch.randn(batch, 2, cells, cells, generator=random) * bending
    field = F.interpolate(coarse, (32, 32), mode="bicubic", align_corners=False)
    field = F.interpolate(field, (height, width), mode="bilinear", align_corners=False)
    stretch = torch.cat([scale * mirror, scale], 1)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
    points = grid * stretch[:, None, None] + shift[:, None, None] + field.permute(0, 2, 3, 1)
    warped = F.grid_sample(
        images, points.to(images.device), padding_mode="border", align_corners=False
    )
    size = torch.tensor([width, height])
    corners = boxes.view(batch, -1, 2, 2) / size * 2 - 1
    middles = corners.mean(2)
    moved = (corners - shift[:, None, None]) / stretch[:, None, None]
    # The field is nearly even over one thing, so its value in the middle moves the whole box.
    at = ((middles - shift[:, None]) / stretch[:, None])[:, :, None]
    local = F.grid_sample(field, at, padding_mode="border", align_corners=False)
    moved = moved - local[..., 0].transpose(1, 2)[:, :, None] / stretch[:, None, None]
    ordered = torch.stack([moved.amin(2), moved.amax(2)], 2)
    return warped, ((ordered + 1) / 2 * size).view(batch, -1, 4)


def _soften(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, a sigma in pixels for each picture."""
    batch, channels, height, width = images.shape
    steps = torch.arange(-4, 5)
    kernel = torch.exp(-0.5 * (steps / sigma[:, None].clamp_min(0.05)) ** 2)
    kernel = (
        (kernel / kernel.sum(1, keepdim=True)).to(images.device).repeat_interleave(channels, 0)
    )
    flat = images.reshape(1, batch * channels, height, width)
    flat = F.conv2d(
        F.pad(flat, (4, 4, 0, 0), mode="replicate"), kernel[:, None, None], groups=len(kernel)
    )
    flat = F.conv2d(
        F.pad(flat, (0, 0, 4, 4), mode="replicate"), kernel[:, None, :, None], groups=len(kernel)
    )
    return flat.view_as(images)


def weather(images: Tensor, random: torch.Generator) -> Tensor:
    """Pictures of which most have their colours shifted a little, a blur, noise or blotches."""
    batch, _, height, width = images.shape
    device = images.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=random).to(device)

    shifted = (draw(1, 1, 1) < 0.6).float()
    gain = 1 + shifted * (0.16 * draw(1, 1, 1) - 0.08 + 0.1 * draw(3, 1, 1) - 0.05)
    lift = shifted * (0.16 * draw(1, 1, 1) - 0.08 + 0.08 * draw(3, 1, 1) - 0.04)
    images = images * gain + lift
    is_blurred = draw() < 0.4
    sigma = 1.5 * draw()[is_blurred]
    if len(sigma):
        images[is_blurred] = _soften(images[is_blurred], sigma.cpu())
    for share, most, cells in ((0.35, 0.10, height), (0.3, 0.12, 24)):
        chosen = draw() < share
        strength = most * draw(1, 1, 1)[chosen] ** 2
        noise = torch.randn(len(strength), 3, cells, cells * width // height, generator=random)
        noise = F.interpolate(noise, (height, width), mode="bilinear", align_corners=False)
        images[chosen] += strength * noise.to(device)
    return images.clamp(-1, 1)
