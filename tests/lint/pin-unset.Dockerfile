FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
ENV LOADGEN_HASH=0123456789abcdef0123456789abcdef01234567
RUN git clone https://github.com/mlcommons/inference.git /inference \
    && cd /inference \
    && git checkout ${INFERENCE_HASH} \
    && git submodule update --init
USER 1000:1000
