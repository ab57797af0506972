"""Formats of vertices and triangles that need no library: PLY, OBJ, STL."""
