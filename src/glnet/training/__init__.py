"""Training: three stages, each a Lightning module, run one after another."""
