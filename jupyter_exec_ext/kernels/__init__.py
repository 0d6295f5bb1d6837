"""Kernels: `JupyterClient` over a multi-kernel manager, and one connection to each kernel."""

from .client import JupyterClient

__all__ = ["JupyterClient"]
