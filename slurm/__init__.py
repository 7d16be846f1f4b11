"""Starting hvdtma and hypergraph on a Slurm cluster: submit, launch workers, survive requeues."""
