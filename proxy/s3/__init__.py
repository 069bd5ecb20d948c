"""What an S3 request is: addressing, operations, headers, XML, checksums, framing. Does no I/O."""
