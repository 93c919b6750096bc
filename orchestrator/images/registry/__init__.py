"""Container registries over HTTP, with no engine: the OCI distribution API.

`Registry.at(HOST)` gives the client; `references` takes names apart, `manifests` holds what
registries hold. Which images mlorch looks for where is `execute`'s business.
"""
