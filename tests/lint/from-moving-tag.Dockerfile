FROM rocm/vllm-dev:nightly_0610_rc2_20250605 AS one
FROM rocm/pytorch:rocm6.1.2_ubuntu20.04_py3.9_pytorch_staging AS two
FROM vault.habana.ai/gaudi-docker/1.18.0/pytorch-installer-2.4.0:latest AS three
FROM ubuntu
USER 1000:1000
