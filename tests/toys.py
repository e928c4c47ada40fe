"""Tiny pipelines of real diffusers classes with fixed weights: all anatomy, no size.

Latents are 8 x 8 for 32 pixels, with cross-attention at 8 x 8 and 4 x 4.
"""

from functools import cache
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLAdapterPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

# The toys' weights hang on this list, so it does not follow the bundled model's world.
DATA = Path(__file__).parent / "data"
SIZE = 32
WIDTH = 32
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer():
    """A CLIP tokenizer with whole words of the bundled model's world; others fall into pieces."""
    merges = _merges()
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)]
    pieces = [*dict.fromkeys(pieces), "<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


@cache
def _merges():
    """Merges that make each word one token: what earlier ones leave is joined at the front."""
    merges = []
    for word in (DATA / "toy_words.txt").read_text().split():
        pieces = [*word[:-1], word[-1] + "</w>"]
        for pair in merges:
            for place in range(len(pieces) - 1, 0, -1):
                if (pieces[place - 1 : place + 1]) == list(pair):
                    pieces[place - 1 : place + 1] = ["".join(pair)]
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            pieces[:2] = [pieces[0] + pieces[1]]
    return merges


def text_encoder(kind=CLIPTextModel, layers=2, width=WIDTH):
    """A CLIP text encoder."""
    words = tokenizer()
    torch.manual_seed(1)
    return kind(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=2 * WIDTH,
            projection_dim=width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    ).eval()


def unet(**changes):
    """A U-Net whose attention is sharp enough to have peaks."""
    torch.manual_seed(2)
    model = UNet2DConditionModel(
        **{
            "sample_size": 8,
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": (16, 32),
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "layers_per_block": 1,
            "cross_attention_dim": WIDTH,
            "attention_head_dim": 2,
            "norm_num_groups": 8,
        }
        | changes
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "attn2.to_q" in name or "attn2.to_k" in name:
                parameter.mul_(4)
    return model.eval()


def vae():
    """An autoencoder that halves sides twice."""
    torch.manual_seed(3)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
    ).eval()


def controlnet(**changes):
    """A ControlNet of the toy U-Net, with residuals that are not zero."""
    torch.manual_seed(4)
    model = ControlNetModel.from_unet(
        unet(**changes), conditioning_embedding_out_channels=(8, 8, 8)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def t2i_adapter():
    """A T2I-Adapter with one feature for each level of the toy U-Net."""
    torch.manual_seed(5)
    return T2IAdapter(
        in_channels=3, channels=[16, 32], num_res_blocks=1, downscale_factor=4
    ).eval()


def quiet(pipe):
    """Without a progress bar."""
    pipe.set_progress_bar_config(disable=True)
    return pipe


def scheduler():
    """DDIM as Stable Diffusion has it."""
    return DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)


def _sd_parts(**changes):
    return {
        "vae": vae(),
        "text_encoder": text_encoder(),
        "tokenizer": tokenizer(),
        "unet": unet(**changes),
        "scheduler": scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _xl_parts(**changes):
    changes = {
        "cross_attention_dim": 2 * WIDTH,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": WIDTH + 6 * 8,
        "transformer_layers_per_block": (1, 2),
    } | changes
    return {
        "vae": vae(),
        "text_encoder": text_encoder(),
        "text_encoder_2": text_encoder(CLIPTextModelWithProjection),
        "tokenizer": tokenizer(),
        "tokenizer_2": tokenizer(),
        "unet": unet(**changes),
        "scheduler": EulerDiscreteScheduler(**BETAS, steps_offset=1),
    }


def sd(**changes):
    """Stable Diffusion 1, text to image."""
    return quiet(StableDiffusionPipeline(**_sd_parts(**changes)))


def sd2():
    """Stable Diffusion 2: tokens 1024 wide, of which only words compete, predicting v."""
    parts = _sd_parts(cross_attention_dim=1024)
    parts["text_encoder"] = text_encoder(layers=0, width=1024)
    parts["scheduler"] = DDIMScheduler.from_config(
        parts["scheduler"].config, prediction_type="v_prediction"
    )
    return quiet(StableDiffusionPipeline(**parts))


def sdxl(**changes):
    """SDXL, text to image."""
    parts = _xl_parts(**changes)
    return quiet(StableDiffusionXLPipeline(**parts, add_watermarker=False))


def refiner():
    """SDXL's refiner: the second text encoder alone, and a score of aesthetics."""
    parts = _xl_parts(
        cross_attention_dim=WIDTH, projection_class_embeddings_input_dim=WIDTH + 5 * 8
    )
    parts |= {"text_encoder": None, "tokenizer": None}
    pipe = StableDiffusionXLImg2ImgPipeline(
        **parts, requires_aesthetics_score=True, add_watermarker=False
    )
    return quiet(pipe)


def picture():
    """A small picture to begin from."""
    ramp = torch.linspace(0, 255, SIZE).byte()
    rows = torch.stack(
        [ramp.repeat(SIZE, 1), ramp.repeat(SIZE, 1).T, ramp.flip(0).repeat(SIZE, 1)]
    )
    return Image.fromarray(rows.permute(1, 2, 0).contiguous().numpy())


def mask():
    """The right half is to be painted."""
    image = Image.new("L", (SIZE, SIZE))
    image.paste(255, (SIZE // 2, 0, SIZE, SIZE))
    return image


@cache
def calls():
    """Every pipeline type: name -> (pipeline factory, the arguments that it needs besides)."""
    size = {"height": SIZE, "width": SIZE}
    image = {"image": picture(), "strength": 0.75}
    inpaint = {"image": picture(), "mask_image": mask(), **size, "strength": 1.0}

    return {
        "sd": (sd, size),
        "sd2": (sd2, size),
        "sd-img2img": (
            lambda: quiet(StableDiffusionImg2ImgPipeline(**_sd_parts())),
            image,
        ),
        "sd-inpaint": (
            lambda: quiet(StableDiffusionInpaintPipeline(**_sd_parts())),
            inpaint,
        ),
        "sd-inpaint-9": (
            lambda: quiet(StableDiffusionInpaintPipeline(**_sd_parts(in_channels=9))),
            inpaint,
        ),
        "sd-controlnet": (
            lambda: quiet(
                StableDiffusionControlNetPipeline(**_sd_parts(), controlnet=controlnet())
            ),
            {"image": picture(), **size},
        ),
        "sd-t2i-adapter": (
            lambda: quiet(StableDiffusionAdapterPipeline(**_sd_parts(), adapter=t2i_adapter())),
            {"image": picture(), **size},
        ),
        "sdxl": (sdxl, size),
        "sdxl-img2img": (
            lambda: quiet(StableDiffusionXLImg2ImgPipeline(**_xl_parts(), add_watermarker=False)),
            image,
        ),
        "sdxl-refiner": (refiner, image),
        "sdxl-inpaint": (
            lambda: quiet(StableDiffusionXLInpaintPipeline(**_xl_parts(), add_watermarker=False)),
            inpaint,
        ),
        "sdxl-inpaint-9": (
            lambda: quiet(
                StableDiffusionXLInpaintPipeline(**_xl_parts(in_channels=9), add_watermarker=False)
            ),
            inpaint,
        ),
        "sdxl-t2i-adapter": (
            lambda: quiet(StableDiffusionXLAdapterPipeline(**_xl_parts(), adapter=t2i_adapter())),
            {"image": picture(), **size},
        ),
        "sdxl-controlnet": (
            lambda: quiet(
                StableDiffusionXLControlNetPipeline(
                    **_xl_parts(),
                    controlnet=controlnet(
                        cross_attention_dim=2 * WIDTH,
                        addition_embed_type="text_time",
                        addition_time_embed_dim=8,
                        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
                        transformer_layers_per_block=(1, 2),
                    ),
                    add_watermarker=False,
                )
            ),
            {"image": picture(), **size},
        ),
    }


def run(pipe, prompt="a cat and a frog", seeds=(0,), steps=3, **others):
    """The final latents, (B, 4, h, w)."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipe(
        prompt,
        num_inference_steps=steps,
        generator=generators if len(generators) > 1 else generators[0],
        output_type="latent",
        **others,
    ).images
