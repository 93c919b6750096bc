# docker build -t mlperf-inference:v5.1 --file Dockerfile.user .
ARG BASE_IMAGE=mlperf-inference:v5.1
FROM ${BASE_IMAGE}
ARG USER=mlperf
ARG UID=1000
RUN useradd --create-home --uid ${UID} ${USER}
USER ${USER}
