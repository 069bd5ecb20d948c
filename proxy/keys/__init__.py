"""Key services: master keys that wrap data keys, wherever they live.

`service` says what a master key can do; `local`, `aws_kms`, `vault` and `pkcs11` do it; `guard` bounds
how long and how often somebody else's service is asked; `ring` holds all keys that are configured;
`kek` puts a key of the bucket's own between a master key and the objects; `rules` says which key a
request is about. Nothing here decides who may use a key.
"""
