"""The documentation: pages written by hand, and those generated from the library itself."""
