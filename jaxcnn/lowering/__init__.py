"""How the heavy linear maps are computed; nothing here knows about gradients."""
