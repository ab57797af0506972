# Points of frames: those that are chosen, and all of them put into order. After copies.pxi, whose copies it uses.

cdef extern from *:
    """
    /* f(SIZE) with a constant where the size of a point is a usual one. */
    #define UPS_BY_SIZE(f) \
        switch (size) { \
        case 4: f(4) break; \
        case 8: f(8) break; \
        case 12: f(12) break; \
        case 16: f(16) break; \
        case 20: f(20) break; \
        default: f(size) break; \
        }

    /* Points are gathered from memory that is in no cache: ask for each this many points ahead. Neighbours are copied
       at once. */
    #define UPS_AHEAD 64
    #define UPS_TAKE(SIZE) \
        for (; q < count; ++q) { \
            if (q + UPS_AHEAD < count) UPS_PREFETCH_FAR(frame + index[q + UPS_AHEAD] * SIZE); \
            if (q + 1 < count && index[q + 1] == index[q] + 1) { \
                Py_ssize_t first = q; \
                q = ups_run_end(index, q, count); \
                ups_copy_run(out + first * SIZE, frame + index[first] * SIZE, (q + 1 - first) * SIZE); \
            } else { \
                memcpy(out + q * SIZE, frame + index[q] * SIZE, SIZE); \
            } \
        }
    /* The last of the neighbours from q on. */
    static Py_ssize_t ups_run_end(const int64_t *index, Py_ssize_t q, Py_ssize_t count)
    {
        while (q + 32 < count) {
            int64_t other = 0;
            for (int i = 0; i < 32; ++i) other |= (index[q + i + 1] - index[q + i]) ^ 1;
            if (other) break;
            q += 32;
        }
        while (q + 1 < count && index[q + 1] == index[q] + 1) ++q;
        return q;
    }
    static void ups_take(const char *frame, const int64_t *index, Py_ssize_t count, Py_ssize_t size, char *out)
    {
        Py_ssize_t q = 0;
        UPS_BY_SIZE(UPS_TAKE)
    }

    /* The first of the points from `done` on that is not in [low, high). */
    static Py_ssize_t ups_within(const int64_t *index, Py_ssize_t done, Py_ssize_t count, int64_t low, int64_t high)
    {
        while (done < count && index[done] >= low && index[done] < high) ++done;
        return done;
    }

    /* A burst of points of each piece in turn: whole lines are read, and what lies near in the frame comes together, in
       `local`, from where runs of neighbours go past the caches. What is asked for ahead goes to the second cache: the
       first one has room for 24 lines on their way. Measured on 64^3 points of 16 bytes in 64 pieces that are in no
       cache: 365 us, asked for in the first cache 540 to 595, point by point 1,400, a plain copy 215 to 245. Neither
       bursts of 32 to 256 points, nor copying them to a place of their own first, nor gaps between the pieces made it
       faster. */
    #define UPS_BURST 16
    #define UPS_BYTES_AHEAD 32768
    #define UPS_COLLECT(SIZE) \
        for (Py_ssize_t j = 0; j < pieces; ++j, rank += UPS_BURST) { \
            if (from < points) \
                for (Py_ssize_t line = 0; line < UPS_BURST * SIZE; line += 64) \
                    UPS_PREFETCH_FAR(begins[ahead] + from * SIZE + line); \
            if (++ahead == pieces) { ahead = 0; from += UPS_BURST; } \
            const char *in = begins[j] + p * SIZE; \
            for (Py_ssize_t q = 0; q < count; ++q) \
                if (rank[q] >= 0) memcpy(local + rank[q] * SIZE, in + q * SIZE, SIZE); \
        }
    #define UPS_RESTORE(NAME, RANK) \
        static void NAME(const char *const *begins, Py_ssize_t pieces, Py_ssize_t points, const RANK *rank, \
                         const int64_t *runs, const int64_t *place, const int64_t *length, Py_ssize_t size, \
                         char *local, char *out) \
        { \
            Py_ssize_t ahead = UPS_BYTES_AHEAD / (UPS_BURST * size), from = ahead / pieces * UPS_BURST; \
            ahead %= pieces; \
            for (Py_ssize_t p = 0; p < points; p += UPS_BURST, ++runs) { \
                Py_ssize_t count = p + UPS_BURST < points ? UPS_BURST : points - p; \
                UPS_BY_SIZE(UPS_COLLECT) \
                const char *piece = local; \
                for (int64_t run = runs[0]; run < runs[1]; piece += length[run] * size, ++run) \
                    ups_copy_past(out + place[run] * size, piece, length[run] * size); \
            } \
        }
    UPS_RESTORE(ups_restore16, int16_t)
    UPS_RESTORE(ups_restore32, int32_t)
    """
    void ups_take(const char *frame, const int64_t *index, Py_ssize_t count, Py_ssize_t size, char *out) nogil
    Py_ssize_t ups_within(const int64_t *index, Py_ssize_t done, Py_ssize_t count, int64_t low, int64_t high) nogil
    void ups_restore16(const char **begins, Py_ssize_t pieces, Py_ssize_t points, const int16_t *rank,
                       const int64_t *runs, const int64_t *place, const int64_t *length, Py_ssize_t size,
                       char *local, char *out) nogil
    void ups_restore32(const char **begins, Py_ssize_t pieces, Py_ssize_t points, const int32_t *rank,
                       const int64_t *runs, const int64_t *place, const int64_t *length, Py_ssize_t size,
                       char *local, char *out) nogil

ctypedef fused rank_t:
    int16_t
    int32_t


def take(list buffers not None, const int64_t[:, ::1] buffer not None, const int64_t[:, ::1] offset not None,
         Py_ssize_t points, const int64_t[:, ::1] index not None, Py_ssize_t size, unsigned char[::1] out not None):
    """Copy points of `size` bytes one after another into `out`, which they fill.

    Frame i consists of pieces of `points` points each; piece j begins at byte `offset[i, j]` of
    `buffers[buffer[i, j]]`. Points `index[i]` are taken, counted through all pieces.

    Raises:
        ValueError: sizes do not fit.
        IndexError: a point is not in its frame, or a piece not in its buffer.
    """
    cdef _Views views = _Views(buffers)
    cdef Py_ssize_t i = 0, frames = buffer.shape[0], pieces = buffer.shape[1], count = index.shape[1]
    cdef Py_ssize_t done = 0, piece, end
    cdef const char *begin = NULL
    if (
        offset.shape[0] != frames or offset.shape[1] != pieces or index.shape[0] != frames
        or frames * count * size != out.shape[0] or size < 1 or points < 1
    ):
        raise ValueError(f"{frames} frames, {index.shape[0]} rows of {count} points, {out.shape[0]} bytes of memory")
    if out.shape[0] == 0:
        return
    with nogil:
        for i in range(frames):
            done = 0
            while done < count:
                piece = index[i, done] // points
                if index[i, done] < 0 or piece >= pieces:
                    break
                begin = views.at(buffer[i, piece], offset[i, piece], points * size)
                if begin == NULL:
                    break
                # As many points as lie in this piece, at once.
                end = ups_within(&index[i, 0], done, count, piece * points, (piece + 1) * points)
                ups_take(begin - piece * points * size, &index[i, done], end - done, size,
                         <char *> &out[(i * count + done) * size])
                done = end
            if done < count:
                break
        ups_settle()
    if done < count:
        raise IndexError(f"frame {i}: point {index[i, done]} is not among its {pieces} pieces of {points} points")


def restore(list buffers not None, const int64_t[:, ::1] buffer not None, const int64_t[:, ::1] offset not None,
            Py_ssize_t points, const rank_t[:, :, ::1] rank not None, const int64_t[::1] runs not None,
            const int64_t[::1] place not None, const int64_t[::1] length not None, Py_ssize_t size,
            unsigned char[::1] out not None):
    """Put frames that are stored in pieces into the order of their points.

    Frames and pieces as in `take`; rank, runs, place and length as `Blocks.bursts` has them, trusted.

    Raises:
        ValueError: sizes do not fit.
        IndexError: a piece is not in its buffer, or a run not in its frame.
    """
    cdef _Views views = _Views(buffers)
    cdef Py_ssize_t i = 0, j, frames = buffer.shape[0], pieces = buffer.shape[1], bursts = (points + 15) // 16
    cdef Py_ssize_t total = out.shape[0] // (max(frames, 1) * size)
    cdef bint inside = True
    cdef const char **begins
    cdef char *local
    if (
        offset.shape[0] != frames or offset.shape[1] != pieces or points < 1 or frames * total * size != out.shape[0]
        or rank.shape[0] != bursts or rank.shape[1] != pieces or rank.shape[2] != 16 or runs.shape[0] != bursts + 1
        or place.shape[0] != length.shape[0] or runs[bursts] != place.shape[0]
    ):
        raise ValueError(f"{frames} frames of {pieces} pieces, {points} points each, {out.shape[0]} bytes of memory")
    if out.shape[0] == 0:
        return
    begins = <const char **> malloc(pieces * sizeof(char *))
    local = <char *> malloc(pieces * 16 * size)
    if begins == NULL or local == NULL:
        free(begins)
        free(local)
        raise MemoryError
    with nogil:
        for j in range(place.shape[0]):
            inside = inside and place[j] >= 0 and length[j] >= 0 and place[j] + length[j] <= total
        for i in range(frames if inside else 0):
            for j in range(pieces):
                begins[j] = views.at(buffer[i, j], offset[i, j], points * size)
                inside = inside and begins[j] != NULL
            if not inside:
                break
            if rank_t is int16_t:
                ups_restore16(begins, pieces, points, &rank[0, 0, 0], &runs[0], &place[0], &length[0], size, local,
                              <char *> &out[i * total * size])
            else:
                ups_restore32(begins, pieces, points, &rank[0, 0, 0], &runs[0], &place[0], &length[0], size, local,
                              <char *> &out[i * total * size])
        ups_settle()
    free(begins)
    free(local)
    if not inside:
        raise IndexError(f"frame {i}: a piece is not in its buffer, or a run of points not in the frame")
