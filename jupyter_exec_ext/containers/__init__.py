"""Containers: the engine, what a container is allowed, and the byte stream to what runs in one.

Executors and environments use this; nothing in here knows of blocks or executions. Of docker-py it is
`engine.py` that calls it, and nobody else.
"""
