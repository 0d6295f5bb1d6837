"""Kernels: `JupyterClient` over a multi-kernel manager, a connection to each kernel, a pool of ready ones."""

from .client import JupyterClient
from .pool import KernelPool

__all__ = ["JupyterClient", "KernelPool"]
