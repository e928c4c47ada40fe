"""A Hugging Face Space: the page on the bundled model, or on the one that ADHERE_MODEL names."""

import os

from adhere.app import serve

serve(os.environ.get("ADHERE_MODEL", "mini"))
