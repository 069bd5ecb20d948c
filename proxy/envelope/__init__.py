"""The stored format: AWS Encryption SDK messages, where they are placed, and the arithmetic of sizes.

Takes unwrapped keys and knows no key service. Bottom up: `message` (headers) and `frames` (bodies) are
the SDK's format; `capsule`, `single`, `multipart` and `manifest` say which messages an object consists
of; `sizes` and `ranges` compute, `metadata`, `checksum` and `state` hold the small things around them;
`foreign` and `s3ec` read what others wrote.
"""
