FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111 AS kept
RUN apt-get update && apt-get install -y numactl=2.0.16-1
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install -y numactl=2.0.16-1
USER 1000:1000
