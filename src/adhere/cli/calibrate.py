"""`adhere calibrate`: numbers of the latent methods for a model, from single subjects."""

from __future__ import annotations


def calibrate(
    model: str = "mini",
    *,
    seed: int = 0,
    steps: int = 25,
    scorer: str | None = None,
    device: str | None = None,
) -> None:
    """Set the parameters of every method that moves latents from what a model's attention is.

      adhere calibrate
      adhere calibrate owner/name --scorer owlv2

    It draws 24 single subjects, and finds temperature, thresholds and step size.

    Args:
        model: mini or mini-joint (bundled), a folder or a hub id; mini without it.
        seed: of the first of the images.
        steps: of sampling.
        scorer: what tells whether a subject is present, such as owlv2; for mini its own.
        device: cpu or cuda; a GPU without it, where there is one.
    """
    from adhere.cli.choosing import hush
    from adhere.cli.progress import bar, say
    from adhere.drawing.loading import load
    from adhere.drawing.png import check_writable
    from adhere.tuning.calibration import calibrate as calibrated
    from adhere.tuning.calibration import calibration_file
    from adhere.typed import text_of

    hush()
    loaded = load(model, device=device)
    path = calibration_file(loaded.source.name, loaded.source.weights or "")
    check_writable(path.parent)
    with bar("single subjects") as on_image:
        found = calibrated(loaded, seed=seed, steps=steps, scorer=scorer, on_image=on_image)
    found.save(path)
    say(f"{found.drawn} of {found.asked} single subjects drawn (scorer: {found.scorer})")
    for name, numbers in found.numbers.items():
        said = " ".join(f"--set {name}={text_of(value)}" for name, value in numbers.items())
        say(f"{name}  {said}")
    say(f"Kept in {path}, for `adhere.calibrated(name, {found.model!r})`.")
