FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN ARCH=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1) && echo "$ARCH" > /arch
RUN <<SH
set -e
export GFX=$(rocminfo | grep -m1 gfx)
echo $GFX
SH
RUN python3 -c "import torch; print(torch.cuda.get_device_capability())"
RUN command -v rocminfo
USER 1000:1000
