"""A run's curves as a picture."""

from pathlib import Path
from typing import Any

# Okabe and Ito's palette, which colour-blind readers can tell apart.
TRAIN, TEST, RATE = "#0072B2", "#D55E00", "#009E73"


def draw_curves(entries: list[dict[str, Any]], path: Path) -> None:
    """Draws error and loss over the epochs, and the learning rate beneath.

    Args:
        entries: The lines of a run's `metrics.jsonl`.
        path: The PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    epochs = [entry["epoch"] for entry in entries]
    figure, (error, loss, rate) = plt.subplots(
        3, 1, figsize=(7, 7), sharex=True, height_ratios=(3, 3, 1), layout="constrained"
    )
    for split, color in (("train", TRAIN), ("test", TEST)):
        errors = [100 * (1 - entry[f"{split}_accuracy"]) for entry in entries]
        error.plot(epochs, errors, ".-", color=color, label=split)
        loss.plot(epochs, [entry[f"{split}_loss"] for entry in entries], ".-", color=color)
    rate.plot(epochs, [entry["learning_rate"] for entry in entries], ".-", color=RATE)
    error.set_ylabel("error (%)")
    loss.set_ylabel("loss (nats)")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("epochs")
    error.legend(frameon=False)
    for axes in (error, loss, rate):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})
    plt.close(figure)
