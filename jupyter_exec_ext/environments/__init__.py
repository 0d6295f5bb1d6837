"""Where code runs: finding, making, describing and removing environments."""
