"""Key services: wrapping and unwrapping data keys, over the network where need be."""
