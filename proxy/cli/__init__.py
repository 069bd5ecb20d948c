"""The commands of `s3warden`, one file each."""
