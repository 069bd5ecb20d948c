"""s3warden: a policy enforcement and envelope encryption proxy for S3.

The rooms, from the ground up; imports point down only:

* ``errors``, ``diagnostics``, ``yamldoc``, ``config``, ``clock`` know nothing of S3.
* ``s3`` knows what an S3 request is, and does no I/O.
* ``auth``, ``policy``, ``envelope`` and ``identity`` know one thing each: signatures, IAM policy
  documents, the stored format, and whose access key that was.
* ``access``, ``rewrite`` and ``payload`` are the joints between them.
* ``keys``, ``server`` and ``cli`` talk to the world.
"""

__version__ = "0.1.0"
