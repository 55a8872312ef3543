"""One page of a training or an evaluation, which opens from disk and asks nobody for anything."""
