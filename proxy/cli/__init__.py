"""The command line: one file per command, put together in `proxy.cli.main`.

Results go to standard output, talk goes to standard error, and exit codes mean the same everywhere
(`proxy.cli.exits`).
"""
