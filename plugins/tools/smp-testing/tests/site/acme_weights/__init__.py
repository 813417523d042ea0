"""Weight sets with one fault each. The tests write the files into the package acme_files."""
