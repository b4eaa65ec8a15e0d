"""What the small systems share: training, scenes to look at, text."""
