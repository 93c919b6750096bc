"""What is fuzzed: each reader of what somebody else wrote, with seeds of its form."""

from __future__ import annotations

import definition_targets
import image_targets
import result_targets

TARGETS = {
    target.name: target for target in (*definition_targets.TARGETS, *result_targets.TARGETS, *image_targets.TARGETS)
}
