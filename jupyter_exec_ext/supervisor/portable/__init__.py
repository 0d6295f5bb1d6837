"""The supervisor's second loop, for systems without fork, signals, poll on pipes and ``dir_fd``: Windows.

It speaks the same frames as `loop.py` and keeps the same promises with fewer means: every block is
spawned, threads read the pipes and put what they read on one bounded queue, and the main thread
takes it from there, with deadlines::

    server ── stream ──►  threads.read_stream ─┐
    program ── stdout, stderr ──►  threads.Reader ─┼──► queue ──► loop ──► threads.Sink ──► server
    program ends ──►  threads.wait_for ─┘           └──► run ──► job    what stops it

`job.py` is the seam to the system: a job object on Windows (`windows.py`), else the process group
and the tree that psutil shows. ``"portable": true`` in CONFIG asks for this loop on any system.
"""
