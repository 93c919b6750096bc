# syntax=docker/dockerfile:1
# A file that breaks no rule.
ARG BASE=debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
FROM ${BASE} AS build
RUN --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install -y --no-install-recommends \
      git=1:2.39.5-0+deb12u2 \
      build-essential=12.9
ARG LOADGEN_COMMIT=0123456789abcdef0123456789abcdef01234567
RUN git clone https://github.com/mlcommons/inference.git /inference \
    && git -C /inference checkout "${LOADGEN_COMMIT}"
COPY requirements.txt /tmp/requirements.txt
RUN pip install --require-hashes -r /tmp/requirements.txt
RUN <<SH
set -eu
# a comment of the script, with an apostrophe: it's one
for each in a b; do
  echo "$each" | tee -a /tmp/list
done
SH
FROM build
COPY --from=build /tmp/list /list
COPY . /harness
USER 1000:1000
CMD ["python3", "-m", "harness"]
