"""Train the bundled models: resumable at any moment.

python -m training mini             # the U-Net, autoencoder and scorer from nothing
python -m training gates            # what the bundled models can do, measured
python -m training joint --teacher  # goes on from the bundled weights, without an end
python -m training unet
python -m training joint --teacher --decay 800    # a finished model from a copy of the checkpoint
python -m training joint --teacher --assemble     # the pipeline of the averaged weights so far
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image

from adhere.drawing.loading import load
from training import checkpoint, data, loop
from training.assemble import assemble
from training.joint_stage import JointStage
from training.stable import Stable, decay
from training.starting import begin_from
from training.state import begin, export
from training.teacher import Teacher
from training.unet_stage import UNetStage

SAVE_SECONDS = 240


def fill_with_averages(stage: Stable, path: Path) -> None:
    """Put a checkpoint's averaged weights into a stage.

    Raises:
        ValueError: there is none, or of other settings or networks.
    """
    if not path.exists():
        raise ValueError(f"There is no checkpoint {path}; train the stage first.")
    tensors = checkpoint.load(path, stage.settings).tensors
    with checkpoint.filling(path):
        for name, module in stage.modules.items():
            own = {k: tensors[f"average.{name}.{k}"] for k in module.state_dict()}
            module.load_state_dict(own)


def main(argv: Sequence[str]) -> None:
    """Parse, and train, decay or assemble."""
    if argv[:1] in (["mini"], ["gates"]):
        # Each has options of its own.
        room = "training.recipe" if argv[0] == "mini" else "training.gates.command"
        import_module(room).main(argv[1:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=("joint", "unet"), help="which model to train on")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/var/tmp/adhere-train"),
        help="holds latents and a folder for each stage (default %(default)s)",
    )
    parser.add_argument("--name", help="the stage's folder (default its own name)")
    parser.add_argument("--device", default="cpu", help="where (default cpu)")
    parser.add_argument("--decay", type=int, metavar="STEPS", help="let a copy's rate fall")
    parser.add_argument("--assemble", action="store_true", help="write the pipeline and end")
    parser.add_argument("--report", action="store_true", help="print figures and end")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write weights, and end")
    parser.add_argument("--compile", action="store_true", help="of the joint model")
    parser.add_argument("--teacher", action="store_true", help="the U-Net teaches the joint model")
    parser.add_argument("--from-nothing", action="store_true", help="begin the joint model anew")
    parser.add_argument(
        "--scenes", type=int, default=data.SCENES, help="distinct ones (default %(default)s)"
    )
    options = parser.parse_args(argv)
    folder = options.root / (options.name or options.stage)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device(options.device)
    state = Path(__file__).parent / "state" / options.stage
    if state.exists():
        begin(options.stage, folder, state)
    means = torch.zeros(1, 4, 16, 16)
    if not (options.assemble or options.report or options.export):
        means = data.load(options.root, options.scenes)
    if options.stage == "joint":
        stage = JointStage(
            means,
            compiled=options.compile,
            folder=folder,
            teacher=Teacher(device) if options.teacher else None,
        )
        if not options.from_nothing:
            begin_from(stage, load("mini-joint", dtype="float32", device="cpu").pipe)
    else:
        stage = UNetStage(means, folder=folder)
    if options.assemble:
        fill_with_averages(stage, folder / f"{stage.name}.safetensors")
        assemble(stage.pipeline(), folder / "pipeline")
    elif options.report:
        fill_with_averages(stage, folder / f"{stage.name}.safetensors")
        figures, sheet = stage.report(device)
        Image.fromarray(sheet).save(folder / "report.png")
        print(json.dumps(figures, indent=1))
    elif options.export:
        step = export(stage, folder, options.export)
        print(f"{options.export}: {step} steps of {stage.batch_size} samples")
    elif options.decay:
        decay(stage, folder, options.decay, device)
    else:
        loop.run(stage, folder, device, save_seconds=SAVE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
