FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y
RUN bash -c "$(wget -qO- https://example.org/install.sh)"
RUN bash <(curl -s https://example.org/other.sh)
RUN wget -qO - https://example.org/key.py | sudo -E python3 -
USER 1000:1000
