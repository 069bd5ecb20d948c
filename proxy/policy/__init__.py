"""The policy engine: AWS policy documents, their evaluation and its reasons. Usable without a server."""
