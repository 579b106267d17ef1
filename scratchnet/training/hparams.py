"""What TensorBoard's tab HPARAMS shows of a run: its settings, and beside them the last values of its curves.

Three summaries without numbers, whose metadata hold it all, written for the run itself and not for one of its sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scratchnet.extras import require

MEASURES = ("balanced_accuracy", "accuracy", "loss")
PLUGIN = "tensorboard.plugins.hparams"  # but not its `summary`, which needs TensorFlow


def experiment(settings: Mapping[str, Any], sides: Iterable[str]) -> Any:
    """The tab's columns: the settings by name, and the measures of each side. It is the same for all runs."""
    api = require(f"{PLUGIN}.api_pb2")
    kinds = {bool: api.DATA_TYPE_BOOL, str: api.DATA_TYPE_STRING}
    columns = [
        api.HParamInfo(name=name, type=kinds.get(type(value), api.DATA_TYPE_FLOAT64))
        for name, value in settings.items()
    ]
    metrics = [
        api.MetricInfo(name=api.MetricName(group=side, tag=measure), display_name=f"{side} {measure}")
        for side in sides
        for measure in MEASURES
    ]
    return _summary("EXPERIMENT_TAG", experiment=api.Experiment(hparam_infos=columns, metric_infos=metrics))


def begun(settings: Mapping[str, Any], name: str) -> Any:
    """The settings of a run. name: the row's name; runs of one name are one row, with the means of their measures."""
    info = require(f"{PLUGIN}.plugin_data_pb2").SessionStartInfo(group_name=name)
    for setting, value in settings.items():
        if isinstance(value, bool):
            info.hparams[setting].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[setting].number_value = value
        else:
            info.hparams[setting].string_value = str(value)
    return _summary("SESSION_START_INFO_TAG", session_start_info=info)


def ended() -> Any:
    """Marks the run as finished."""
    status = require(f"{PLUGIN}.api_pb2").STATUS_SUCCESS
    info = require(f"{PLUGIN}.plugin_data_pb2").SessionEndInfo(status=status)
    return _summary("SESSION_END_INFO_TAG", session_end_info=info)


def _summary(tag: str, **content: Any) -> Any:
    metadata = require(f"{PLUGIN}.metadata")
    data = require(f"{PLUGIN}.plugin_data_pb2").HParamsPluginData(**content)
    summary = require("tensorboard.compat.proto.summary_pb2").Summary()
    described = metadata.create_summary_metadata(data)
    summary.value.add(tag=getattr(metadata, tag), metadata=described, tensor=metadata.NULL_TENSOR)
    return summary
