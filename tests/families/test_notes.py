"""What else nursing builds on in diffusers, seen in runs."""

import torch

from adhere.families import family_of
from adhere.families.call import DenoiserCall

from . import FAMILIES
from .probe import denoiser, first_call, first_ids, within

PROMPT, LONGER = "a cat and a frog", "a red car and a blue bowl and a dog"


def every_call(name, pipe=None, prompt=PROMPT, **others):
    """Each call of the denoiser in a run."""
    toy, calls = FAMILIES[name], []
    pipe = pipe or toy.build()
    hook = denoiser(pipe).register_forward_pre_hook(
        lambda *call: calls.append(DenoiserCall.of(*call)), with_kwargs=True
    )
    toy.run(pipe, prompt, **others)
    hook.remove()
    return calls


def test_z_image_writes_into_the_callers_list():
    prompts = [PROMPT]
    toy = FAMILIES["z-image"]
    toy.run(toy.build(), prompts)
    assert prompts != [PROMPT]
    assert PROMPT in prompts[0]


def test_sd3_skips_layers_in_a_further_call_of_positive_samples():
    calls = every_call(
        "sd3.5", guided=True, steps=4, skip_guidance_layers=[1], skip_layer_guidance_stop=0.5
    )
    rows = [call["hidden_states"].shape[0] for call in calls]
    assert rows == [2, 2, 1, 2, 2]
    assert torch.equal(calls[2]["encoder_hidden_states"], calls[1]["encoder_hidden_states"][1:])


def test_inpainting_has_the_latents_in_the_first_channels():
    for name in ("sd3-inpaint-33", "flux-fill"):
        toy, steps = FAMILIES[name], []
        pipe = toy.build()
        own = pipe.scheduler.step

        def step(*positional, own=own, steps=steps, **named):
            steps.append(positional[2])
            return own(*positional, **named)

        pipe.scheduler.step = step
        sample = every_call(name, pipe)[0]["hidden_states"]
        latents = steps[0]
        axis = 1 if latents.ndim == 4 else 2
        assert torch.equal(sample.narrow(axis, 0, latents.shape[axis]), latents)


def test_chroma_adds_its_mask_to_the_scores():
    _, seen = first_call(FAMILIES["chroma"].build(), FAMILIES["chroma"].call())
    assert seen[0].mask.is_floating_point()
    assert set(seen[0].mask.unique().tolist()) == {0.0, 1.0}


def test_qwen_image_masks_only_what_is_padded():
    toy = FAMILIES["qwen-image"]
    pipe = toy.build()
    positive, negative = every_call("qwen-image", pipe, guided=True)[:2]
    assert positive["encoder_hidden_states_mask"] is None
    lengths = [call["encoder_hidden_states"].shape[1] for call in (positive, negative)]
    assert lengths[0] == lengths[1] + 3
    call, seen = first_call(pipe, toy.call([PROMPT, LONGER], seeds=(0, 1)))
    columns = call["encoder_hidden_states_mask"].sum(1).tolist()
    assert columns == [lengths[0], lengths[0] + 5]
    assert seen[0].mask.dtype == torch.bool
    assert call["encoder_hidden_states"][0, columns[0] :].abs().max() == 0


def test_guidance_may_end_in_mid_run():
    calls = every_call("z-image", guided=True, cfg_truncation=0.2)
    assert [len(call["x"]) for call in calls] == [2, 2, 1]
    calls = every_call("lumina-2", guided=True, cfg_trunc_ratio=0.4)
    assert len(calls) == 2 + 1 + 1


def test_pixart_lowers_the_case_of_a_prompt():
    toy = FAMILIES["pixart-sigma"]
    pipe = toy.build()
    ids = [first_ids(pipe, toy.call(text), "text_encoder") for text in (PROMPT, PROMPT.upper())]
    assert torch.equal(*ids)


def test_sana_puts_no_instruction_before_a_negative_prompt():
    toy = FAMILIES["sana"]
    pipe = toy.build()
    ids = []
    pipe.text_encoder.register_forward_pre_hook(
        lambda model, positional, named: ids.append(positional[0]), with_kwargs=True
    )
    toy.run(pipe, PROMPT, guided=True)
    assert ids[0].shape[1] > 300
    assert pipe.tokenizer.decode(ids[1][0, :3], skip_special_tokens=True) == "a bowl"


def test_krea_pads_in_the_middle():
    mask = every_call("krea-2")[0]["encoder_attention_mask"][0].long().tolist()
    assert mask == [1] * 5 + [0] * (32 - 5 - 5) + [1] * 5


def test_hunyuan_puts_glyphs_before_the_prompt():
    toy = FAMILIES["hunyuan-image"]
    pipe = toy.build()
    call, plain = first_call(pipe, toy.call('a cat "hi"'))
    glyphs = int(call["encoder_attention_mask_2"].sum())
    assert glyphs > 2

    def change(call):
        text = call["encoder_hidden_states_2"].clone()
        text[:, 2] += torch.linspace(-1, 2, text.shape[-1])
        return call.replace("encoder_hidden_states_2", text)

    _, other = first_call(pipe, toy.call('a cat "hi"'), change)
    one, two = (within(each, family_of(pipe))[0].key for each in (plain, other))
    assert (one - two).abs().amax((0, 1, 3)).nonzero().flatten().tolist() == [64 + 2]


def test_klein_has_an_empty_negative_prompt():
    toy = FAMILIES["flux2-klein-base"]
    pipe = toy.build()
    ids = []
    pipe.text_encoder.register_forward_pre_hook(
        lambda model, positional, named: ids.append(named["input_ids"]), with_kwargs=True
    )
    toy.run(pipe, PROMPT, guided=True)
    text = pipe.tokenizer.decode(ids[1][0])
    assert "<|im_start|>user\n<|im_end|>" in text


def test_modular_sd3_guides_by_the_prompt_itself_without_a_negative_one():
    toy = FAMILIES["modular-sd3"]
    positive, negative = every_call("modular-sd3", negative_prompt=None)[:2]
    assert torch.equal(positive["encoder_hidden_states"], negative["encoder_hidden_states"])
    assert toy.plain["negative_prompt"]
