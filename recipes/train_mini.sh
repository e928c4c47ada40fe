#!/usr/bin/env bash
# The bundled model from nothing: sprites, autoencoder, denoiser, scorer, figures, card.
# Stopped at any moment and started again, it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-runs/mini}
dial=${2:-2}

# 1. The artwork as one sprite file (checked in; this makes it again).
if [ ! -d runs/artwork/node_modules ]; then
    npm install --prefix runs/artwork \
        @iconify-json/noto@1.2.9 @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/twemoji@1.2.5
fi
python recipes/make_sprites.py runs/artwork/node_modules/@iconify-json

# 2. Autoencoder, denoiser, scorer, each with progress, figures and picture sheets in the folder.
python -m training mini --folder "$folder" --dial "$dial"

# 3. Into the package, whole or not at all; the card and methods.json stay as they are.
python -m training.assemble "$folder/pipeline" src/adhere/mini/weights
cp "$folder/scorer-weights.safetensors" src/adhere/mini/data/scorer.unfinished
mv src/adhere/mini/data/scorer.unfinished src/adhere/mini/data/scorer.safetensors
python benchmarks/relations.py fit

# 4. The figures, by the commands that the card states; the card is written by hand from them.
python -m training gates --steps 25 --methods attend-and-excite --out "$folder/figures.json"
python benchmarks/scorer.py figures --count 1000
python benchmarks/scorer.py agreement benchmarks/labelled benchmarks/labelled/labels.jsonl
python benchmarks/relations.py figures
python benchmarks/relations.py agreement benchmarks/related benchmarks/related/labels.jsonl
