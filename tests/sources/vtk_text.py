"""VTU files as text: what solvers write and other writers cannot."""

import numpy as np


def array(name, values, kind="Float32", components=None):
    values = np.asarray(values)
    count = f' NumberOfComponents="{components}"' if components else ""
    text = " ".join(repr(float(v)) if kind.startswith("Float") else str(int(v)) for v in values.ravel())
    return f'<DataArray type="{kind}" Name="{name}"{count} format="ascii">{text}</DataArray>'


def piece(points, cells, types, point_data=None, cell_data=None, faces=None):
    points = np.asarray(points, float)
    ends = np.cumsum([len(cell) for cell in cells])
    extra = ""
    if faces is not None:
        stream, offsets = [], []
        for of_cell in faces:
            stream += [len(of_cell)] + [v for face in of_cell for v in (len(face), *face)]
            offsets.append(len(stream))
        extra = array("faces", stream, "Int64") + array("faceoffsets", offsets, "Int64")

    def data(given, count):
        columns = {n: np.asarray(v).reshape(count, -1) for n, v in (given or {}).items()}
        return "".join(array(n, v, "Float32", v.shape[1]) for n, v in columns.items())

    corners = [corner for cell in cells for corner in cell]
    return (
        f'<Piece NumberOfPoints="{len(points)}" NumberOfCells="{len(cells)}">'
        f"<Points>{array('Points', points, 'Float64', 3)}</Points>"
        f"<Cells>{array('connectivity', corners, 'Int64')}{array('offsets', ends, 'Int64')}"
        f"{array('types', types, 'UInt8')}{extra}</Cells>"
        f"<PointData>{data(point_data, len(points))}</PointData>"
        f"<CellData>{data(cell_data, len(cells))}</CellData></Piece>"
    )


def vtu(path, *pieces, field=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = '<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" header_type="UInt64">'
    body = "".join(pieces)
    path.write_text(f'<?xml version="1.0"?>\n{head}<UnstructuredGrid>{field}{body}</UnstructuredGrid></VTKFile>')


def hexes(n, x0=0.0):
    """n unit cubes along x: points, cells; a cube's centre has x = x0 + its number + 0.5."""
    points = np.array([[x0 + i, j, k] for k in (0, 1) for j in (0, 1) for i in range(n + 1)], float)

    def at(i, j, k):
        return i + (n + 1) * (j + 2 * k)

    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    return points, [[at(i + a, b, c) for a, b, c in corners] for i in range(n)]


def pvd(path, entries):
    rows = "".join(f'<DataSet timestep="{time}" part="{part}" file="{file}"/>' for time, part, file in entries)
    head = '<?xml version="1.0"?><VTKFile type="Collection" version="0.1"><Collection>'
    path.write_text(f"{head}{rows}</Collection></VTKFile>")
