"""What the catalogue is about, free of database and wire."""
