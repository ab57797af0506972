# Coordinates that are scaled as they are copied.

cdef extern from *:
    """
    /* Coordinates, less `low` and times `scale`: whole cache lines, past the caches; `low` is repeated to 24
       numbers. Returns how many were done. */
    #if defined(UPS_AVX2)
    #define UPS_HALF(at, l) \
        _mm256_stream_ps(out + i + (at), _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(from + (at)), (l)), s))
    UPS_AVX2 static Py_ssize_t ups_scale_lines_wide(
        float *out, const char *in, Py_ssize_t count, const float *low, float scale)
    {
        Py_ssize_t i = 0;
        __m256 l0 = _mm256_loadu_ps(low), l1 = _mm256_loadu_ps(low + 8), l2 = _mm256_loadu_ps(low + 16);
        __m256 s = _mm256_set1_ps(scale);
        for (; i + 48 <= count; i += 48) {
            const float *from = (const float *)(in + 4 * i);
            if (((size_t)from & 4095) < 192) UPS_PREFETCH((const char *)from + 4096);
            UPS_PREFETCH((const char *)from + 512);
            UPS_HALF(0, l0); UPS_HALF(8, l1);
            UPS_PREFETCH((const char *)from + 576);
            UPS_HALF(16, l2); UPS_HALF(24, l0);
            UPS_PREFETCH((const char *)from + 640);
            UPS_HALF(32, l1); UPS_HALF(40, l2);
        }
        return i;
    }
    #endif
    #if defined(__SSE2__)
    #define UPS_QUARTER(at, l) _mm_stream_ps(out + i + (at), _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(from + (at)), (l)), s))
    static Py_ssize_t ups_scale_lines(float *out, const char *in, Py_ssize_t count, const float *low, float scale)
    {
        Py_ssize_t i = 0;
        __m128 l0 = _mm_loadu_ps(low), l1 = _mm_loadu_ps(low + 4), l2 = _mm_loadu_ps(low + 8), s = _mm_set1_ps(scale);
        for (; i + 48 <= count; i += 48) {
            const float *from = (const float *)(in + 4 * i);
            if (((size_t)from & 4095) < 192) UPS_PREFETCH((const char *)from + 4096);
            UPS_PREFETCH((const char *)from + 512);
            UPS_QUARTER(0, l0); UPS_QUARTER(4, l1); UPS_QUARTER(8, l2); UPS_QUARTER(12, l0);
            UPS_PREFETCH((const char *)from + 576);
            UPS_QUARTER(16, l1); UPS_QUARTER(20, l2); UPS_QUARTER(24, l0); UPS_QUARTER(28, l1);
            UPS_PREFETCH((const char *)from + 640);
            UPS_QUARTER(32, l2); UPS_QUARTER(36, l0); UPS_QUARTER(40, l1); UPS_QUARTER(44, l2);
        }
        return i;
    }
    #endif
    /* Coordinates of 1 to 3 components, less `low` and times `scale`; `low` is repeated to 12 numbers, which every
       number of components divides. `in` may be `out` unless it goes past the caches. */
    static void ups_scale_run(float *out, const char *in, Py_ssize_t count, const float *low, float scale, int past)
    {
        Py_ssize_t i = 0;
        float number;
    #if defined(__SSE2__)
        if (past && !((size_t)out & 3)) {
            float lows[24];
            Py_ssize_t k;
            for (; i < count && ((size_t)(out + i) & 63); ++i) {
                memcpy(&number, in + 4 * i, 4);
                out[i] = (number - low[i % 12]) * scale;
            }
            for (k = 0; k < 24; ++k) lows[k] = low[(i + k) % 12];
    #if defined(UPS_AVX2)
            if (ups_is_wide()) i += ups_scale_lines_wide(out + i, in + 4 * i, count - i, lows, scale);
            else
    #endif
            i += ups_scale_lines(out + i, in + 4 * i, count - i, lows, scale);
        }
        else {
            __m128 l0 = _mm_loadu_ps(low), l1 = _mm_loadu_ps(low + 4), l2 = _mm_loadu_ps(low + 8);
            __m128 s = _mm_set1_ps(scale);
            for (; i + 12 <= count; i += 12) {
                const float *from = (const float *)(in + 4 * i);
                __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + 4), c = _mm_loadu_ps(from + 8);
                _mm_storeu_ps(out + i, _mm_mul_ps(_mm_sub_ps(a, l0), s));
                _mm_storeu_ps(out + i + 4, _mm_mul_ps(_mm_sub_ps(b, l1), s));
                _mm_storeu_ps(out + i + 8, _mm_mul_ps(_mm_sub_ps(c, l2), s));
            }
        }
    #endif
        for (; i < count; ++i) {
            memcpy(&number, in + 4 * i, 4);
            out[i] = (number - low[i % 12]) * scale;
        }
    }
    """
    void ups_scale_run(float *out, const char *run, Py_ssize_t count, const float *low, float scale, int past) nogil


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
