"""``etude quantize``: a trained model with its linear weights in int8, and what that costs.

The layers are those of ``nn.quantize``. The loss is measured on the data that the run was tested
with, which its config names: before and after, so that nobody has to believe a figure of others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from etude.commands.train import changed, worded

EPILOG = """\b
Examples:
  etude quantize runs/names --out names-int8.safetensors
  etude quantize runs/digits --out digits-int8.safetensors --backend cpu
  etude quantize gpt.safetensors --config names.toml --out small.safetensors
  etude quantize gpt.safetensors --unmeasured --out small.safetensors
"""


@click.command(epilog=EPILOG)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--out", metavar="FILE", required=True, help="The .safetensors file to write.",
              type=click.Path(path_type=Path, dir_okay=False))
@click.option("--config", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="TOML of 'etude train', for its data.  [default: config.toml beside the "
              "weights]")
@click.option("--unmeasured", is_flag=True, help="Do not measure what is lost; needs no data.")
@click.option("--backend", metavar="NAME", default="", help="Measure on this backend.")
@click.option("--model", metavar="NAME", help="Which model the weights are of, if the file does "
              "not say so. That of 'etude train' does.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="An argument of that model, such as heads=4.")
def quantize(source: Path, out: Path, config: Path | None, unmeasured: bool, backend: str,
             model: str | None, changes: tuple[str, ...]) -> None:
    """Store the weights of a trained model's linear layers in int8.

    SOURCE is the folder of a run of 'etude train', or a .safetensors file. Each
    output of a layer gets a scale of its own. Prints the largest error of every
    layer, and loss and accuracy on the test data before and after.
    """
    if out.suffix != ".safetensors":
        raise click.UsageError(f"--out writes a file whose name ends in .safetensors, got "
                               f"{str(out)!r}")
    if unmeasured and (config is not None or backend):
        raise click.UsageError("--config and --backend are for measuring, and --unmeasured says "
                               "not to")
    with worded():
        if out.exists():
            raise FileExistsError(f"{out} is there already; give another name, or remove it first")
        from etude import nn
        from etude.train.checkpoint import save_weights
        from etude.train.trained import Trained

        trained = Trained.read(source, model, dict(map(changed, changes)))
        if trained.quantized:
            raise ValueError(f"{trained.path} is quantised already. Give the float weights that it "
                             f"was made of")
        config = None if unmeasured else _config(trained, config)
        small = nn.quantize(trained.model)
        click.echo(_layers(trained, small))
        before, after = (None, None) if config is None else _measured(
            config, backend, trained, small)
        about = {"model": trained.name, "arguments": trained.arguments}
        save_weights(out, small, about)
        rows = [_size(trained, out)]
        if before is not None and after is not None:
            rows = [*_losses(trained, before, after), *rows]
        click.echo(_table(rows))
        if unmeasured:
            click.echo("\nWhat is lost was not measured (--unmeasured).")
        click.echo(f"\nIn {out}: what etude export takes as it takes a float model, and "
                   f"etude.load_weights for nn.quantize(model)")


def _config(trained: Any, given: Path | None) -> Path:
    """The TOML file that names the data. FileNotFoundError if there is none."""
    from etude.train.experiment import CONFIG

    found = given if given is not None else trained.path.parent / CONFIG
    if not found.is_file():
        raise FileNotFoundError(f"{found} is not there, and it names the data on which the loss is "
                                f"measured. Give a config of 'etude train': --config FILE. Or do "
                                f"without, and know nothing of what is lost: --unmeasured")
    return found


# ------------------------------------------------------------------ the layers


class Layer(NamedTuple):
    """One weight, and how far it is off."""

    path: str
    shape: tuple[int, ...]
    error: float  # the largest of any element
    largest: float  # the magnitude of the largest weight


def _layers(trained: Any, small: Any) -> str:
    found = list(_compared(trained.model, small))
    width = max(len("layer"), *(len(layer.path) for layer in found))
    lines = [f"{trained.name} of {trained.path}: {len(found)} weights in int8", "",
             f"{'layer':<{width}}  {'weight':>13}  {'largest error':>13}  of {'the largest':>11}"]
    for path, shape, error, largest in found:
        share = f"{error / largest:.2%}" if largest else "0"
        lines.append(f"{path:<{width}}  {' x '.join(map(str, shape)):>13}  {error:>13.2g}  "
                     f"{share:>14}")
    return "\n".join(lines)


def _compared(model: Any, small: Any) -> Iterator[Layer]:
    """The layers of ``small`` that are quantised, held against the weights they were made of."""
    import numpy as np

    from etude.nn import LinearInt8

    for path, layer in small.named_modules():
        if isinstance(layer, LinearInt8):
            w = _source(model, path).detach().numpy().astype(np.float64)
            kept = layer.weight.numpy() * layer.scale.numpy()[:, None].astype(np.float64)
            yield Layer(path or "the layer", w.shape, float(np.abs(kept - w).max(initial=0)),
                        float(np.abs(w).max(initial=0)))


def _source(model: Any, path: str) -> Any:
    """The float weight that the quantised layer at ``path`` was made of."""
    above, _, name = path.rpartition(".")
    if name == "in_proj":
        return model.get_submodule(above).in_proj_weight
    owner = model.get_submodule(above)
    if name == "head" and owner.head is None:  # a gpt, whose output layer is its embedding
        return owner.tokens.weight
    return model.get_submodule(path).weight


# ------------------------------------------------------------------ what is lost


def _measured(config: Path, backend: str, trained: Any, small: Any) -> tuple[Any, Any]:
    """The Evaluations on the test data of the config: before, and after."""
    from etude.train import evaluate, experiment
    from etude.train.config import RunConfig

    with experiment.backend(backend) as (device, _):
        made = experiment.build(RunConfig.read(config), device)
        samples = len(made.data.test)
        click.echo(f"\nMeasuring on {samples:,} test samples of {made.config.data.name} ...")
        found = []
        for model in (trained.model, small):
            try:
                found.append(evaluate(model.to(device), made.test, made.data.loss))
            except (TypeError, IndexError) as error:
                raise ValueError(f"the model {trained.name!r} of {trained.path} does not fit the "
                                 f"data of {config}: {error}") from error
            model.to("cpu")
    return found[0], found[1]


def _losses(trained: Any, before: Any, after: Any) -> list[tuple[str, str, str, str]]:
    """Rows of the table: what, before, after, the difference."""
    from etude.train.trained import TEXT

    rows = [("test loss", f"{before.loss:.4f}", f"{after.loss:.4f}",
             _change(after.loss - before.loss))]
    if trained.name in TEXT:
        a, b = _perplexity(before.loss), _perplexity(after.loss)
        rows.append(("perplexity", f"{a:.4f}", f"{b:.4f}", _change(b - a)))
    if not math.isnan(before.accuracy):
        rows.append(("accuracy", f"{before.accuracy:.2%}", f"{after.accuracy:.2%}",
                     f"{_change(100 * (after.accuracy - before.accuracy), 2)} points"))
    return rows


def _perplexity(loss: float) -> float:
    """e^loss: among how many tokens the model is as unsure as if all were alike."""
    return math.inf if loss > 700 else math.exp(loss)  # beyond, exp is an error


def _change(x: float, digits: int = 4) -> str:
    """With its sign, but for 0, which has none."""
    return f"{round(x, digits) + 0.0:+.{digits}f}"


def _size(trained: Any, out: Path) -> tuple[str, str, str, str]:
    before, after = trained.path.stat().st_size, out.stat().st_size
    return "file", f"{before:,} B", f"{after:,} B", f"{after / before:.0%}"


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    head = ("", "float", "int8", "difference")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    return "\n" + "\n".join(
        "  ".join([row[0].ljust(widths[0]), *[cell.rjust(w) for cell, w in zip(
            row[1:], widths[1:], strict=True)]]).rstrip() for row in (head, *rows))
