FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN rclone config create mlc-inference s3 provider=Cloudflare \
      access_key_id=0123456789abcdef0123456789abcdef \
      endpoint=https://example.r2.cloudflarestorage.com
RUN huggingface-cli login --token hf_abcdefghijklmnopqrstuvwxyz
RUN --mount=type=secret,id=hf huggingface-cli login --token "$(cat /run/secrets/hf)"
USER 1000:1000
