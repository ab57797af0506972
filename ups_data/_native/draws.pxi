# Random numbers, and the draws that are made of them.

cdef extern from *:
    """
    /* splitmix64's finaliser: see hashing.py. */
    static inline uint64_t ups_mix64(uint64_t z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    static void ups_bits(uint64_t key, uint64_t counter, Py_ssize_t count, uint64_t *out)
    {
        for (Py_ssize_t i = 0; i < count; ++i) out[i] = ups_mix64(key + (counter + 1 + i) * 0x9E3779B97F4A7C15ULL);
    }
    static void ups_integers(uint64_t key, uint64_t counter, Py_ssize_t count, int width, const uint64_t *bound,
                             Py_ssize_t step, uint64_t *out)
    {
        for (Py_ssize_t i = 0; i < count; ++i)
            out[i] = ((ups_mix64(key + (counter + 1 + i) * 0x9E3779B97F4A7C15ULL) >> width) * bound[i * step])
                     >> (64 - width);
    }
    """
    void ups_bits(uint64_t key, uint64_t counter, Py_ssize_t count, uint64_t *out) nogil
    void ups_integers(uint64_t key, uint64_t counter, Py_ssize_t count, int width, const uint64_t *bound,
                      Py_ssize_t step, uint64_t *out) nogil


def fill_bits(const uint64_t[::1] keys not None, uint64_t counter, uint64_t[:, ::1] out not None):
    """Numbers counter, counter + 1, … of each key's sequence into `out`, `(keys, count)`."""
    cdef Py_ssize_t i
    if out.shape[0] != keys.shape[0]:
        raise ValueError(f"{keys.shape[0]} keys into {out.shape[0]} rows")
    if out.shape[1]:
        with nogil:
            for i in range(keys.shape[0]):
                ups_bits(keys[i], counter, out.shape[1], &out[i, 0])


def fill_integers(const uint64_t[::1] keys not None, uint64_t counter, int width, const uint64_t[::1] bound not None,
                  uint64_t[:, ::1] out not None):
    """The same scaled to [0, bound): `(bits >> width) * bound >> (64 - width)`, one bound or one for each column.

    Raises:
        ValueError: shapes do not fit, or a width outside 1 to 63.
    """
    cdef Py_ssize_t i, step = 0 if bound.shape[0] == 1 else 1
    if out.shape[0] != keys.shape[0] or (step and bound.shape[0] != out.shape[1]) or not 1 <= width <= 63:
        raise ValueError(f"{keys.shape[0]} keys, {bound.shape[0]} bounds, width {width}, {tuple(out.shape)[:2]} numbers")
    if out.shape[1]:
        with nogil:
            for i in range(keys.shape[0]):
                ups_integers(keys[i], counter, out.shape[1], width, &bound[0], step, &out[i, 0])


cdef extern from *:
    """
    static void ups_strata(uint64_t key, uint64_t counter, Py_ssize_t count, int width, const int64_t *begin,
                           uint64_t shift, uint64_t total, const int64_t *curve, int64_t *out)
    {
        for (Py_ssize_t i = 0; i < count; ++i) {
            uint64_t bits = ups_mix64(key + (counter + 1 + i) * 0x9E3779B97F4A7C15ULL) >> width;
            uint64_t place = (bits * (uint64_t)(begin[i + 1] - begin[i]) >> (64 - width)) + begin[i] + shift;
            out[i] = curve[place < total ? place : place - total];
        }
    }
    """
    void ups_strata(uint64_t key, uint64_t counter, Py_ssize_t count, int width, const int64_t *begin, uint64_t shift,
                    uint64_t total, const int64_t *curve, int64_t *out) nogil


def fill_strata(const uint64_t[::1] keys not None, uint64_t counter, int width, const int64_t[::1] begin not None,
                const int64_t[::1] shift not None, const int64_t[::1] curve not None, int64_t[:, ::1] out not None):
    """One place of `curve` from each stretch `[begin[i], begin[i + 1])` into `out[:, i]`, stretches turned by `shift`,
    one number for all keys or one for each: `curve[(begin[i] + number i of fill_integers + shift) % total]`.

    Raises:
        ValueError: shapes do not fit, a width outside 1 to 63, or stretches that do not make up the curve.
    """
    cdef Py_ssize_t i, step = 0 if shift.shape[0] == 1 else 1, count = out.shape[1]
    cdef int64_t total = curve.shape[0]
    cdef bint inside = begin.shape[0] == count + 1 and begin[0] == 0 and begin[count] == total and 1 <= width <= 63
    for i in range(count if inside else 0):
        inside = inside and begin[i] <= begin[i + 1]
    for i in range(shift.shape[0]):
        inside = inside and 0 <= shift[i] < total
    if not inside or out.shape[0] != keys.shape[0] or (step and shift.shape[0] != keys.shape[0]):
        raise ValueError(f"{keys.shape[0]} keys, {begin.shape[0]} borders, width {width}, a curve of {total} places")
    if count:
        with nogil:
            for i in range(keys.shape[0]):
                ups_strata(keys[i], counter, count, width, &begin[0], shift[i * step], total, &curve[0], &out[i, 0])


cdef extern from *:
    """
    static inline uint64_t ups_number(uint64_t key, uint64_t counter, int width, uint64_t bound)
    {
        return ((ups_mix64(key + (counter + 1) * 0x9E3779B97F4A7C15ULL) >> width) * bound) >> (64 - width);
    }
    static int ups_width(uint64_t bound)
    {
        int width = 0;
        for (; bound; bound >>= 1) ++width;
        return width;
    }

    /* Blocks of one draw, ascending from the one behind `thin` around the circle of all, `thin` last. */
    static void ups_choose(uint64_t key, uint64_t total, uint64_t points, Py_ssize_t chosen, int64_t *out)
    {
        int64_t thin = ups_number(key, 0, ups_width(total * points), total * points) / points;
        uint64_t child = ups_mix64(key + 2 * 0x9E3779B97F4A7C15ULL);
        int width = ups_width(total - 1);
        Py_ssize_t found = 0;
        for (uint64_t counter = 0; found < chosen - 1; ++counter) {
            int64_t value = ups_number(child, counter, width, total - 1);
            Py_ssize_t at = found;
            while (at > 0 && out[at - 1] > value) --at;
            if (at > 0 && out[at - 1] == value) continue;
            memmove(out + at + 1, out + at, (found - at) * sizeof(int64_t));
            out[at] = value;
            ++found;
        }
        for (Py_ssize_t j = 0; j < found; ++j) out[j] = (thin + 1 + out[j]) % total;
        out[found] = thin;
    }

    /* `kept` of `points` places, ascending: `thinned` of one sequence. `room` is as large as `out`. */
    static void ups_thin(uint64_t key, int64_t points, int64_t kept, int64_t *room, int64_t *out)
    {
        int width = ups_width(points);
        int64_t shift = ups_number(key, 0, width, points), before = 0, begin = 0, rest = 0;
        for (int64_t s = 0; s < kept; ++s) {
            int64_t length = points / kept;  /* of the stretch from s * points / kept on */
            rest += points % kept;
            if (rest >= kept) { rest -= kept; ++length; }
            room[s] = begin + shift + ups_number(key, s + 1, width, length);
            before += room[s] < points;
            begin += length;
        }
        /* Those that pass the end are the last ones, and come first. */
        for (int64_t s = before; s < kept; ++s) out[s - before] = room[s] - points;
        memcpy(out + kept - before, room, before * sizeof(int64_t));
    }
    """
    uint64_t ups_mix64(uint64_t z) nogil
    void ups_choose(uint64_t key, uint64_t total, uint64_t points, Py_ssize_t chosen, int64_t *out) nogil
    void ups_thin(uint64_t key, int64_t points, int64_t kept, int64_t *room, int64_t *out) nogil


def fill_blocks(const uint64_t[::1] keys not None, Py_ssize_t points, const int32_t[:, ::1] held, Py_ssize_t total,
                int64_t[:, ::1] blocks not None, int64_t[:, ::1] slots, int64_t[:, ::1] index):
    """Draws of `sampling.blocks` from `total` full blocks of `points` points: the blocks of each, the last one thinned
    to the count of `slots` and `index`, `(keys, Q)`. Either may be None.

    Args:
        held: `(total, points)`, the points of each block, for `index`.

    Raises:
        ValueError: shapes do not fit.
    """
    cdef Py_ssize_t i, j, q, rows = keys.shape[0], chosen = blocks.shape[1], count = points * chosen, whole
    cdef int64_t *place
    if slots is not None:
        count = slots.shape[1]
    elif index is not None:
        count = index.shape[1]
    whole = (chosen - 1) * points
    if (
        blocks.shape[0] != rows or points < 1 or not 1 <= chosen <= (total + 3) // 4 or chosen > total
        or not whole < count <= whole + points
        or (slots is not None and slots.shape[0] != rows)
        or (index is not None and (held is None or held.shape[0] != total or held.shape[1] != points
                                   or index.shape[0] != rows or index.shape[1] != count))
    ):
        raise ValueError(f"{rows} draws of {count} points from {chosen} of {total} blocks of {points}")
    if rows == 0:
        return
    place = <int64_t *> malloc(2 * (count - whole) * sizeof(int64_t))
    if place == NULL:
        raise MemoryError
    with nogil:
        for i in range(rows):
            ups_choose(keys[i], total, points, chosen, &blocks[i, 0])
            if slots is None and index is None:
                continue
            if count - whole < points:
                ups_thin(ups_mix64(keys[i] + 3 * <uint64_t> 0x9E3779B97F4A7C15ULL), points, count - whole,
                         place + (count - whole), place)
            else:
                for q in range(points):
                    place[q] = q
            if slots is not None:
                for q in range(whole):
                    slots[i, q] = q
                for q in range(count - whole):
                    slots[i, whole + q] = whole + place[q]
            if index is not None:
                for j in range(chosen - 1):
                    ups_widen(&index[i, j * points], <const char *> &held[blocks[i, j], 0], points)
                for q in range(count - whole):
                    index[i, whole + q] = held[blocks[i, chosen - 1], place[q]]
        ups_settle()
    free(place)
