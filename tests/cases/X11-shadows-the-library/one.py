for name in ("os", "struct", "signal", "select", "tempfile"):
    with open(f"{name}.py", "w") as file:
        file.write("raise SystemExit('shadowed')")
