"""Files that vtk reads, read by a process of their own: one that ends vtk ends that process, not the caller's."""
