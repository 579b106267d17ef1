"""The hyper-parameters as options of a command line, and as a table beside the report's."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from scratchnet.terminal.command_line import as_option
from scratchnet.training.config import Config

ASKED = [one for one in fields(Config) if one.metadata["asked"]]

UNASKED = [one.name for one in fields(Config) if not one.metadata["asked"]]


def add_hyper_parameters(parser: argparse.ArgumentParser) -> None:
    """Adds every field of Config, with its default beside the report's value. One that is not given has the value None."""
    group = parser.add_argument_group("hyper-parameters (the default here; the report's value)")
    for one in ASKED:
        report = one.metadata["report"]
        values = f"{one.default}" if report is None else f"{one.default}; the report: {report}"
        group.add_argument(
            as_option(one.name),
            type=type(one.default),
            choices=one.metadata["choices"] or None,
            metavar=None if one.metadata["choices"] else {int: "N", float: "X"}.get(type(one.default), "WORD"),
            help=f"{one.metadata['help']} ({values})".replace("%", "%%"),
        )


def given_hyper_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Those that were given on the command line."""
    return {one.name: value for one in ASKED if (value := getattr(options, one.name)) is not None}


def shown(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration by name, what a person reads: without the layers of a network of one's own, which `model` names."""
    return {name: value for name, value in config.items() if name not in UNASKED}


def beside_the_report(config: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Each hyper-parameter: its name, its value in a configuration, and the report's for 256 × 256, "" if it is silent.

    config: by name, as `dataclasses.asdict` gives it; it may hold some that this version does not know.

    >>> beside_the_report({"batch_size": 32, "seed": 7})
    [('batch_size', 32, 256), ('seed', 7, '')]
    """
    report = {one.name: one.metadata["report"] for one in fields(Config)}
    return [(name, value, "" if report.get(name) is None else report[name]) for name, value in shown(config).items()]


def settings_table(config: Mapping[str, Any]) -> list[str]:
    """`beside_the_report` as the lines of a table, with the defaults of this version."""
    default = {one.name: one.default for one in fields(Config)}
    rows = [(name, value, default.get(name, ""), report) for name, value, report in beside_the_report(config)]
    head = ("hyper-parameter", "here", "default", "the report, 256 × 256")
    lines = [
        f"{name:<18}  {value!s:<17}  {usual!s:<17}  {report}".rstrip() for name, value, usual, report in (head, *rows)
    ]
    return [*lines, "Where the last column is empty, the report does not say."]
