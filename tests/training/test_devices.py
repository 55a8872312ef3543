"""Several processes learn what one learns: the same images, gradients added up."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from glnet.training.config import TrainingConfig
from glnet.training.devices import add_gradients, is_alone, is_first, summed
from glnet.training.progress import Moment
from glnet.training.resuming import plain
from glnet.training.run import Watchers, train
from tests.training.tiny_run import tiny_config, weights, with_run, with_stages, write_scenes

EPOCH = re.compile(r"glnet: (\w+): epoch \d+ of \d+, loss (\d\.\d+), validation mIoU (\d+\.\d), .*")
PATIENCE_S = 250


def started(config: TrainingConfig, folder: Path) -> tuple[str, str]:
    """What ``glnet train`` prints, in processes of its own."""
    file = folder / f"{Path(config.output).name}.yaml"
    file.write_text(yaml.safe_dump(plain(config)))
    command = [sys.executable, "-m", "glnet.cli.main", "train", file]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no processes here")
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Of four images in steps of three: the second of two processes has one of them, then none."""
    data = write_scenes(tmp_path / "data", train=4).root
    alone = with_stages(tiny_config(data, tmp_path / "alone"), epochs=1, images=3, micro_batch=1)
    alone = with_run(alone, batch_statistics="micro_batch", schedule="constant")
    together = with_run(replace(alone, output=str(tmp_path / "together")), devices=2)

    moments: list[Moment] = []
    train(alone, Watchers(moments.append))

    out, told = started(together, tmp_path)

    assert out.count("the model is in") == 1
    lines = [EPOCH.fullmatch(line) for line in told.splitlines()]
    assert [line and line[1] for line in lines] == ["context", "local", "refined"]
    for line, moment in zip(lines, moments, strict=True):
        assert line is not None
        assert float(line[2]) == pytest.approx(moment.loss, abs=2e-4)
        assert float(line[3]) == pytest.approx(100 * (moment.mean_iou or 0), abs=0.2)
    theirs_of = weights(tmp_path / "alone" / "model")
    for name, of in weights(tmp_path / "together" / "model").items():
        torch.testing.assert_close(of, theirs_of[name], rtol=1e-3, atol=1e-4)


def test_alone_sums_are_what_they_were() -> None:
    value = torch.tensor([1.0, 2.0])
    layer = torch.nn.Linear(2, 2)

    add_gradients([layer])

    assert is_alone()
    assert is_first()
    assert summed(value) is value
    assert layer.weight.grad is None


def test_gradients_are_added_up_in_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process is made up: it sends what this one sends."""
    sent: list[int] = []

    def doubled(value: torch.Tensor) -> torch.Tensor:
        sent.append(value.numel())
        return 2 * value

    monkeypatch.setattr("glnet.training.devices.is_alone", lambda: False)
    monkeypatch.setattr("glnet.training.devices.summed", doubled)
    monkeypatch.setattr("glnet.training.devices.BUCKET", 10)
    modules = [torch.nn.Linear(3, 4), torch.nn.Linear(2, 1)]
    modules[0].weight.requires_grad = False
    modules[0].bias.grad = torch.arange(4.0)
    frozen, bias, weight, last = [of for module in modules for of in module.parameters()]
    weight.grad = torch.tensor([[3.0, 5.0]])

    add_gradients(modules)

    assert frozen.grad is None
    assert bias.grad is not None
    assert bias.grad.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert weight.grad.tolist() == [[6.0, 10.0]]
    assert last.grad is not None  # a process that had no image sends nothing's gradient
    assert last.grad.tolist() == [0.0]
    assert sum(sent) == 7
