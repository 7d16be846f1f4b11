"""TensorBoard: curves, and hyper-parameters beside the scores they led to."""

from __future__ import annotations

from collections.abc import Mapping

from hvdtma.runs.loggers.logger import LoggedRun


class TensorBoard:
    """Writes event files to `RUN/tensorboard`: `tensorboard --logdir runs` shows all runs."""

    def start(self, run: LoggedRun) -> None:
        # Trainers that write no curves, and commands that only read a config, need no TensorBoard.
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # `purge_step` drops the curves that were drawn after the checkpoint.
        self._board = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.first_step)
        if run.settings:
            # The scalars of the same names become the scores in the table of hyper-parameters.
            for summary in hparams(dict(run.settings), dict.fromkeys(run.metrics, 0.0)):
                self._board.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def finish(self) -> None:
        self._board.close()
