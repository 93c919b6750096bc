FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
COPY ssh/id_rsa /root/.ssh/id_rsa
COPY --chmod=600 ["deploy.key", "/etc/deploy.key"]
COPY site-ca.pem /usr/local/share/ca-certificates/site.crt
COPY <<KEY /root/.ssh/id_ed25519
-----BEGIN OPENSSH PRIVATE KEY-----
not one
-----END OPENSSH PRIVATE KEY-----
KEY
USER 1000:1000
