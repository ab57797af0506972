"""Where points are: coordinates, blocks, domains, tiles. Nothing here knows a file or how points are drawn."""
