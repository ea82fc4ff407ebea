"""Triangles to visibility buffers: which triangle each sample sees, and how far away it is.

Depth is kept as 1 / distance, larger is nearer, which is linear on the screen; for an orthographic view any such measure does.
"""

from __future__ import annotations

import numpy as np

from .numba_loader import compiled

# Opacity from which a texel of hair hides what lies behind, and below which it is not seen.
OPAQUE, CLEAR = 0.62, 0.06


@compiled
def draw_opaque(screen, triangles, first, last, cull, depth, seen):
    """Draw triangles[first:last] into depth [H, W] and seen [H, W] (triangle number, -1 for none).

    screen [V, 3]: x, y in samples, 1 / distance. cull drops triangles that show their back.
    """
    height, width = depth.shape
    for t in range(first, last):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if (cull and area >= 0.0) or area == 0.0 or min(az, bz, cz) <= 0.0:
            continue
        x0 = max(int(np.ceil(min(ax, bx, cx))), 0)
        x1 = min(int(np.floor(max(ax, bx, cx))), width - 1)
        y0 = max(int(np.ceil(min(ay, by, cy))), 0)
        y1 = min(int(np.floor(max(ay, by, cy))), height - 1)
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        vx, vy = (cy - ay) * inverse, -(cx - ax) * inverse
        wx, wy = -(by - ay) * inverse, (bx - ax) * inverse
        for y in range(y0, y1 + 1):
            v = (x0 - ax) * vx + (y - ay) * vy
            w = (x0 - ax) * wx + (y - ay) * wy
            for x in range(x0, x1 + 1):
                if v >= 0.0 and w >= 0.0 and v + w <= 1.0:
                    z = az + v * (bz - az) + w * (cz - az)
                    if z > depth[y, x]:
                        depth[y, x] = z
                        seen[y, x] = t
                v += vx
                w += wx


@compiled
def draw_strands(screen, triangles, uv, fade, first, last, alpha, depth, seen, soft_depth, soft_seen, soft_alpha):
    """Draw triangles whose opacity is a picture alpha [h, w] (0..255) times fade [V],
    which is cut to 0..1 after interpolation.

    Opaque texels go to depth and seen; softer ones to a single layer before them: its nearest triangle, and the opacity of
    all of them together.
    """
    height, width = depth.shape
    rows, columns = alpha.shape
    for t in range(first, last):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0 or min(az, bz, cz) <= 0.0 or max(fade[a], fade[b], fade[c]) <= 0.0:
            continue
        x0 = max(int(np.ceil(min(ax, bx, cx))), 0)
        x1 = min(int(np.floor(max(ax, bx, cx))), width - 1)
        y0 = max(int(np.ceil(min(ay, by, cy))), 0)
        y1 = min(int(np.floor(max(ay, by, cy))), height - 1)
        inverse = 1.0 / area
        vx, vy = (cy - ay) * inverse, -(cx - ax) * inverse
        wx, wy = -(by - ay) * inverse, (bx - ax) * inverse
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                v = (x - ax) * vx + (y - ay) * vy
                w = (x - ax) * wx + (y - ay) * wy
                if v < 0.0 or w < 0.0 or v + w > 1.0:
                    continue
                z = az + v * (bz - az) + w * (cz - az)
                if z <= depth[y, x]:
                    continue
                pb, pc = v * bz / z, w * cz / z
                pa = 1.0 - pb - pc
                column = int((pa * uv[t, 0, 0] + pb * uv[t, 1, 0] + pc * uv[t, 2, 0]) * columns)
                row = int((pa * uv[t, 0, 1] + pb * uv[t, 1, 1] + pc * uv[t, 2, 1]) * rows)
                column = min(max(column, 0), columns - 1)
                row = min(max(row, 0), rows - 1)
                opacity = alpha[row, column] / 255.0 * min(max(pa * fade[a] + pb * fade[b] + pc * fade[c], 0.0), 1.0)
                if opacity >= OPAQUE:
                    depth[y, x] = z
                    seen[y, x] = t
                elif opacity > CLEAR:
                    soft_alpha[y, x] = 1.0 - (1.0 - soft_alpha[y, x]) * (1.0 - opacity)
                    if z > soft_depth[y, x]:
                        soft_depth[y, x] = z
                        soft_seen[y, x] = t


@compiled
def vertex_normals(points, triangles, first, last, normals):
    """Add the area-weighted normals of triangles[first:last] into normals [V, 3]; not yet of unit length."""
    for t in range(first, last):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz


@compiled
def normalise(vectors):
    """Scale vectors [V, 3] to unit length in place; what has none points to the viewer."""
    for i in range(vectors.shape[0]):
        length = np.sqrt(vectors[i, 0] ** 2 + vectors[i, 1] ** 2 + vectors[i, 2] ** 2)
        if length > 1e-12:
            vectors[i] /= length
        else:
            vectors[i, 2] = 1.0


@compiled
def add_morphs(points, start, index, move, weights):
    """Add sparse displacements (see `sparse.Morphs`) times weights [M] to points [P, 3], in place."""
    for m in range(weights.shape[0]):
        weight = weights[m]
        if weight == 0.0:
            continue
        for j in range(start[m], start[m + 1]):
            i = index[j]
            points[i, 0] += weight * move[j, 0]
            points[i, 1] += weight * move[j, 1]
            points[i, 2] += weight * move[j, 2]
