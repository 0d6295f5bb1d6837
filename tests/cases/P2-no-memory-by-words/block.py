raise SystemExit("MemoryError: so it says")
