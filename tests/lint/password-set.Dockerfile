FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN useradd -m mlperf && echo "mlperf:mlperf" | chpasswd
RUN usermod -p '' mlperf
USER 1000:1000
