"""The bundled model's recipe: tokenizer, autoencoder, denoiser, scorer, one stage a file."""
