# escape=`
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN apt-get update && `
    # a comment between

    apt-get install -y `
      numactl `
    && rm -rf /var/lib/apt/lists/*
USER 1000:1000
