"""Looking through a bucket: how each stored object is protected, and whether that is what was wanted.

`protection` reads what the store says of an object, `survey` asks the store, `judging` compares with the
bucket's policy and settings, `journal` keeps what was found so that a scan that broke off goes on.
"""
