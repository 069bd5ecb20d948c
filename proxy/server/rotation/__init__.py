"""Changing the keys of what is stored without touching what is stored.

`depot` makes the few requests that are needed, `usage` tells what names which key, `rewrap` writes bucket
keys and capsules anew. Bodies are never read: the store copies them onto themselves.
"""
