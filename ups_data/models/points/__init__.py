"""The reference model for points: clouds and meshes, one set of points or several, of any numbers of points."""
