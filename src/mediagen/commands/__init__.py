"""What commands are made of: how they reach an installation, save files, look at its parts, and look themselves."""
