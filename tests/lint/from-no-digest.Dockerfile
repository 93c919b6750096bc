# a tag without a digest, in FROM, in COPY --from and in a mount
ARG CUDA=12.6.0
FROM nvidia/cuda:${CUDA}-devel-ubuntu22.04 AS build
COPY --from=docker.io/library/busybox:1.36.1 /bin/busybox /bin/busybox
RUN --mount=type=bind,from=ghcr.io/astral-sh/uv:0.4.9,source=/uv,target=/bin/uv \
    /bin/uv --version
FROM build
USER 1000:1000
