"""Manifests and configurations made to do harm: refused in one line."""

import contextlib
import json

import pytest
from small_data import make_dataset

from faults.hostile import MANIFESTS, refusal
from scratchnet.data import Dataset, read_manifest
from scratchnet.errors import ConfigError, DataError
from scratchnet.training.config import from_toml


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_hostile_manifests(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    said = refusal(lambda path: read_manifest(path.parent), tmp_path / "manifest.json")
    assert len(said) < 500


CONFIGURATIONS = {
    "deep": "seed = " + "[" * 10**5,
    "deep tables": "[" + "a." * 10**5 + "b]",
    "a number of ten thousand digits": "seed = " + "9" * 10**4,
    "a key of many lines": '"a\\nb" = 1',
    "not UTF-8": b"seed = \xff",
    "null bytes": bytes(100),
}


@pytest.mark.parametrize("content", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_hostile_configurations(tmp_path, content):
    (tmp_path / "config.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        from_toml(tmp_path / "config.toml")
    assert "config.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_right_in_form_only(tmp_path):
    """Every field of a manifest replaced by every kind of value: refused, or nothing is read that isn't there."""
    from scratchnet.data import manifest

    make_dataset(tmp_path)
    good = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    good.pop("checksum")
    for field in good:
        for value in (
            None,
            True,
            -1,
            2**70,
            0.5,
            "",
            "x",
            [],
            [[]],
            [None],
            {},
            {"train": {}},
            {"train": None},
            [1e400],
            [8, 8, 2**60],
        ):
            content = {**good, field: value}
            (tmp_path / "manifest.json").write_text(
                json.dumps({**content, "checksum": manifest._checksum(content)}), encoding="utf-8"
            )
            with contextlib.suppress(DataError):
                Dataset(tmp_path, "train").close()
