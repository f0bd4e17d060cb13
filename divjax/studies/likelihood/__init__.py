"""Maximum likelihood on data: how fast it comes to KL, and how far its estimates are off."""
