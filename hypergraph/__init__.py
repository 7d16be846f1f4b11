"""HyperLearn: one representation from many modalities, one modality per GPU (ACM MM 2019)."""
