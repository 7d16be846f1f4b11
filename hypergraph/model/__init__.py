"""The pieces of HyperLearn, each on one device and free of communication."""
