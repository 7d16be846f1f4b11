"""Loggers: TensorBoard, CSV, Weights & Biases, MLflow, and the protocol of all of them."""

from hvdtma.runs.loggers.logger import LoggedRun, Logger, check_logger
from hvdtma.runs.loggers.make import make_loggers

__all__ = ["LoggedRun", "Logger", "check_logger", "make_loggers"]
