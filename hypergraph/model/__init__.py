"""The parts of the HyperLearn model; none of them communicates."""
