"""What the scheme s3 needs to know of S3: the client, its errors, and what makes up the checksum of an object."""
