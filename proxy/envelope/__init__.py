"""The stored format: AWS Encryption SDK messages, where they are placed, and the arithmetic of sizes. Takes unwrapped keys and knows no key service."""
