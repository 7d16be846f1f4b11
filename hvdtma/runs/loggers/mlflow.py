"""MLflow."""

from __future__ import annotations

from collections.abc import Mapping

from hvdtma.runs.loggers.logger import LoggedRun, library


class MLflow:
    """Logs to an experiment of MLflow; `tracking_uri` is the server's, or $MLFLOW_TRACKING_URI."""

    def __init__(self, experiment: str = "hvdtma", tracking_uri: str | None = None):
        self.mlflow = library("mlflow", "mlflow")
        self.experiment, self.tracking_uri = experiment, tracking_uri

    def start(self, run: LoggedRun) -> None:
        self.mlflow.set_tracking_uri(self.tracking_uri or self.mlflow.get_tracking_uri())
        self.mlflow.set_experiment(self.experiment)
        same = f"tags.hvdtma_id = '{run.id}'"  # this run, before it was resumed
        found = self.mlflow.search_runs(filter_string=same, output_format="list")
        known = {"run_id": found[0].info.run_id} if found else {"run_name": run.folder.name}
        self.mlflow.start_run(tags={"hvdtma_id": run.id}, **known)
        self.mlflow.log_params(dict(run.settings))

    def log(self, values: Mapping[str, float], step: int) -> None:
        named = {name.replace("@", "_at_"): value for name, value in values.items()}
        self.mlflow.log_metrics(named, step=step)

    def finish(self) -> None:
        self.mlflow.end_run()
