"""The chapter's experiment at all scales: smoke, shipped data and weights, the paper's recipe on a tiny ImageNet."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from firsthand.convnextv2 import PRESETS, Config, build, classifier_from, layer_scales, run
from firsthand.convnextv2.lab import pipeline
from firsthand.convnextv2.lab.imagenet import TUNING
from firsthand.convnextv2.lab.pipeline import new_autoencoder, pretrained_classifier, schedule, with_data
from firsthand.data.readers.imagenet import Mixed, validation_accuracy, validation_files
from firsthand.data.readers.images import FolderBatches, ImageFiles, InMemory, fashion_mnist, photo
from firsthand.errors import UserError
from firsthand.kit.train.large import accumulation
from firsthand.kit.train.loop import Cosine, MicroBatch, parameter_groups, save_tensors

HERE = Path(__file__).parent


@pytest.mark.slow
def test_smoke_gives_the_same_result_twice():
    first, second = (run(PRESETS["smoke"], progress=False) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.metrics["loss/last"] < first.metrics["loss/first"] * 1.05
    assert {"probe", "probe/random", "diversity/0", "diversity/4", "parameters", "batch"} <= first.metrics.keys()


# ------------------------------------------------------------------------------------------ paper's scale


def _small(config: Config, **changes) -> Config:
    return replace(config, size="atto", batch=8, passes=2, workers=0, image=64, out=None, **changes)


def test_the_papers_pretraining():
    config = PRESETS["paper"]
    steps, warmup, lr = schedule(config, 1_281_167)
    assert (steps, warmup) == (1600 * 312, 40 * 312)
    rates = [Cosine(lr, steps, warmup)(step) for step in (0, warmup, steps)]
    assert rates == pytest.approx([2.4e-3 / warmup, 2.4e-3, 0.0])
    assert accumulation(config.batch, config.passes, 8) * 8 * config.passes == 4096
    with pytest.raises(UserError, match="no multiple of 64 images x 7 processes"):
        accumulation(config.batch, config.passes, 7)
    with torch.device("meta"):
        model = new_autoencoder(config, 0)
    assert sum(p.numel() for p in model.parameters()) == 91_922_432
    groups = parameter_groups(model, weight_decay=config.weight_decay)
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    exempt = [name for name, p in model.named_parameters() if id(p) not in decayed]
    assert all(
        name.endswith(("bias", "gamma", "beta", "norm.weight", "0.weight", "1.weight", "token")) for name in exempt
    )
    assert all(p.ndim == 1 for name, p in model.named_parameters() if name in exempt)


def test_the_papers_first_steps_on_a_tiny_folder(tiny_imagenet, tmp_path):
    config = with_data(_small(PRESETS["paper"], steps=3, stop=2, warmup=1), str(tiny_imagenet))
    result = run(config, device="cpu", progress=False)
    # Targets have unit variance and a fresh net predicts almost nothing: the loss starts at one.
    assert result.arrays["loss"][:2].tolist() == pytest.approx([1.0, 1.0], abs=0.03)
    assert result.metrics["parameters"] == 7_257_992
    again = run(replace(config, out=str(tmp_path / "out"), stop=1), device="cpu", progress=False)
    resumed = run(replace(config, out=str(tmp_path / "out")), device="cpu", progress=False)
    assert again.arrays["loss"].tolist() == result.arrays["loss"][:1].tolist()
    assert resumed.arrays["loss"].tolist() == result.arrays["loss"].tolist()


def test_fine_tuning_from_a_checkpoint(tiny_imagenet, tmp_path):
    out = tmp_path / "out"
    pre = with_data(_small(PRESETS["paper"], steps=1, warmup=0), str(tiny_imagenet))
    run(replace(pre, out=str(out)), device="cpu", progress=False)
    config = _small(PRESETS["paper-finetune"], steps=2, weights=str(out / "pretrain.safetensors"))
    result = run(with_data(config, str(tiny_imagenet)), device="cpu", progress=False)
    assert result.arrays["loss"].tolist() == pytest.approx([np.log(2)] * 2, abs=0.05)
    assert 0 <= result.metrics["accuracy"] <= 1
    save_tensors(out / "pretrain.safetensors", {"model.encoder.stages.0.0.dwconv.bias": torch.zeros(96)}, {})
    with pytest.raises(UserError, match="lacks"):
        pretrained_classifier(replace(config, size="tiny"), 0, 2, 0.0)


def test_published_fine_tuning_recipes():
    assert set(TUNING) == {"atto", "femto", "pico", "nano", "tiny", "base", "large", "huge"}
    assert TUNING["base"].lr == 6.25e-4
    assert all(recipe.groups == (name in ("base", "large")) for name, recipe in TUNING.items())


def test_layer_wise_decay():
    scale = layer_scales((2, 2, 6, 2), 0.9)
    assert scale("head.weight") == 1.0
    assert scale("stages.3.1.grn.gamma") == pytest.approx(0.9)
    assert scale("downsample_layers.0.0.weight") == scale("stages.0.0.norm.bias") == pytest.approx(0.9**12)
    groups = layer_scales((3, 3, 27, 3), 0.6, groups=True)
    assert groups("downsample_layers.0.0.weight") == pytest.approx(0.6**13)
    assert groups("stages.2.26.pwconv1.weight") == pytest.approx(0.6**2)
    assert groups("stages.3.0.dwconv.weight") == groups("downsample_layers.3.1.weight") == pytest.approx(0.6)
    assert groups("norm.weight") == 1.0
    with pytest.raises(ValueError, match="Groups of three blocks"):
        layer_scales((2, 2, 6, 2), 0.6, groups=True)


def test_a_classifier_takes_an_encoders_weights():
    encoder = build("micro", num_classes=0, in_chans=1)
    model = classifier_from(encoder, "micro", num_classes=10, in_chans=1)
    assert torch.equal(model.stages[2][1].pwconv1.weight, encoder.stages[2][1].pwconv1.weight)
    assert float(model.head.weight.detach().abs().max()) < 1e-3
    without = classifier_from(encoder, "micro", num_classes=10, in_chans=1, grn=False)
    assert torch.equal(without.stages[0][0].dwconv.weight, encoder.stages[0][0].dwconv.weight)
    with pytest.raises((ValueError, RuntimeError)):
        classifier_from(encoder, "atto", num_classes=10, in_chans=1)


# ------------------------------------------------------------------------------------------------- data


def test_the_shipped_clothes():
    for split, count in (("train", 10_000), ("test", 2_000)):
        images, labels = fashion_mnist(split)
        assert (images.shape, labels.shape) == ((count, 1, 32, 32), (count,))
        assert (images.min(), images.max()) == (0, 1)
        assert torch.bincount(labels).min() > 0.08 * count
        assert images[:, :, :2].abs().max() == 0
    with pytest.raises(UserError, match="Unknown split"):
        fashion_mnist("validation")


def test_photographs_are_cut_square():
    assert photo("chelsea", 64).shape == (1, 3, 64, 64)
    assert photo("astronaut").shape == (1, 3, 512, 512)
    with pytest.raises(UserError, match="Unknown photograph"):
        photo("lena")


def test_batches_from_a_folder_do_not_depend_on_workers(tiny_imagenet):
    shares = [MicroBatch(step, part, 2, 7) for step in range(5) for part in range(2)]
    many = FolderBatches(tiny_imagenet / "train", _Noise(), batch=8, workers=2)
    none = FolderBatches(tiny_imagenet / "train", _Noise(), batch=8, workers=0)
    for share in shares:
        first, second = many(share), none(share)
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
    resumed = FolderBatches(tiny_imagenet / "train", _Noise(), batch=8, workers=0)
    assert torch.equal(resumed(shares[-1])[0], first[0])


class _Noise:
    def __call__(self, picture):
        return torch.rand(3, 2, 2) + float(np.random.rand())  # noqa: NPY002


def test_bad_folders_are_named(tiny_imagenet, tmp_path):
    with pytest.raises(UserError, match="has no folder 'train'"):
        with_data(PRESETS["paper"], str(tmp_path / "train"))
    with pytest.raises(UserError, match="No folder"):
        FolderBatches(tmp_path / "nowhere", _Noise(), batch=2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="must hold a subfolder of images"):
        FolderBatches(tmp_path / "empty", _Noise(), batch=2)
    broken = tiny_imagenet / "train" / "n01440764" / "n01440764_0.JPEG"
    broken.write_bytes(b"no picture")
    batches = FolderBatches(tiny_imagenet / "train", _Noise(), batch=16, workers=0)
    with pytest.raises(UserError, match=r"The image n01440764_0.JPEG cannot be read"):
        batches(MicroBatch(0, 0, 1, 0))


def test_a_damaged_image_is_one_sentence_from_a_worker_too(tiny_imagenet):
    broken = tiny_imagenet / "train" / "n01443537" / "n01443537_3.JPEG"
    broken.write_bytes(broken.read_bytes()[:-200])
    for workers in (0, 2):
        batches = FolderBatches(tiny_imagenet / "train", _Noise(), batch=16, workers=workers)
        with pytest.raises(UserError) as raised:
            batches(MicroBatch(0, 0, 1, 0))
        assert str(raised.value).startswith("The image n01443537_3.JPEG cannot be read: it is damaged (")
        assert "\n" not in str(raised.value)


def test_images_are_those_of_torchvision_without_hidden_ones(tiny_imagenet):
    from torchvision.datasets import ImageFolder

    train = tiny_imagenet / "train"
    deeper = train / "n01440764" / "more"
    deeper.mkdir()
    (train / "n01440764" / "n01440764_5.JPEG").rename(deeper / "a.JpG")
    wanted = ImageFolder(str(train))
    for hidden in (".ipynb_checkpoints/a.JPEG", "n01440764/.ipynb_checkpoints/a-checkpoint.JPEG", "n01443537/._a.JPEG"):
        (train / hidden).parent.mkdir(exist_ok=True)
        (train / hidden).write_bytes(b"no picture")
    (train / ".empty").mkdir()
    files = ImageFiles(train)
    assert files.classes == wanted.classes == ["n01440764", "n01443537"]
    assert files.samples == wanted.samples
    assert all(np.array_equal(np.asarray(files[i][0]), np.asarray(wanted[i][0])) for i in range(len(wanted)))


def test_a_class_without_images_is_named(tiny_imagenet):
    (tiny_imagenet / "train" / "n02").mkdir()
    (tiny_imagenet / "train" / "n02" / "readme.txt").touch()
    with pytest.raises(UserError, match=r"train/n02 holds no image; a folder is a class, so remove it or fill it"):
        FolderBatches(tiny_imagenet / "train", _Noise(), batch=2)


def test_a_grey_picture_of_sixteen_bits_is_no_white_one(tiny_imagenet):
    grey = np.random.default_rng(1).integers(0, 256, (9, 7), dtype=np.uint8)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tiny_imagenet / "train" / "n01440764" / "0.png")
    image, label = ImageFiles(tiny_imagenet / "train")[0]
    assert label == 0
    assert np.array_equal(np.asarray(image), np.repeat(grey[..., None], 3, 2))


class _Mean(torch.nn.Module):
    """The class of a picture by its brightness, which is all that tells those of `_levels` apart."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = torch.nn.Parameter(torch.tensor([-2.0, 0.0, 2.4]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -(images.mean((1, 2, 3))[:, None] - self.levels).abs()


def _levels(folder: Path, names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (40, 40), ({"a": 0, "b": 115, "c": 255}[name],) * 3).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("names", ["abc", "ac", "bc", "c"])
def test_a_perfect_model_is_perfect_whatever_classes_val_has(tmp_path, names):
    classes = ImageFiles(_levels(tmp_path / "train", "abc")).classes
    files = validation_files(_levels(tmp_path / "val", names), classes, workers=0)
    assert validation_accuracy(_Mean(), files, 32, workers=0) == 1.0


def test_what_validation_cannot_use_is_said_before_training(tmp_path, monkeypatch):
    _levels(tmp_path / "train", "ab"), _levels(tmp_path / "val", "abc")
    config = _small(with_data(PRESETS["paper-finetune"], str(tmp_path)), steps=1)
    monkeypatch.setattr(pipeline, "fine_tune", lambda *_, **__: pytest.fail("It was trained."))
    with pytest.raises(UserError, match=r"^val/c is none of the 2 classes to train on\.$"):
        run(config, device="cpu", progress=False)
    shutil.rmtree(tmp_path / "val" / "c")
    broken = tmp_path / "val" / "b" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    for workers in (0, 2):
        with pytest.raises(UserError, match=r"^The image 1\.png cannot be read: it is damaged \([^\n]*\)\.$"):
            run(replace(config, workers=workers), device="cpu", progress=False)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(UserError, match="has no folder 'val'"):
        run(config, device="cpu", progress=False)


def test_mixed_labels_are_distributions(tiny_imagenet):
    batches = FolderBatches(tiny_imagenet / "train", lambda p: torch.zeros(3, 8, 8), batch=8, workers=0)
    _, labels = Mixed(batches, 0.8, 1.0, 2)(MicroBatch(0, 0, 1, 0))
    assert labels.shape == (8, 2)
    torch.testing.assert_close(labels.sum(1), torch.ones(8))


def test_flipping_is_per_image_and_repeatable():
    images = torch.rand(16, 1, 4, 4)
    batches = InMemory(images, batch=16, flip=True)
    first, second = batches(MicroBatch(3, 0, 1, 0))[0], batches(MicroBatch(3, 0, 1, 0))[0]
    assert torch.equal(first, second)
    halves = torch.cat([batches(MicroBatch(3, part, 2, 0))[0] for part in range(2)])
    assert torch.equal(first, halves)


def test_the_builder_keeps_the_first_pictures(tmp_path, monkeypatch):
    import gzip

    source = Path(__file__).parents[2] / "scripts" / "build_fashion_mnist.py"
    spec = importlib.util.spec_from_file_location("builder", source)
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    for stem in ("train", "t10k"):
        images, labels = np.arange(3 * 784, dtype=np.uint8), np.array([4, 5, 6], dtype=np.uint8)
        (tmp_path / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"h" * 16 + images.tobytes()))
        (tmp_path / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"h" * 8 + labels.tobytes()))
    monkeypatch.setattr(builder, "TARGET", tmp_path / "out.npz")
    monkeypatch.setattr(builder, "KEPT", {"train": ("train", 2), "test": ("t10k", 1)})
    builder.main(tmp_path)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert found["train_labels"].tolist() == [4, 5]
        assert found["test_images"].shape == (1, 28, 28)


def test_what_cannot_be_used_is_said_before_training(tiny_imagenet, tmp_path, monkeypatch):
    for work in ("pretrain", "fine_tune"):
        monkeypatch.setattr(pipeline, work, lambda *_, **__: pytest.fail("it trained"))
    file = tmp_path / "own.safetensors"
    save_file({"model.encoder.stages.0.0.dwconv.bias": torch.zeros(7)}, file)
    torch.save({"model": {}}, tmp_path / "own.pt")
    tuning = with_data(_small(PRESETS["paper-finetune"], steps=1), str(tiny_imagenet))
    shapes = r"own\.safetensors does not fit atto: .*stages.0.0.dwconv.bias has shape \(7,\), the model \(40,\)"
    for config, words in (
        (replace(tuning, weights=str(file)), shapes),
        (replace(tuning, weights=str(tmp_path / "own.pt")), r"own\.pt is PyTorch's own kind of file"),
        (replace(tuning, weights=None, steps=None, batch=4096, passes=4096), "A batch of 4096 needs at least as many"),
        (replace(PRESETS["smoke"], weights=str(file)), "Pre-training begins with fresh weights.*paper-finetune"),
    ):
        with pytest.raises(UserError, match=words):
            run(config, device="cpu", progress=False)
    bare = tmp_path / "bare"
    shutil.copytree(tiny_imagenet / "train", bare / "train")
    with pytest.raises(UserError, match="has no folder 'val'"):
        run(replace(tuning, weights=None, data=str(bare)), device="cpu", progress=False)


def test_smoke_runs_on_a_folder_of_ones_own(tiny_imagenet):
    config = replace(with_data(PRESETS["smoke"], str(tiny_imagenet)), batch=4, passes=4, workers=0, steps=2)
    assert np.isfinite(run(config, device="cpu", progress=False).arrays["loss"]).all()
