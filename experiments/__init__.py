"""Scripts around jaxcnn: one script, one question. Run from a checkout, not installed."""
