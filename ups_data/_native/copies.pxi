# Copies past the caches: whole runs, one after another.

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
            if (((size_t)in & 4095) < 64) UPS_PREFETCH(in + 4096);  /* the next page's address is looked up meanwhile */
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
    /* Coordinates of 1 to 3 components, less `low` and times `scale`; `low` is repeated to 12 numbers, which every
       number of components divides. `in` may be `out`. */
    static void ups_scale_run(float *out, const char *in, Py_ssize_t count, const float *low, float scale, int past)
    {
        Py_ssize_t i = 0;
        float number;
    #if defined(__SSE2__)
        __m128 l0 = _mm_loadu_ps(low), l1 = _mm_loadu_ps(low + 4), l2 = _mm_loadu_ps(low + 8), s = _mm_set1_ps(scale);
        past = past && !((size_t)out & 15);
        for (; i + 12 <= count; i += 12) {
            const float *from = (const float *)(in + 4 * i);
            if (((size_t)from & 4095) < 48) UPS_PREFETCH((const char *)from + 4096);
            UPS_PREFETCH((const char *)from + 512);
            __m128 a = _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(from), l0), s);
            __m128 b = _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(from + 4), l1), s);
            __m128 c = _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(from + 8), l2), s);
            if (past) {
                _mm_stream_ps(out + i, a);
                _mm_stream_ps(out + i + 4, b);
                _mm_stream_ps(out + i + 8, c);
            } else {
                _mm_storeu_ps(out + i, a);
                _mm_storeu_ps(out + i + 4, b);
                _mm_storeu_ps(out + i + 8, c);
            }
        }
    #endif
        for (; i < count; ++i) {
            memcpy(&number, in + 4 * i, 4);
            out[i] = (number - low[i % 12]) * scale;
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
    """
    void ups_copy_past(char *out, const char *run, size_t size) nogil
    void ups_widen(int64_t *out, const char *run, Py_ssize_t count) nogil
    void ups_scale_run(float *out, const char *run, Py_ssize_t count, const float *low, float scale, int past) nogil
    void ups_settle() nogil

# Batches below this stay in the caches.
cdef Py_ssize_t CACHED = 1 << 20


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


cdef int _repeat(const float[::1] low, float *out) except -1:
    """`low` again and again, 12 numbers."""
    cdef Py_ssize_t i
    if not 1 <= low.shape[0] <= 3:
        raise ValueError(f"{low.shape[0]} components of a coordinate")
    for i in range(12):
        out[i] = low[i % low.shape[0]]
    return 0


def stack_scaled(list buffers not None, const int64_t[::1] buffer not None, const int64_t[::1] offset not None,
                 Py_ssize_t points, const float[::1] low not None, float scale, float[::1] out not None):
    """`stack` of runs of `points` coordinates, of which each becomes `(coordinate - low) * scale`.

    Raises:
        ValueError, IndexError: as `stack`.
    """
    cdef _Views views = _Views(buffers)
    cdef Py_ssize_t i = 0, runs = buffer.shape[0], count = points * low.shape[0]
    cdef const char *run = NULL
    cdef float lows[12]
    _repeat(low, lows)
    if offset.shape[0] != runs or runs * count != out.shape[0]:
        raise ValueError(f"{runs} runs of {count} numbers, {offset.shape[0]} offsets, room for {out.shape[0]}")
    if out.shape[0] == 0:
        return
    with nogil:
        for i in range(runs):
            run = views.at(buffer[i], offset[i], 4 * count)
            if run == NULL:
                break
            ups_scale_run(&out[i * count], run, count, lows, scale, 4 * out.shape[0] > CACHED)
        ups_settle()
    if run == NULL:
        raise IndexError(f"run {i} of {points} coordinates is not in its buffer")


def scale(const float[::1] low not None, float scale, float[::1] out not None):
    """Make each coordinate of `out` `(coordinate - low) * scale`, in place.

    Raises:
        ValueError: a coordinate has none or more than 3 components.
    """
    cdef float lows[12]
    _repeat(low, lows)
    if out.shape[0] == 0:
        return
    with nogil:
        ups_scale_run(&out[0], <const char *> &out[0], out.shape[0], lows, scale, 0)
