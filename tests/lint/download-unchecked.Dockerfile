FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN wget https://repo.anaconda.com/miniconda/Miniconda3-py310_24.1.2-0-Linux-x86_64.sh
RUN curl -L https://example.org/quark.tar.gz | tar xz
ADD https://example.org/quark.whl /tmp/quark.whl
RUN curl -fsSLo tool https://example.org/tool \
    && echo "0123456789abcdef  tool" | sha256sum -c -
ADD --checksum=sha256:1111111111111111111111111111111111111111111111111111111111111111 https://example.org/other.whl /tmp/other.whl
USER 1000:1000
