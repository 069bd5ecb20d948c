"""The trail of key use: who used which key for which object, in a form that shows tampering.

`event` is the one model, `chain` makes each record depend on all before it, `journal` (JSON lines) and
`database` (SQLite) keep records for several processes at once, `render` writes them as others expect.
When something is recorded, and what happens if that fails, is decided elsewhere.
"""
