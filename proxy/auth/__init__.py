"""Who signed this request: AWS signatures in all their forms, verified and made. Does no I/O."""
