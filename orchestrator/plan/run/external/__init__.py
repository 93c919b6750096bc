"""Tests of a harness that is not ours, planned: values, texts, files, steps and what they must leave. Pure."""
