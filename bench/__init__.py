"""The benchmark: ours and its peers side by side, in one run, as ratios. Start it with `./scripts/bench`."""
