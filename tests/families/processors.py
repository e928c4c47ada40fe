"""Processors of text and images, without the parts of the real ones that need torchvision."""

from transformers import ProcessorMixin, Qwen2VLProcessor
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from . import words


class ImageAndText(Qwen2VLProcessor):
    """Qwen2-VL's processor without videos."""

    def __init__(self, image_processor, tokenizer, chat_template=None):
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


class Chat(ProcessorMixin):
    """As Pixtral's processor where there is no image: a chat template and a tokenizer."""

    def __init__(self, image_processor, tokenizer, chat_template=None):
        self.image_token = "[IMG]"
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


def qwen():
    """The processor of Qwen-Image-Edit; an image is at most 56 x 56 pixels for the encoder."""
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    return ImageAndText(
        Qwen2VLImageProcessorPil(size=pixels), words.qwen(), chat_template=words.CHATML
    )


def mistral():
    """The processor of FLUX.2 dev."""
    return Chat(PixtralImageProcessorPil(), words.mistral(), chat_template=words.INSTRUCT)


def chat():
    """The processor of FLUX.3, of which the tokenizer alone is used."""
    return Chat(Qwen2VLImageProcessorPil(), words.qwen(), chat_template=words.CHATML)
