"""What is stored: chunks, checksums, seals, tables, shards. Nothing here knows epochs, ranks or sampling."""
