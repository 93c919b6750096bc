"""Which tests a run has, with which settings, devices, processors and rights."""
