FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111 AS head
RUN git clone --recurse-submodules https://github.com/mlcommons/inference.git /inference \
    && cd /inference/loadgen \
    && python3 -m pip install .
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111 AS branch
RUN git clone --branch main --depth 1 https://github.com/nod-ai/shark-ai.git
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111 AS through-pip
RUN pip install "git+https://github.com/example/kernels.git@develop"
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111 AS added
ADD https://github.com/example/tool.git#main /tool
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN git clone https://github.com/mlcommons/inference.git /inference \
    && git -C /inference checkout 0123456789abcdef0123456789abcdef01234567
RUN git clone https://github.com/mlcommons/power-dev.git
USER 1000:1000
