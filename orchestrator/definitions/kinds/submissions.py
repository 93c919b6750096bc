"""What a submitter adds to what mlorch knows of a machine and of a model: the file of `submission build --overlay`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import Line, Name, Strict

Text = Annotated[Line, StringConstraints(max_length=1000)]
SystemName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", max_length=100)]
"""Of a folder and a file in a tree: MLPerf's checkers refuse names with blanks, and ones that begin with a dot."""
Status = Literal["available", "preview", "rdi"]
SystemType = Literal["datacenter", "edge", "datacenter,edge", "edge,datacenter"]


class SystemFields(Strict):
    """Fields of a system's JSON, by MLPerf's names; each one that is given stands in place of what mlorch found."""

    status: Status | None = Field(default=None, description="available, preview or rdi")
    system_type: SystemType | None = Field(default=None, description="datacenter, edge, or both joined by a comma")
    system_type_detail: Text | None = None
    system_name: Text | None = Field(default=None, description="what people call the system")
    number_of_nodes: Text | None = None
    host_processor_model_name: Text | None = None
    host_processors_per_node: Text | None = None
    host_processor_core_count: Text | None = Field(default=None, description="cores of one processor")
    host_processor_frequency: Text | None = None
    host_processor_caches: Text | None = None
    host_processor_interconnect: Text | None = None
    host_memory_capacity: Text | None = None
    host_memory_configuration: Text | None = Field(default=None, description="modules: 16x 64 GB DDR5-4800")
    host_storage_capacity: Text | None = None
    host_storage_type: Text | None = None
    host_networking: Text | None = None
    host_networking_topology: Text | None = None
    host_network_card_count: Text | None = None
    accelerators_per_node: Text | None = None
    accelerator_model_name: Text | None = None
    accelerator_memory_capacity: Text | None = None
    accelerator_memory_configuration: Text | None = None
    accelerator_host_interconnect: Text | None = None
    accelerator_interconnect: Text | None = None
    accelerator_interconnect_topology: Text | None = None
    accelerator_frequency: Text | None = None
    accelerator_on_chip_memories: Text | None = Field(default=None, alias="accelerator_on-chip_memories")
    cooling: Text | None = Field(default=None, description="air, liquid, passive")
    framework: Text | None = None
    operating_system: Text | None = None
    other_software_stack: Text | None = None
    hw_notes: Text | None = None
    sw_notes: Text | None = None
    power_management: Text | None = Field(default=None, description="this and what follows: where power was measured")
    filesystem: Text | None = None
    boot_firmware_version: Text | None = None
    management_firmware_version: Text | None = None
    other_hardware: Text | None = None
    number_of_type_nics_installed: Text | None = None
    nics_enabled_firmware: Text | None = None
    nics_enabled_os: Text | None = None
    nics_enabled_connected: Text | None = None
    network_speed_mbit: Text | None = None
    power_supply_quantity_and_rating_watts: Text | None = None
    power_supply_details: Text | None = None
    disk_drives: Text | None = None
    disk_controllers: Text | None = None
    system_power_only: Text | None = Field(default=None, description="true: the system is shown with power alone")


class MeasurementFields(Strict):
    """Fields of a result's JSON of measurements, by MLPerf's names."""

    input_data_types: Text | None = None
    retraining: Text | None = None
    starting_weights_filename: Text | None = None
    weight_data_types: Text | None = Field(default=None, description="fp32, bf16, int8")
    weight_transformations: Text | None = None


class SubmissionOverlay(Strict):
    """One overlay: what holds for every system, for one by its name in the tree, and for the results of benchmarks."""

    system: SystemFields = SystemFields()
    systems: dict[SystemName, SystemFields] = Field(
        default_factory=dict, description="the same for one system, by the name of its folder"
    )
    measurements: dict[Name, MeasurementFields] = Field(default_factory=dict, description="benchmark → its fields")

    def system_fields(self, name: str) -> dict[str, str]:
        """What is said of the system that is called ``name`` in the tree."""
        return _said(self.system) | (_said(self.systems[name]) if name in self.systems else {})

    def measurement_fields(self, benchmark: str) -> dict[str, str]:
        """What is said of the results of a benchmark."""
        return _said(self.measurements[benchmark]) if benchmark in self.measurements else {}


def _said(fields: Strict) -> dict[str, str]:
    return fields.model_dump(by_alias=True, exclude_none=True)
