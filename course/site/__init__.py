"""python -m course site OUT: the lessons, the documentation and the library's reference as one site, which needs no network.

`building` runs Sphinx on a folder of sources that the others fill: `documents` with the project's pages and programs,
`names` with what the library offers, `executed` with the lessons and their outputs. `mathematics` turns formulas into MathML.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scratchnet.extras import require

LIBRARIES = (
    "sphinx",
    "furo",
    "myst_nb",
    "math_core",
    "jupytext",
    "nbclient",
    "ipykernel",
    "matplotlib",
)  # the extra [site]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("out", metavar="OUT", help="the folder to make; one that this command made before is replaced")
    parser.add_argument(
        "--cache", metavar="FOLDER", help="where lessons are kept with their outputs (build/lessons of the checkout)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Builds the site, and says where it begins. Returns 0.

    Raises MissingExtraError where a library of the extra [site] is not installed, ConfigError where OUT holds something
    else, and DataError where a lesson fails, or a page has a link that leads nowhere, a formula that cannot be read, or any
    other fault that Sphinx warns of.
    """
    for library in LIBRARIES:
        require(library)
    from course.site.building import build

    cache = None if arguments.cache is None else Path(arguments.cache)
    print(f"The site begins at {build(Path(arguments.out), cache)}")
    return 0
