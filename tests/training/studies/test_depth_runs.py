"""Studies of depth, whose networks of 32 layers they share, and what shows on the digits too."""

import numpy as np
import pytest

from training.studies.reading import train_loss

pytestmark = pytest.mark.soak


def means(outcome, read):
    return {label: np.mean(outcome.values(label, read)) for label in outcome.labels}


def test_depth_harms_the_plain_network_and_not_the_residual_one(conducted):
    loss = means(conducted("degradation"), train_loss)
    assert loss["plain 32"] > max(loss["plain 8"], loss["residual 32"])


@pytest.mark.finding
def test_every_layer_is_trained_and_a_plain_network_s_gradients_grow(conducted):
    found = conducted("gradients")
    for trial in found.trials:
        if trial.label.endswith("no batch norm"):
            continue
        distances = trial.metrics[-1]["observed"]["distance"]
        assert min(value for path, value in distances.items() if "_block" in path) > 0.01
    growth = {}
    for label, norms in found.computed.items():
        inner = [value for path, value in norms.items() if "_block" in path]
        growth[label] = inner[0] / inner[-1]
    # Batch norm makes gradients grow from layer to layer on their way back
    # (Yang et al., 2019, "A mean field theory of batch normalization"); shortcuts hold that down.
    assert growth["plain 32"] > 10
    assert growth["plain 32"] > 3 * growth["residual 32"]
    # Without batch norm they vanish in the deep plain network, which learns nothing: its loss
    # stays that of a guess.
    least = {label: min(norms.values()) for label, norms in found.computed.items()}
    assert least["plain 32, no batch norm"] < 0.01 * least["plain 32"]
    loss = means(found, train_loss)
    assert loss["plain 32, no batch norm"] == pytest.approx(np.log(10), abs=0.02)
    assert loss["residual 32, no batch norm"] < loss["plain 32, no batch norm"]


def test_a_residual_block_adds_more_than_nothing(conducted):
    for trial in conducted("responses").of("residual 32"):
        ratios = [block["branch_to_shortcut"] for block in trial.measured["balance"].values()]
        assert min(ratios) > 0.01


@pytest.mark.finding
def test_a_residual_network_bears_the_loss_of_a_block_and_a_plain_one_does_not(conducted):
    found = conducted("lesion")
    harm = means(found, lambda t: np.mean([*t.measured["without"].values()]) - t.measured["whole"])
    assert harm["residual 32"] < harm["plain 32"]
    # Blocks that begin as the identity leave the loss of the first step near that of a guess, and
    # then learn more slowly.
    losses = {label: np.mean(losses, axis=0) for label, losses in found.computed.items()}
    zero, residual = losses["residual 32, γ = 0"], losses["residual 32"]
    assert np.log(10) < zero[0] < residual[0]
    assert zero[-1] > residual[-1]
