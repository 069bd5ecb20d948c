"""Operations on buckets whose objects the proxy encrypts: the stored format on its way in and out."""
