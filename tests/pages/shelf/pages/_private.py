"""Left out."""

raise RuntimeError("imported although its name starts with _")
