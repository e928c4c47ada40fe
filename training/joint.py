"""The joint-attention miniature: an `SD3Transformer2DModel` and the words that it reads."""

from dataclasses import dataclass

import torch
from diffusers import SD3Transformer2DModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional

from adhere import mini
from training.words import shared_rows

# The columns of the absent T5 that training sees, the pipeline's default last, and how often.
ZEROS, ZEROS_SHARES = (1, 16, 77, 256), (1, 1, 1, 3)
GATES = 0.3


@dataclass(frozen=True)
class Shape:
    """The size of the transformer and of its text.

    Attributes:
        width: channels of a token of the image; a multiple of the heads.
        layers: joint blocks.
        heads: of attention.
        text_width: channels of a text column, half of them from each CLIP encoder.
        length: text columns, padding included.
        patch: latents a side that make one token of the image, 1 or 2.
    """

    width: int = 192
    layers: int = 6
    heads: int = 6
    text_width: int = 128
    length: int = 24
    patch: int = 1


class Words(nn.Module):
    """What the two CLIP encoders say of a prompt: each token's embedding and its position."""

    def __init__(self, shape: Shape, vocabulary: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, shape.text_width)
        self.position_embedding = nn.Embedding(shape.length, shape.text_width)
        nn.init.normal_(self.position_embedding.weight, std=0.3)

    def forward(self, ids: Tensor) -> Tensor:
        """Columns (N, L, C) of ids (N, L), where L is the length."""
        return self.token_embedding(ids) + self.position_embedding.weight


class CountedColumn:
    """SD3's joint attention where the last text column stands for several that are equal.

    The absent T5 gives many columns of zeros. They have no positions, so they stay equal in
    every layer: one column whose score gains the logarithm of their number does what they do.
    The number's logarithm (N) is given as `joint_attention_kwargs["zeros"]`. With `record`
    set, the probabilities of the image's rows, mean over the heads, are kept in `rows`.
    """

    def __init__(self) -> None:
        self.record, self.rows = False, None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
        zeros: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The image's and the text's tokens after attention; no mask is ever given."""

        def heads(x: Tensor, norm: nn.Module | None = None) -> Tensor:
            x = x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            return x if norm is None else norm(x)

        image, text = hidden_states, encoder_hidden_states
        query = [heads(attn.to_q(image), attn.norm_q)]
        query += [heads(attn.add_q_proj(text), attn.norm_added_q)]
        key = [heads(attn.to_k(image), attn.norm_k)]
        key += [heads(attn.add_k_proj(text), attn.norm_added_k)]
        value = [heads(attn.to_v(image)), heads(attn.add_v_proj(text))]
        q, k, v = (torch.cat(parts, 2) for parts in (query, key, value))
        bias = functional.pad(zeros.view(-1, 1, 1, 1), (k.shape[2] - 1, 0))
        if self.record:
            scores = q @ k.mT / q.shape[-1] ** 0.5 + bias
            self.rows = scores.softmax(-1)[:, :, : image.shape[1]].mean(1)
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        found = found.transpose(1, 2).flatten(2)
        of_image, of_text = found.split([image.shape[1], text.shape[1]], 1)
        if not attn.context_pre_only:
            of_text = attn.to_add_out(of_text)
        return attn.to_out[0](of_image), of_text


def build(shape: Shape) -> SD3Transformer2DModel:
    """The untrained transformer, with modulations that say nothing yet."""
    model = SD3Transformer2DModel(
        sample_size=16,
        patch_size=shape.patch,
        in_channels=4,
        out_channels=4,
        num_layers=shape.layers,
        attention_head_dim=shape.width // shape.heads,
        num_attention_heads=shape.heads,
        joint_attention_dim=shape.text_width,
        caption_projection_dim=shape.width,
        pooled_projection_dim=shape.text_width,
        pos_embed_max_size=16 // shape.patch,
        qk_norm="rms_norm",
    )
    with torch.no_grad():
        for name, module in model.named_modules():
            if name.endswith(("norm1.linear", "norm1_context.linear", "norm_out.linear")):
                module.weight.zero_()
                module.bias.zero_()
                if module.out_features == 6 * shape.width:
                    for gate in (2, 5):
                        module.bias[gate * shape.width :][: shape.width] = GATES
        model.proj_out.weight.zero_()
        model.proj_out.bias.zero_()
    return model


def attend_with_counts(model: SD3Transformer2DModel) -> list[CountedColumn]:
    """Give every layer a `CountedColumn`, first layer first."""
    counted = [CountedColumn() for _ in model.transformer_blocks]
    for block, processor in zip(model.transformer_blocks, counted, strict=True):
        block.attn.set_processor(processor)
    return counted


def columns(text: Tensor) -> Tensor:
    """Text columns (N, L, C) with the one of zeros behind them."""
    return functional.pad(text, (0, 0, 0, 1))


def initial_words(shape: Shape, tokenizer: object) -> Words:
    """Words that start from the bundled U-Net's embeddings, where it has them.

    Rows are scaled to a standard deviation of about 1; words that it does not know, and
    models of another width, start from noise.
    """
    words = Words(shape, len(tokenizer))
    pipe = mini.load()
    table = pipe.text_encoder.get_input_embeddings().weight.detach()
    if table.shape[1] == shape.text_width:
        rows = shared_rows(tokenizer.get_vocab(), pipe.tokenizer.get_vocab())
        with torch.no_grad():
            for new, old in rows:
                words.token_embedding.weight[new] = table[old] / table.std()
    return words
