"""How a graph is to run."""

from __future__ import annotations

from dataclasses import dataclass

from cxrscribe.sessions.device import CPU, Device, Provider, Role


@dataclass(frozen=True)
class SessionSettings:
    """Where a graph runs, and how."""

    device: Device
    threads: int
    """Of the CPU."""
    role: Role = Role.DECODER
    spinning: bool = True
    """Whether threads wait for work in a loop, which answers sooner and takes the processor."""
    exact: bool = True
    """Whether float32 has to stay float32 where a device would compute it in a lower precision by itself."""

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The execution providers, the preferred one first."""
        return self.device.providers(self.role)

    @property
    def provider(self) -> Provider:
        """The preferred execution provider, which has to run some of the graph."""
        return self.providers[0]

    @property
    def on_cpu(self) -> bool:
        """Whether onnxruntime's own CPU kernels run all of the graph."""
        return self.providers == CPU.encoder
