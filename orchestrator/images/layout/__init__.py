"""OCI image layouts, in a tar or in a folder: read as the input that they are, written the same bytes every time."""
