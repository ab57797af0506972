"""Arrays that lie in files as they are, in archives too: read by plain reads, checked before they are believed."""
