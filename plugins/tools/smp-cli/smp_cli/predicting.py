"""The command ``smp predict`` and its options. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Images = Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Files, and with --recursive folders.")]
Model = Annotated[Path, typer.Option(help="Folder of a saved model.")]
Out = Annotated[Path, typer.Option(help="Folder to write into, made where it is missing.")]
Output = Annotated[str, typer.Option(help="labels, probabilities, or polygons: GeoJSON beside the mask.")]
Form = Annotated[str, typer.Option("--format", help="Of mask or probabilities: auto, png, tif, npy or zarr.")]
Classes = Annotated[
    str | None,
    typer.Option(help="Names of the classes: clear,cloud=#3366ff,shadow; or a file with one a line."),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Also what lies in folders, at any depth.")]
Threshold = Annotated[float, typer.Option(help="Probability above which a pixel is of the one class.")]
Tile = Annotated[int, typer.Option(help="Side of a tile, in pixels.")]
Overlap = Annotated[float, typer.Option(help="The part of a tile that the next one covers too.")]
Context = Annotated[int, typer.Option(help="Pixels around a tile that the model sees too.")]
Blend = Annotated[str, typer.Option(help="gaussian, cosine, constant or none.")]
Augmentation = Annotated[str | None, typer.Option(help="Test-time augmentation: flips or d4.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Tiles at once; by default what keeps the device busy.")]
Scale = Annotated[
    float | None,
    typer.Option(help="What pixels are divided by; by default 255 and 65535 for integers of 8 and 16 bits."),
]
Nodata = Annotated[float | None, typer.Option(help="Value of pixels that show nothing; by default what files say.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; by default cpu.")]
Precision = Annotated[str, typer.Option(help="float32, float16 or bfloat16.")]
Workers = Annotated[
    str | None, typer.Option(help="ray, or ray:4: over so many processes of a Ray cluster; by default in this process.")
]
Address = Annotated[str | None, typer.Option(help="Of the Ray cluster; by default RAY_ADDRESS, else this machine.")]
Overlays = Annotated[bool, typer.Option("--overlays/--no-overlays", help="Draw the classes over each picture.")]
Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Go on where a former run was cut.")]


def predict(
    images: Images,
    model: Model,
    out: Out,
    output: Output = "labels",
    form: Form = "auto",
    classes: Classes = None,
    recursive: Recursive = False,
    threshold: Threshold = 0.5,
    tile: Tile = 512,
    overlap: Overlap = 0.25,
    context: Context = 0,
    blend: Blend = "gaussian",
    tta: Augmentation = None,
    batch_size: Batch = None,
    scale: Scale = None,
    nodata: Nodata = None,
    device: Device = None,
    dtype: Precision = "float32",
    overlays: Overlays = True,
    resume: Resume = True,
    workers: Workers = None,
    address: Address = None,
) -> None:
    """Segment pictures of any size with a saved model.

    Writes NAME_mask.png (the class of each pixel; 0 and 255 where there is one class; a GeoTIFF where the picture is
    one) and NAME_overlay.png (the classes in colour over the picture; class 0 is left as it is). A folder gets an
    index.html of all overlays.
    """
    from smp_cli.files import check_model_folder, plan

    jobs = plan(images, out, recursive=recursive, output=output, form=form)
    check_model_folder(model)
    engine, processes = _engine(workers, address)

    from smp_cli.predict import Wanted, predict_files
    from smp_predict import Options

    options = Options(
        tile=tile,
        overlap=overlap,
        context=context,
        blend=blend,  # type: ignore[arg-type]  # Options says what is wrong
        tta=tta,
        batch_size=batch_size or "auto",
        output="probabilities" if output == "probabilities" else "labels",
        threshold=threshold,
        scale=scale,
        nodata="source" if nodata is None else nodata,
        device=device,
        dtype=dtype,
    )
    sheet = overlays and any(image.is_dir() for image in images)
    wanted = Wanted(
        output=output,
        classes=classes,
        overlays=overlays,
        sheet=sheet,
        resume=resume,
        engine=engine,
        workers=processes,
        address=address,
    )
    predict_files(jobs, model, out, options, wanted)


def _engine(workers: str | None, address: str | None) -> tuple[Literal["ray"] | None, int | None]:
    """What ``--workers`` asks for.

    Raises:
        CliError: it is something else.
    """
    from smp_cli.errors import CliError

    if workers is None:
        if address is not None:
            raise CliError("--address is for --workers ray")
        return None, None
    name, separator, count = workers.partition(":")
    if name != "ray" or (separator and not (count.isdecimal() and int(count))):
        raise CliError(f"--workers must be ray, or ray:4 for so many processes, got {workers!r}")
    return "ray", int(count) if separator else None
