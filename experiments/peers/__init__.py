"""The same network value in other frameworks, with the same parameters, to compare and to time.

A translator is one more interpreter over a network of `jaxcnn.layers`: `to_torch.translate` makes
a `torch.nn.Module` of it, `to_flax.translate` a `flax.nnx.Module`, each written as one would write
it there. Their names do not hide the packages that they import.
"""
