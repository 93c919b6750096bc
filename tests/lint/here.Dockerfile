# here-documents: a script is linted, what another program reads is text, what only looks like one is none
FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN <<SH
git clone https://github.com/mlcommons/inference.git
SH
RUN cat <<"TEXT" > /usr/share/doc/notes
curl https://example.org/install.sh | sh
USER root
TEXT
RUN python3 - <<PY
import torch
print(torch.cuda.device_count())
PY
RUN echo $((1 << 3)) && grep x <<< "$(cat /etc/issue)" && echo "a<<b"
COPY <<one <<two /etc/
first
one
second
two
USER 1000:1000
