"""What is in an image, how it came to be, and who vouches for it: SBOM, provenance, signatures.

`subject`, `sbom` and `provenance` are pure: the same image gives the same bytes on every
machine and on every day, so their digests can stand in a result before anything is
attached anywhere.
"""
