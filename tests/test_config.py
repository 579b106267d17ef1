"""Hyper-parameters: what cannot work is refused in one line, and a file brings back the same experiment."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet.data.augment import TURNS
from scratchnet.errors import ConfigError
from scratchnet.training.config import PRESETS, Config, from_toml

INVALID = [
    ("model", "resnet"), ("model", 3), ("layers", "{}"), ("start_from", 3), ("freeze", 3),
    ("image_size", 31), ("image_size", 64.0), ("image_size", "64"), ("image_size", True),
    ("epochs", 0), ("epochs", 1.5),
    ("batch_size", 0), ("batch_size", -1),
    ("micro_batch", -1),
    ("learning_rate", 0), ("learning_rate", -0.1), ("learning_rate", float("nan")),
    ("learning_rate", float("inf")), ("learning_rate", "fast"),
    ("schedule", "linear"),
    ("step_epochs", 0), ("step_epochs", 2.0), ("step_epochs", 5),
    ("step_factor", 0), ("step_factor", 1.0), ("step_factor", float("nan")), ("step_factor", 0.5),
    ("warmup", -1),
    ("optimizer", "rmsprop"),
    ("beta1", 1.0), ("beta1", -0.1), ("beta2", 1), ("beta2", float("nan")),
    ("weight_decay", -1e-9), ("weight_decay", float("nan")), ("weight_decay", float("inf")),
    ("clip_norm", -1), ("clip_norm", float("nan")), ("clip_norm", float("inf")),
    ("best_metric", "speed"), ("patience", -1), ("patience", 0.5),
    ("checkpoint_minutes", -1), ("checkpoint_minutes", float("nan")), ("checkpoint_minutes", float("inf")),
    ("keep_every", -1), ("keep_every", 1.5), ("keep_last", -1), ("keep_last", 3), ("keep_last", True),
    ("dropout", 1), ("dropout", -0.1), ("dropout", None),
    ("weight_init", "zeros"),
    ("pixels", "raw"),
    ("augment", True), ("augment", "rotation"),
    ("brightness", -0.1), ("brightness", 1), ("brightness", float("nan")), ("brightness", True),
    ("angle", -1), ("angle", 181), ("zoom", 1), ("zoom", float("nan")), ("stain", -0.1), ("contrast", 1.0), ("contrast", True),
    ("class_weights", "balance"), ("class_weights", 2.0),
    ("label_smoothing", -0.1), ("label_smoothing", 1), ("label_smoothing", float("nan")), ("label_smoothing", "0.1"),
    ("focus", -1), ("focus", float("inf")), ("focus", float("nan")), ("focus", True),
    ("test_symmetries", True), ("test_symmetries", "all"),
    ("train_evaluation", 1000), ("train_evaluation", "all"),
    ("dtype", "float16"),
    ("seed", -1), ("seed", 2**64), ("seed", 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_what_cannot_work_is_refused_in_one_line_that_names_it(name, value):
    with pytest.raises(ConfigError) as refused:
        Config(**{name: value})
    message = str(refused.value)
    assert message.startswith(f"{name} must be ")
    assert repr(value) in message
    assert "\n" not in message


def test_every_option_has_an_invalid_value_above():
    assert {name for name, _ in INVALID} == {one.name for one in fields(Config)}


def test_every_option_says_what_it_means():
    for one in fields(Config):
        assert one.metadata["help"]
        assert not one.metadata["choices"] or one.default in one.metadata["choices"]


@pytest.mark.parametrize(
    ("name", "value", "without", "with_"),
    [
        ("step_epochs", 3, {"schedule": "cosine"}, {"schedule": "step"}),
        ("step_factor", 0.5, {"schedule": "constant"}, {"schedule": "step"}),
        ("beta2", 0.99, {"optimizer": "sgd"}, {"optimizer": "adamw"}),
    ],
)
def test_what_would_have_no_effect_is_refused(name, value, without, with_):
    assert getattr(Config(**with_, **{name: value}), name) == value
    Config(**without)
    with pytest.raises(ConfigError, match=f"{name} must be left at .* unless .* got {value}: it would have no effect"):
        Config(**without, **{name: value})


def test_two_remedies_for_the_same_exclude_each_other():
    with pytest.raises(
        ConfigError, match="label_smoothing and focus are not offered together: set one of them to 0, got"
    ):
        Config(label_smoothing=0.1, focus=2)


def test_every_kind_of_turning_can_be_chosen():
    choices = next(one for one in fields(Config) if one.name == "augment").metadata["choices"]
    assert set(choices) == set(TURNS)


def test_an_integer_will_do_for_a_number():
    assert type(Config(learning_rate=1).learning_rate) is float


configs = st.builds(
    Config,
    image_size=st.integers(32, 4096),
    epochs=st.integers(1, 10**6),
    seed=st.integers(0, 2**63 - 1),
    learning_rate=st.floats(0, exclude_min=True, allow_infinity=False),
    weight_decay=st.floats(0, 1),
    dropout=st.floats(0, 1, exclude_max=True),
    optimizer=st.sampled_from(["adam", "adamw", "sgd"]),
    schedule=st.just("step"),
    step_epochs=st.integers(1, 100),
    step_factor=st.floats(0, 1, exclude_min=True, exclude_max=True),
    augment=st.sampled_from(["symmetries", "rotations", "none"]),
    brightness=st.floats(0, 1, exclude_max=True),
    class_weights=st.sampled_from(["none", "balanced"]),
    label_smoothing=st.floats(0, 1, exclude_max=True),
    test_symmetries=st.sampled_from(["none", "average"]),
    train_evaluation=st.sampled_from(["sample", "full", "none"]),
)


@given(config=configs)
def test_toml_round_trip(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert Config(**from_toml(path)) == config


def test_a_file_stands_over_the_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("epochs = 3\n", encoding="utf-8")
    assert from_toml(path, {"epochs": 9, "seed": 4}) == {"epochs": 3, "seed": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"epoch = 3", r"config.toml: there is no option 'epoch'; the options are model, image_size, epochs"),
        (b"epochs = ", "config.toml cannot be read as TOML"),
        (b"model = '\xff'", "config.toml: line 1 has the byte 0xFF, which is not UTF-8"),
        ("seed = 3".encode("utf-16-le"), "config.toml .* UTF-16 without a byte order mark"),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        from_toml(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_notepad_has_saved(tmp_path, encoding):
    path = tmp_path / "config.toml"
    path.write_bytes(Config(epochs=3, seed=8).to_toml().replace("\n", "\r\n").encode(encoding))
    assert Config(**from_toml(path)) == Config(epochs=3, seed=8)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        from_toml(tmp_path / "nowhere.toml")


TABLE_1 = {256: 14, 64: 40, 32: 22}  # epochs of each row
SAID = {  # by the report, of every row; and our reading where it is silent
    "batch_size": 256, "learning_rate": 0.001, "weight_decay": 0.0005, "weight_init": "xavier_uniform", "optimizer": "adam",
    "dropout": 0.5, "beta1": 0.9, "beta2": 0.999, "pixels": "unit", "augment": "none", "brightness": 0, "warmup": 0,
    "schedule": "constant", "clip_norm": 0, "class_weights": "none", "test_symmetries": "none", "patience": 0,
    "train_evaluation": "full",
}  # fmt: skip


@pytest.mark.parametrize("size", TABLE_1)
@pytest.mark.parametrize("model", ["report", "report-wide"])
def test_presets_are_the_rows_of_the_reports_table(size, model):
    config = Config(**PRESETS[f"report-{size}{model.removeprefix('report')}"])
    assert (config.model, config.image_size, config.epochs) == (model, size, TABLE_1[size])
    assert {name: getattr(config, name) for name in SAID} == SAID
    # Whatever moves the weights is spelt out, so that no default can change a row.
    rest = {one.name for one in fields(Config)} - set(PRESETS[f"report-{size}"])
    assert rest == {
        *(
            "freeze",
            "layers",
            "start_from",
            "micro_batch",
            "step_epochs",
            "step_factor",
            "best_metric",
            "checkpoint_minutes",
            "keep_every",
            "keep_last",
            "seed",
        )
    }


@pytest.mark.parametrize(("preset", "model"), [("recommended", "residual"), ("steady", "report")])
def test_our_presets_spell_out_what_moves_the_weights_and_take_shards_of_any_size(preset, model):
    assert Config(**PRESETS[preset]).model == model
    assert set(PRESETS[preset]) == set(PRESETS["report-64"]) - {"image_size", "patience"}


def test_the_page_on_the_report_says_what_recommended_is(repository):
    import re

    text = (repository / "docs" / "report.md").read_text(encoding="utf-8")
    table = text[text.index("## What we recommend") : text.index("`--preset steady` is")]
    told = {}
    for names, values in re.findall(r"^\| (`.+?) \| (.+?) \|", table, re.MULTILINE):
        told |= dict(
            zip(re.findall(r"`(\w+)`", names), values.replace("`", "").replace(" steps", "").split(", "), strict=True)
        )
    preset = PRESETS["recommended"]
    assert len(told) >= 10
    assert told == {name: str(preset[name]).removesuffix(".0") for name in told}
