"""How good answers are: confusion counts, reports."""
