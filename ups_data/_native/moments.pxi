# Sums over many numbers in one pass over memory: moments of each channel.

cdef extern from *:
    """
    #include <math.h>
    #define UPS_LANES 64           /* sums side by side, of which each belongs to one channel */
    #define UPS_PIECE (32 * 1024)  /* bytes that are still in the first caches when they are read again */

    /* Of one piece of `count` numbers, the channels of a point side by side: what `UPS_MOMENTS` says, of each lane. Lanes
       are independent, so that the compiler takes several at once, and the sums are the same on every processor. */
    #define UPS_PASSES(T, VALUE) \
        for (l = 0; l < lanes; ++l) { sum[l] = 0; lo[l] = INFINITY; hi[l] = -INFINITY; } \
        for (i = 0; i + lanes <= count; i += lanes) \
            for (l = 0; l < lanes; ++l) { \
                double x = VALUE(i + l); \
                sum[l] += x; \
                lo[l] = x < lo[l] ? x : lo[l]; \
                hi[l] = x > hi[l] ? x : hi[l]; \
            } \
        for (l = 0; i + l < count; ++l) { \
            double x = VALUE(i + l); \
            sum[l] += x; \
            lo[l] = x < lo[l] ? x : lo[l]; \
            hi[l] = x > hi[l] ? x : hi[l]; \
        } \
        for (l = channels; l < lanes; ++l) { \
            sum[l % channels] += sum[l]; \
            lo[l % channels] = lo[l] < lo[l % channels] ? lo[l] : lo[l % channels]; \
            hi[l % channels] = hi[l] > hi[l % channels] ? hi[l] : hi[l % channels]; \
        } \
        for (l = 0; l < channels; ++l) { \
            if (!isfinite(sum[l])) return -1; \
            of_piece[l] = sum[l] / (double)(count / channels); \
        } \
        for (l = 0; l < lanes; ++l) { sum[l] = 0; middle[l] = of_piece[l % channels]; } \
        for (i = 0; i + lanes <= count; i += lanes) \
            for (l = 0; l < lanes; ++l) { double x = VALUE(i + l) - middle[l]; sum[l] += x * x; } \
        for (l = 0; i + l < count; ++l) { double x = VALUE(i + l) - middle[l]; sum[l] += x * x; } \
        for (l = channels; l < lanes; ++l) sum[l % channels] += sum[l];

    #define UPS_ONE(i) ((double)a[i])
    #define UPS_STEP(i) ((double)a[i] - (double)b[i])

    /* Mean, sum of squared deviations, least and greatest of each channel: of `a`, or of a - b where there is a `b`;
       piece by piece, put together as Chan, Golub and LeVeque do. -1: a number, or a sum, is not finite. */
    #define UPS_MOMENTS(NAME, T, TARGET) \
    TARGET static int NAME(const T *a, const T *b, Py_ssize_t points, Py_ssize_t channels, double *mean, \
                           double *squares, double *low, double *high) \
    { \
        double sum[UPS_LANES], lo[UPS_LANES], hi[UPS_LANES], middle[UPS_LANES], of_piece[UPS_LANES]; \
        const Py_ssize_t lanes = UPS_LANES / channels * channels; \
        const Py_ssize_t most = (UPS_PIECE / (Py_ssize_t)sizeof(T) / lanes + 1) * lanes / channels; \
        Py_ssize_t done, i, l; \
        for (done = 0; done < points;) { \
            const Py_ssize_t here = points - done < most ? points - done : most, count = here * channels; \
            const double total = (double)(done + here), share = (double)here / total; \
            if (b == NULL) { UPS_PASSES(T, UPS_ONE) } else { UPS_PASSES(T, UPS_STEP) } \
            for (l = 0; l < channels; ++l) { \
                const double delta = of_piece[l] - mean[l]; \
                squares[l] += sum[l] + delta * delta * (double)done * share; \
                mean[l] += delta * share; \
                low[l] = lo[l] < low[l] ? lo[l] : low[l]; \
                high[l] = hi[l] > high[l] ? hi[l] : high[l]; \
            } \
            done += here; \
            a += count; \
            if (b != NULL) b += count; \
        } \
        return 0; \
    }
    UPS_MOMENTS(ups_moments_float, float, )
    UPS_MOMENTS(ups_moments_double, double, )
    #if defined(UPS_AVX2)
    UPS_MOMENTS(ups_moments_float_wide, float, UPS_AVX2)
    UPS_MOMENTS(ups_moments_double_wide, double, UPS_AVX2)
    #else
    #define ups_moments_float_wide ups_moments_float
    #define ups_moments_double_wide ups_moments_double
    #endif
    static int ups_moments(const char *a, const char *b, int is_double, Py_ssize_t points, Py_ssize_t channels,
                           double *mean, double *squares, double *low, double *high)
    {
        if (is_double)
            return (ups_is_wide() ? ups_moments_double_wide : ups_moments_double)(
                (const double *)a, (const double *)b, points, channels, mean, squares, low, high);
        return (ups_is_wide() ? ups_moments_float_wide : ups_moments_float)(
            (const float *)a, (const float *)b, points, channels, mean, squares, low, high);
    }
    """
    enum: UPS_LANES
    int ups_moments(const char *a, const char *b, int is_double, Py_ssize_t points, Py_ssize_t channels, double *mean,
                    double *squares, double *low, double *high) nogil


MOST_CHANNELS = UPS_LANES


def moments(const uint8_t[::1] values not None, const uint8_t[::1] less, bint doubles, double[:, ::1] out not None):
    """Mean, sum of squared deviations from it, least and greatest value of each channel.

    Args:
        values: the bytes of `(n, C)` float32, or float64 if `doubles`, at most `MOST_CHANNELS` of them a point; aligned.
        less: bytes of as many: the moments are of `values - less`.
        out: `(4, C)`; zeros, zeros, infinity and minus infinity.

    Returns:
        whether all values are finite; if not, `out` is to be thrown away.

    Raises:
        ValueError: of the sizes.
    """
    cdef Py_ssize_t channels = out.shape[1], size = 8 if doubles else 4, points
    cdef const char *a = <const char *> &values[0] if values.shape[0] else NULL
    cdef const char *b = NULL
    cdef int failed
    if out.shape[0] != 4 or not 1 <= channels <= UPS_LANES or values.shape[0] % (size * channels):
        raise ValueError(f"{values.shape[0]} bytes of {channels} channels, {out.shape[0]} numbers of each")
    if less is not None and less.shape[0] != values.shape[0]:
        raise ValueError(f"{values.shape[0]} bytes less {less.shape[0]}")
    points = values.shape[0] // (size * channels)
    if points == 0:
        return True
    if less is not None:
        b = <const char *> &less[0]
    with nogil:
        failed = ups_moments(a, b, doubles, points, channels, &out[0, 0], &out[1, 0], &out[2, 0], &out[3, 0])
    return not failed
