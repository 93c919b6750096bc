# mlorch lint: allow from-no-digest because the example needs a base that is taken as it is
FROM debian:12
# mlorch lint: allow apt-unpinned because
RUN apt-get update && apt-get install -y numactl && rm -rf /var/lib/apt/lists/*
# mlorch lint: allow pip-loose because there is no such rule
RUN pip install numpy==2.0.0 \
    # mlorch lint: allow world-writable because scratch space of a test image
    && chmod 777 /scratch
# mlorch lint: allow git-moving because nothing is cloned below any more
USER 1000:1000
