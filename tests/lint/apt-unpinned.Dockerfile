FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN apt-get update && \
    # tools of the build
    apt-get install -y --no-install-recommends \
      build-essential git=1:2.39.5-0+deb12u2 numactl \
    && rm -rf /var/lib/apt/lists/*
USER 1000:1000
