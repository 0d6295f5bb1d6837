print("out")
raise SystemExit(@CODE@)
