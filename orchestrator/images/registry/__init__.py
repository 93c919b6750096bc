"""Container registries over HTTP, with no engine: the OCI distribution API.

`Registry.at(HOST)` gives the client; `manifests` has what registries hold, `images` finds an image for a platform.
"""
