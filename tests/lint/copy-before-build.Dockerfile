FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
WORKDIR /workspace
COPY . .
COPY --chmod=755 harness /workspace/harness
RUN git clone https://github.com/vllm-project/vllm.git \
    && cd vllm \
    && git checkout 0123456789abcdef0123456789abcdef01234567 \
    && make -j8
USER 1000:1000
