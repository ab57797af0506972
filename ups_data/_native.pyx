# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Inner loops of a batch, in one call each and outside the interpreter lock: its copies and its random numbers.

A call of numpy per frame holds the lock for about as long as it copies 128 KB, so threads wait for each other instead
of copying. Whoever calls these has the same in numpy, for installations without a C compiler.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif
    #if defined(__GNUC__)
    #define UPS_PREFETCH(p) __builtin_prefetch(p, 0, 0)
    #define UPS_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2)
    #else
    #define UPS_PREFETCH(p) ((void)(p))
    #define UPS_PREFETCH_FAR(p) ((void)(p))
    #endif

    /* Copy past the caches: a batch is larger than they are, and what writes it does not read it again. Measured on
       frames of 256 KB that take turns in a few buffers: 15 us each, memcpy 16 to 37. */
    static void ups_copy_past(char *out, const char *in, size_t size)
    {
    #if defined(__SSE2__)
        size_t head = (64 - ((size_t)out & 63)) & 63;
        if (head > size) head = size;
        memcpy(out, in, head);
        out += head; in += head; size -= head;
        for (; size >= 64; size -= 64, in += 64, out += 64) {
            UPS_PREFETCH(in + 512);
            __m128i a = _mm_loadu_si128((const __m128i *)in), b = _mm_loadu_si128((const __m128i *)in + 1);
            __m128i c = _mm_loadu_si128((const __m128i *)in + 2), d = _mm_loadu_si128((const __m128i *)in + 3);
            _mm_stream_si128((__m128i *)out, a);
            _mm_stream_si128((__m128i *)out + 1, b);
            _mm_stream_si128((__m128i *)out + 2, c);
            _mm_stream_si128((__m128i *)out + 3, d);
        }
    #endif
        memcpy(out, in, size);
    }
    /* The same of int32 numbers that become int64. */
    static void ups_widen(int64_t *out, const char *in, Py_ssize_t count)
    {
        Py_ssize_t i = 0;
        int32_t number;
        if (count && (size_t)out & 15) {
            memcpy(&number, in, 4);
            out[i++] = number;
        }
    #if defined(__SSE2__)
        if (!((size_t)(out + i) & 15))
            for (; i + 4 <= count; i += 4) {
                UPS_PREFETCH(in + 4 * i + 512);
                __m128i a = _mm_loadu_si128((const __m128i *)(in + 4 * i)), sign = _mm_srai_epi32(a, 31);
                _mm_stream_si128((__m128i *)(out + i), _mm_unpacklo_epi32(a, sign));
                _mm_stream_si128((__m128i *)(out + i + 2), _mm_unpackhi_epi32(a, sign));
            }
    #endif
        for (; i < count; ++i) {
            memcpy(&number, in + 4 * i, 4);
            out[i] = number;
        }
    }
    /* Before another thread reads what was copied so. */
    static void ups_settle(void)
    {
    #if defined(__SSE2__)
        _mm_sfence();
    #endif
    }

    /* Past the caches where it pays. */
    static void ups_copy_run(char *out, const char *in, size_t size)
    {
        if (size < 1024) memcpy(out, in, size);
        else ups_copy_past(out, in, size);
    }

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
    void ups_copy_past(char *out, const char *run, size_t size) nogil
    void ups_widen(int64_t *out, const char *run, Py_ssize_t count) nogil
    void ups_settle() nogil
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

# Batches below this stay in the caches.
cdef Py_ssize_t CACHED = 1 << 20


cdef class _Views:
    """The memory of some buffers, held for the time of a call."""

    cdef Py_buffer *views
    cdef Py_ssize_t count

    def __cinit__(self, list buffers, bint writable=False):
        self.count = 0
        self.views = <Py_buffer *> malloc(len(buffers) * sizeof(Py_buffer))
        if self.views == NULL:
            raise MemoryError
        for buffer in buffers:
            PyObject_GetBuffer(buffer, &self.views[self.count], PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
            self.count += 1

    def __dealloc__(self):
        for i in range(self.count):
            PyBuffer_Release(&self.views[i])
        free(self.views)

    cdef const char *at(self, int64_t number, int64_t offset, Py_ssize_t size) noexcept nogil:
        """`size` bytes of a buffer from `offset`; NULL where they are not all in it."""
        if number < 0 or number >= self.count or offset < 0 or offset + size > self.views[number].len:
            return NULL
        return <const char *> self.views[number].buf + offset


def stack(list buffers not None, const int64_t[::1] buffer not None, const int64_t[::1] offset not None,
          Py_ssize_t size, unsigned char[::1] out not None):
    """Copy runs of `size` bytes one after another into `out`, which they fill.

    Run i begins at byte `offset[i]` of `buffers[buffer[i]]`.

    Raises:
        ValueError: sizes do not fit.
        IndexError: a run is not in its buffer.
    """
    cdef _Views views = _Views(buffers)
    cdef Py_ssize_t i = 0, count = buffer.shape[0]
    cdef const char *run = NULL
    if offset.shape[0] != count or count * size != out.shape[0]:
        raise ValueError(f"{count} runs of {size} bytes, {offset.shape[0]} offsets, {out.shape[0]} bytes of memory")
    if out.shape[0] == 0:
        return
    with nogil:
        for i in range(count):
            run = views.at(buffer[i], offset[i], size)
            if run == NULL:
                break
            if out.shape[0] <= CACHED:
                memcpy(&out[i * size], run, size)
            else:
                ups_copy_past(<char *> &out[i * size], run, size)
        ups_settle()
    if run == NULL:
        raise IndexError(f"run {i} of {size} bytes is not in its buffer")


def stack_widened(list buffers not None, const int64_t[::1] buffer not None, const int64_t[::1] offset not None,
                  Py_ssize_t count, int64_t[::1] out not None):
    """The same of runs of `count` int32 numbers that become int64.

    Raises:
        ValueError, IndexError: as `stack`.
    """
    cdef _Views views = _Views(buffers)
    cdef Py_ssize_t i = 0, runs = buffer.shape[0]
    cdef const char *run = NULL
    if offset.shape[0] != runs or runs * count != out.shape[0]:
        raise ValueError(f"{runs} runs of {count} numbers, {offset.shape[0]} offsets, room for {out.shape[0]}")
    if out.shape[0] == 0:
        return
    with nogil:
        for i in range(runs):
            run = views.at(buffer[i], offset[i], 4 * count)
            if run == NULL:
                break
            ups_widen(<int64_t *> &out[i * count], run, count)
        ups_settle()
    if run == NULL:
        raise IndexError(f"run {i} of {count} numbers is not in its buffer")


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


cdef extern from *:
    """
    #include <stdlib.h>
    static uint32_t ups_le32(const uint8_t *p)
    {
        return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }

    /* One block in the LZ4 block format (lz4_Block_format.md of the lz4 project) that must fill `out`; 0 if it does not.
       Every access is bounded, whatever the bytes are. Where there is room behind, more is copied than asked for: a
       branch that the processor cannot foresee costs more than 16 bytes. */
    static int ups_lz4(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
    {
        /* A distance of at least 8 that is a multiple of the offset. */
        static const uint8_t far[8] = {0, 8, 8, 9, 8, 10, 12, 14};
        const uint8_t *in_end = in + in_size;
        uint8_t *begin = out, *end = out + out_size;
        while (in < in_end) {
            unsigned token = *in++, more;
            size_t length = token >> 4, offset;
            if (length < 15 && in_end - in >= 18 && end - out >= 16) {
                memcpy(out, in, 16);
            } else {
                if (length == 15)
                    do {
                        if (in >= in_end) return 0;
                        length += more = *in++;
                    } while (more == 255);
                if (length > (size_t)(in_end - in) || length > (size_t)(end - out)) return 0;
                memcpy(out, in, length);
            }
            in += length; out += length;
            if (in == in_end) return out == end;
            if (in_end - in < 2) return 0;
            offset = in[0] | in[1] << 8;
            in += 2;
            if (offset == 0 || offset > (size_t)(out - begin)) return 0;
            length = token & 15;
            if (length == 15)
                do {
                    if (in >= in_end) return 0;
                    length += more = *in++;
                } while (more == 255);
            length += 4;
            if (length > (size_t)(end - out)) return 0;
            const uint8_t *from = out - offset;
            uint8_t *stop = out + length;
            if ((size_t)(end - out) < length + 24) {
                while (out < stop) *out++ = *from++;
                continue;
            }
            if (offset < 8) {
                for (int i = 0; i < 8; ++i) out[i] = from[i];
                out += 8;
                from = out - far[offset];
            }
            if (offset >= 16) {
                memcpy(out, from, 16);
                for (out += 16, from += 16; out < stop; out += 16, from += 16) memcpy(out, from, 16);
            } else {
                memcpy(out, from, 8);
                for (out += 8, from += 8; out < stop; out += 8, from += 8) memcpy(out, from, 8);
            }
            out = stop;
        }
        return out == end;
    }

    /* Bytes of equal significance, which blosc stored together, back to their numbers: byte k of number i is in[k][i].
       `past` writes past the caches, into memory that is aligned to a line. */
    static void ups_unshuffle_any(const uint8_t *const *in, size_t from, size_t count, size_t width, uint8_t *out)
    {
        for (size_t i = from; i < count; ++i)
            for (size_t k = 0; k < width; ++k) out[i * width + k] = in[k][i];
    }
    #if defined(__SSE2__)
    #define UPS_UNSHUFFLE4(STORE) \
        for (; i + 16 <= count; i += 16) { \
            __m128i a = _mm_loadu_si128((const __m128i *)(in[0] + i)); \
            __m128i b = _mm_loadu_si128((const __m128i *)(in[1] + i)); \
            __m128i c = _mm_loadu_si128((const __m128i *)(in[2] + i)); \
            __m128i d = _mm_loadu_si128((const __m128i *)(in[3] + i)); \
            __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d); \
            __m128i AB = _mm_unpackhi_epi8(a, b), CD = _mm_unpackhi_epi8(c, d); \
            __m128i *to = (__m128i *)(out + 4 * i); \
            STORE(to, _mm_unpacklo_epi16(ab, cd)); \
            STORE(to + 1, _mm_unpackhi_epi16(ab, cd)); \
            STORE(to + 2, _mm_unpacklo_epi16(AB, CD)); \
            STORE(to + 3, _mm_unpackhi_epi16(AB, CD)); \
        }
    #endif
    static void ups_unshuffle(const uint8_t *const *in, size_t count, size_t width, uint8_t *out, int past)
    {
        size_t i = 0;
    #if defined(__SSE2__)
        if (width == 4) {
            if (past && !((size_t)out & 15)) { UPS_UNSHUFFLE4(_mm_stream_si128) }
            else { UPS_UNSHUFFLE4(_mm_storeu_si128) }
        }
    #endif
        ups_unshuffle_any(in, i, count, width, out);
    }

    /* A chunk of blosc 1 (README_CHUNK_FORMAT.rst of c-blosc) with lz4 inside, as long as `out`; 0 where it is another
       one, or damaged. What lz4 could not shorten is taken from where it is stored; `scratch` has room for a block. */
    static int ups_blosc(const uint8_t *in, size_t in_size, size_t block, uint8_t *out, size_t out_size,
                         uint8_t *scratch, int past)
    {
        unsigned flags = in[2], width = in[3];
        size_t blocks = (out_size + block - 1) / block;
        const uint8_t *part_of[16];
        if (flags & 2) {  /* stored as it is */
            if (in_size != out_size + 16) return 0;
            memcpy(out, in + 16, out_size);
            return 1;
        }
        if ((flags >> 5) != 1 || flags & 4 || width == 0 || width > 16 || 16 + 4 * blocks > in_size) return 0;
        for (size_t i = 0; i < blocks; ++i) {
            size_t at = ups_le32(in + 16 + 4 * i), size = block, parts = 1;
            if (i == blocks - 1 && out_size % block) size = out_size % block;
            if (!(flags & 16) && block / width >= 128 && size == block) parts = width;
            int shuffled = flags & 1 && width > 1;
            size_t part = size / parts;
            if (part * parts != size) return 0;
            for (size_t k = 0; k < parts; ++k) {
                uint8_t *to = (shuffled ? scratch : out + i * block) + k * part;
                if (at > in_size || in_size - at < 4) return 0;
                size_t stored = ups_le32(in + at);
                at += 4;
                if (stored > in_size - at) return 0;
                part_of[k] = to;
                if (stored != part) { if (!ups_lz4(in + at, stored, to, part)) return 0; }
                else if (shuffled) part_of[k] = in + at;
                else memcpy(to, in + at, part);
                at += stored;
            }
            if (!shuffled) continue;
            size_t count = size / width;
            const uint8_t *whole = part_of[0];
            if (parts == 1)  /* one stream of all bytes, significance after significance */
                for (size_t k = 0; k < width; ++k) part_of[k] = whole + k * count;
            ups_unshuffle(part_of, count, width, out + i * block, past);
            if (count * width < size) memcpy(out + i * block + count * width, whole + count * width, size % width);
        }
        return 1;
    }
    /* The same with its header looked at first. */
    static int ups_chunk(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size, uint8_t **scratch,
                         size_t *room, int past)
    {
        if (in_size < 16 || ups_le32(in + 4) != out_size || ups_le32(in + 12) != in_size) return 0;
        size_t block = ups_le32(in + 8), most = block < out_size ? block : out_size;
        if (block == 0) return 0;
        if (most > *room) {
            free(*scratch);
            *scratch = malloc(most);
            *room = *scratch == NULL ? 0 : most;
            if (*scratch == NULL) return 0;
        }
        /* Read once: the file that it is mapped from may change. */
        return ups_blosc(in, in_size, block, out, out_size, *scratch, past);
    }
    """
    int ups_chunk(const uint8_t *stored, size_t in_size, uint8_t *out, size_t out_size, uint8_t **scratch,
                  size_t *room, int past) nogil


def decode_lz4(list buffers not None, const int64_t[::1] buffer not None, const int64_t[::1] offset not None,
               const int64_t[::1] length not None, list outs not None, const int64_t[::1] out not None,
               const int64_t[::1] place not None, Py_ssize_t size, bint past=False):
    """Decode blosc chunks with lz4 inside: chunk i, `length[i]` bytes from byte `offset[i]` of `buffers[buffer[i]]` on,
    into the `size` bytes from byte `place[i]` of `outs[out[i]]` on.

    blosc itself takes aligned memory for every chunk, which glibc before 2.38 (bug 14581) does not find again: measured
    on chunks of 256 KB, the process grew by 80 MB per 1,600 of them, and page faults doubled the time.

    Args:
        past: write past the caches; for what is not read again soon.

    Returns:
        the number of the first chunk that is another one, or damaged; as many as there are where all were decoded.

    Raises:
        ValueError: sizes do not fit.
        IndexError: a chunk is not in its buffer, or its place not in memory.
    """
    cdef _Views views = _Views(buffers), memory = _Views(outs, True)
    cdef Py_ssize_t i = 0, count = buffer.shape[0]
    cdef uint8_t *scratch = NULL
    cdef size_t room = 0
    cdef const char *stored
    cdef const char *to
    cdef bint inside = True
    if offset.shape[0] != count or length.shape[0] != count or out.shape[0] != count or place.shape[0] != count:
        raise ValueError(f"{count} chunks, {offset.shape[0]} offsets, {length.shape[0]} lengths, {out.shape[0]} places")
    with nogil:
        for i in range(count):
            stored, to = views.at(buffer[i], offset[i], length[i]), memory.at(out[i], place[i], size)
            inside = stored != NULL and to != NULL and length[i] >= 0
            if not inside or not ups_chunk(<const uint8_t *> stored, length[i], <uint8_t *> to, size, &scratch, &room,
                                           past):
                break
        else:
            i = count
        free(scratch)
        ups_settle()
    if not inside:
        raise IndexError(f"chunk {i} is not in its buffer, or its place not in memory")
    return i


cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <unistd.h>

    /* A file that is cut while it is mapped raises SIGBUS where the map has no bytes any more. The handler puts a page of
       zeros there, counts, and lets the access go on; whoever uses the map asks afterwards whether that happened. It
       calls nothing but mmap, and reads this list, whose members are never freed. */
    typedef struct ups_map {
        char *volatile begin;  /* NULL: free to be taken again */
        size_t size;
        long faults;
        struct ups_map *next;
    } ups_map;
    static ups_map *volatile ups_maps = NULL;
    static struct sigaction ups_before;  /* what handles the faults of others */
    static volatile sig_atomic_t ups_passed = 0, ups_raised = 0;

    static void ups_bus(int number, siginfo_t *info, void *context)
    {
        int saved = errno;
        if (info->si_code > 0) {
            char *at = (char *)info->si_addr;
            size_t page = (size_t)sysconf(_SC_PAGESIZE);
            for (ups_map *map = ups_maps; map != NULL; map = map->next) {
                char *begin = map->begin;
                if (begin == NULL || at < begin || at >= begin + map->size) continue;
                if (mmap((void *)((size_t)at & ~(page - 1)), page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                         -1, 0) == MAP_FAILED) break;
                __atomic_add_fetch(&map->faults, 1, __ATOMIC_SEQ_CST);
                errno = saved;
                return;
            }
        } else if (info->si_pid == getpid() && !ups_raised) {
            /* faulthandler, enabled after this, says what it sees and raises the signal again: the access that it saw
               is repeated after that, and comes here by itself. */
            ups_raised = 1;
            return;
        }
        /* Not of a map: as if this handler were not here. A handler before it that comes back here has had its turn. */
        if (ups_passed) signal(number, SIG_DFL);
        else sigaction(number, &ups_before, NULL);
        ups_passed = 1;
        errno = saved;
        if (info->si_code <= 0) raise(number);
    }

    /* In front of whatever handles the signal now, if this is not the first already. */
    static void ups_handle_faults(void)
    {
        struct sigaction now, ours;
        if (sigaction(SIGBUS, NULL, &now) || ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == ups_bus)) return;
        ups_before = now;
        ours.sa_sigaction = ups_bus;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&ours.sa_mask);
        sigaction(SIGBUS, &ours, NULL);
    }

    static ups_map *ups_map_file(int file, size_t size)
    {
        ups_map *map = ups_maps;
        void *begin = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
        if (begin == MAP_FAILED) return NULL;
        ups_handle_faults();
        while (map != NULL && map->begin != NULL) map = map->next;
        if (map == NULL) {
            map = (ups_map *)calloc(1, sizeof(ups_map));
            if (map == NULL) { munmap(begin, size); errno = ENOMEM; return NULL; }
            map->next = ups_maps;
            __atomic_store_n(&ups_maps, map, __ATOMIC_SEQ_CST);
        }
        map->size = size;
        map->faults = 0;
        __atomic_store_n(&map->begin, (char *)begin, __ATOMIC_SEQ_CST);
        return map;
    }

    static void ups_unmap(ups_map *map)
    {
        char *begin = map->begin;
        __atomic_store_n(&map->begin, (char *)NULL, __ATOMIC_SEQ_CST);
        munmap(begin, map->size);
    }
    """
    ctypedef struct ups_map:
        char *begin
        size_t size
        long faults
    ups_map *ups_map_file(int file, size_t size)
    void ups_unmap(ups_map *map)


cdef class Map:
    """A file's bytes, mapped to be read: a buffer. What is no longer in the file when it is read is zeros, and counted.

    Raises:
        OSError: it cannot be mapped.
    """

    cdef ups_map *_map

    def __cinit__(self, int file, size_t size):
        self._map = ups_map_file(file, size) if size else NULL
        if self._map == NULL:
            raise OSError("cannot be mapped")

    def __dealloc__(self):
        if self._map != NULL:
            ups_unmap(self._map)

    @property
    def faults(self):
        """Pages that were read and not there."""
        return self._map.faults

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self._map.begin, self._map.size, 1, flags)
