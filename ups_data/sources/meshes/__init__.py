"""Files of meshes: VTK, PLY, OBJ."""
