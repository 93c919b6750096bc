FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
ENV MITTEN_HASH=0123456789abcdef0123456789abcdef01234567
RUN apt-get update && apt-get install -y git=1:2.39.5-0+deb12u2 && rm -rf /var/lib/apt/lists/*
RUN git clone https://github.com/NVIDIA/mitten.git && cd mitten && git checkout ${MITTEN_HASH}
USER 1000:1000
