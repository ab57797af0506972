"""Which other files vtk's readers would open: only those in the folder of the one that names them, and regular ones."""
