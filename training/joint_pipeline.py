"""The joint miniature as an unmodified `StableDiffusion3Pipeline`."""

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from tokenizers import Regex, Tokenizer, models, normalizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from adhere import mini
from training.joint import Shape, Words


def clip(shape: Shape, words: Words, half: int, tokenizer: CLIPTokenizer) -> torch.nn.Module:
    """One of the two CLIP encoders, with its half of the words' channels.

    SD3 reads the second last hidden state, which of one layer are the embeddings, and the
    pooled projection, which is zero.
    """
    width = shape.text_width // 2
    encoder = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=8,
            projection_dim=width,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=shape.length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    embeddings = next(m for m in encoder.modules() if hasattr(m, "position_embedding"))
    channels = slice(half * width, (half + 1) * width)
    with torch.no_grad():
        for part in ("token_embedding", "position_embedding"):
            source = getattr(words, part).weight[:, channels]
            getattr(embeddings, part).weight.copy_(source)
        encoder.text_projection.weight.zero_()
    return encoder.eval()


def silent_t5(shape: Shape) -> tuple[T5EncoderModel, PreTrainedTokenizerFast]:
    """A T5 that says nothing: every text is empty to it, and every column is zero.

    `StableDiffusion3Pipeline.from_pretrained` refuses a folder without a T5. This one gives
    the columns of zeros that the pipeline itself appends where it is told that there is none.
    """
    encoder = T5EncoderModel(
        T5Config(vocab_size=3, d_model=shape.text_width, d_kv=8, d_ff=8, num_layers=0, num_heads=1)
    )
    torch.nn.init.zeros_(encoder.encoder.final_layer_norm.weight)
    silent = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2}, "<unk>"))
    silent.normalizer = normalizers.Replace(Regex(r"[\s\S]"), "")
    silent.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=silent,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
    return encoder.eval(), tokenizer


def pipeline(
    transformer: SD3Transformer2DModel, words: Words, shape: Shape, tokenizer: CLIPTokenizer
) -> StableDiffusion3Pipeline:
    """The pipeline of trained parts; the autoencoder is the bundled one."""
    encoders = [clip(shape, words, half, tokenizer) for half in (0, 1)]
    t5, t5_tokenizer = silent_t5(shape)
    return StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=encoders[0],
        tokenizer=tokenizer,
        text_encoder_2=encoders[1],
        tokenizer_2=tokenizer,
        text_encoder_3=t5,
        tokenizer_3=t5_tokenizer,
    )


def autoencoder() -> AutoencoderKL:
    """The bundled autoencoder with the shift that SD3 asks for, 0."""
    vae = AutoencoderKL.from_pretrained(mini.folder() / "vae", dtype=torch.float32)
    vae.register_to_config(shift_factor=0.0)
    return vae.eval()
