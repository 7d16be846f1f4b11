"""Makes the loggers that a config names."""

from __future__ import annotations

from hvdtma.core.options import call_with_options
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.loggers.logger import Logger


def make_loggers(config: TrainConfig) -> list[Logger]:
    """The loggers of `log`, which have not started.

    Raises UserError for an option that a logger does not take, and for a library that is missing.
    """
    options = config.log_options
    return [call_with_options("logger", name, options.get(name, {})) for name in config.log]
