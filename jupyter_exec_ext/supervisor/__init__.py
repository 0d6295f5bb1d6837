"""The supervisor: the small program that runs blocks inside an environment, and our end of it.

`main.py` is started inside the environment (`python -u main.py CONFIG`) and needs nothing but the
standard library of Python 3.8 or newer; this folder is all of it. `client.py` is the server's
end and is never imported inside. Both speak the frames of `frames.py`.

Where there is no fork (Windows), the loop of the folder `portable` does the same with threads.

One run at a time::

    server ── run ──►  loop ──► child   (forked from this warm interpreter, or spawned)
           ◄─ output ─  output ◄── pipes   capped, coalesced, in one order
           ◄─ end ────  tree   ◄── waitpid  until nobody is left
"""
