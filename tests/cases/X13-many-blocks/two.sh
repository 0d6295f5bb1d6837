printf b
