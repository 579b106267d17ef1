"""What is saved comes back to the bit, or not at all."""

import h5py
import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.training import Progress, load_checkpoint, save_checkpoint

WEIGHTS = {"conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "conv1.bias": np.array([0.5, np.pi])}
MOMENTS = {"steps": np.array(7), "conv1.bias.mean": np.array([1e-30, -0.0])}
ABOUT = {"class_names": ["all", "hem"], "config": {"seed": 3}}
ROWS = [{"epoch": 1, "train_loss": 0.1 + 0.2}]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint.h5"
    save_checkpoint(
        path, WEIGHTS, ABOUT, optimizer=MOMENTS, progress=Progress(epoch=2, batches_done=5, loss_sum=0.1, rows=ROWS)
    )
    return path


def test_everything_comes_back(saved):
    found = load_checkpoint(saved)
    assert found.about == ABOUT
    assert found.progress == Progress(epoch=2, batches_done=5, loss_sum=0.1, rows=ROWS)
    for written, read in ((WEIGHTS, found.weights), (MOMENTS, found.optimizer)):
        assert written.keys() == read.keys()
        for name, array in written.items():
            assert read[name].dtype == array.dtype
            assert read[name].shape == array.shape
            assert read[name].tobytes() == array.tobytes()


def test_weights_alone(tmp_path):
    save_checkpoint(tmp_path / "weights.h5", WEIGHTS, ABOUT)
    found = load_checkpoint(tmp_path / "weights.h5")
    assert found.optimizer is None
    assert found.progress is None


def test_no_time_is_in_the_file(saved):
    """The same run gives the same bytes, also with HDF5 1.14, which stamps groups unless it is told not to."""
    flags = [header[0] for header in saved.read_bytes().split(b"OHDR\x02")[1:]]  # of each object's header, version 2
    assert len(flags) == 3 + 2 + len(WEIGHTS) + len(MOMENTS)  # the root and two groups, two texts, the arrays
    assert not any(one & 0x20 for one in flags)  # bit 5: times are stored


def test_a_transposed_array_is_saved_as_it_looks(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    save_checkpoint(tmp_path / "w.h5", {"w": array}, {})
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "w.h5").weights["w"], array)


def test_no_bit_flip_passes_unseen(saved):
    """Each flip either raises DataError or changes nothing that is read."""
    original = saved.read_bytes()
    truth = load_checkpoint(saved)
    rng = np.random.default_rng(0)
    detected = 0
    for position in rng.choice(len(original), 150, replace=False):
        damaged = bytearray(original)
        damaged[position] ^= 1 << rng.integers(8)
        saved.write_bytes(damaged)
        try:
            found = load_checkpoint(saved)
        except DataError:
            detected += 1
            continue
        assert found.about == truth.about
        assert found.progress == truth.progress
        assert {k: v.tobytes() for k, v in found.weights.items()} == {k: v.tobytes() for k, v in truth.weights.items()}
        assert {k: v.tobytes() for k, v in (found.optimizer or {}).items()} == {
            k: v.tobytes() for k, v in (truth.optimizer or {}).items()
        }
    assert detected > 0


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
def test_truncation_is_detected(saved, part):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(DataError, match=r"checkpoint\.h5"):
        load_checkpoint(saved)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match="there is no such checkpoint"):
        load_checkpoint(tmp_path / "none.h5")


def test_links_and_foreign_storage_are_refused(saved, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones(3)
    with h5py.File(saved, "a") as file:
        file["weights/stolen"] = h5py.ExternalLink(str(secret), "/x")
    with pytest.raises(DataError, match="link"):
        load_checkpoint(saved)


def test_an_array_that_declares_more_than_it_stores_is_refused(saved):
    with h5py.File(saved, "a") as file:
        file.create_dataset("weights/huge", shape=(2**31,), dtype="f4")
    with pytest.raises(DataError, match="declares"):
        load_checkpoint(saved)


def test_an_interrupted_save_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(saved, WEIGHTS, ABOUT)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
