"""Rounds to follow."""

from typing import Any

from glnet.training.following.rounds import Round


def a_round(stage: str = "local", epoch: float = 1, **known: Any) -> Round:  # noqa: ANN401
    values: dict[str, Any] = {
        "step": round(10 * epoch),
        "seconds": 2.5,
        "losses": {"aggregated": 0.3, "local": 0.2},
        "learning_rate": 2e-5,
        "gradient_norm": 1.25,
        "gradient_norm_max": 3.5,
    }
    return Round(stage=stage, epoch=epoch, **{**values, **known})


def looked_at(stage: str = "local", epoch: float = 1, miou: float = 0.5) -> Round:
    return a_round(
        stage,
        epoch,
        validation_loss=0.4,
        validation_miou=miou,
        waiting_share=0.1,
        images_per_second=7.5,
        peak_memory_mib=512.0,
    )
