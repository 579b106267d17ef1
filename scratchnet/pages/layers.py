"""The layers of a run's network, on its page: with their arguments, their outputs, and how many weights each has."""

from __future__ import annotations

from scratchnet.errors import ScratchnetError
from scratchnet.nn.base import parameters_of
from scratchnet.pages.html import details, prose, safe, section, stacked
from scratchnet.pages.results import Results
from scratchnet.terminal.wording import counted
from scratchnet.training.config import Config
from scratchnet.training.network import network_to_fill


def layers(results: Results) -> str:
    """The section: every layer, folded where the network is one of the program's own; or why they are not known here."""
    config, classes = results.config, len(results.about["class_names"])
    holds = sum(array.size for array in results.weights.values())
    try:
        network = network_to_fill(Config.from_dict(config), classes, holds)
    except (ScratchnetError, TypeError) as error:
        return section("The network", f"<p>Its layers cannot be shown here: {prose(error)}.</p>")
    rows, learnt = [], 0
    for layer in network:
        weights = sum(parameter.value.size for parameter in parameters_of(layer))
        learnt += weights
        code = " ".join(repr(layer).split())
        sizes = "&nbsp;×&nbsp;".join(map(str, getattr(layer, "output_shape", None) or ()))
        rows.append([safe(layer.name), f"<code>{safe(code)}</code>", sizes, f"{weights:,}" if weights else ""])
    count = f"{counted(len(network), 'layer')}, {learnt:,} weights, for images of {' × '.join(map(str, network.input_shape or ()))}."
    table = stacked(["layer", "made by", "output", "weights"], rows)
    shown = table if config.get("layers") else details("All layers", table)
    return section("The network", f"<p>{prose(count)}</p>", shown)
