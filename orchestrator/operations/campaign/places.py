"""Where a campaign that was begun is kept; light, as `mlorch campaign status` asks for nothing else."""

from __future__ import annotations

from pathlib import Path

from orchestrator.campaigns.folder import CAMPAIGNS, has_begun


def folder_of(results: Path, word: str) -> Path:
    """The folder of a campaign that was begun: by its name, its own folder, or the file that it is of."""
    place = Path(word)
    if has_begun(place):
        return place
    name = word
    if word.endswith((".yaml", ".yml")) and place.is_file():
        from orchestrator.definitions.yaml.document import read_document
        from orchestrator.definitions.yaml.nodes import ScalarNode

        node = read_document(place).node(("name",))
        name = node.value if isinstance(node, ScalarNode) else place.stem
    return results.absolute() / CAMPAIGNS / Path(name).name
