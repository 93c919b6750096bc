# 55 of 83 files leave the base to the caller
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER 1000:1000
