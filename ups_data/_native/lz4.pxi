# Chunks of blosc with lz4 inside, decoded.

cdef extern from *:
    """
    #include <stdlib.h>
    /* Read once, whatever the compiler finds cheaper: the file that it is mapped from may change. */
    #define UPS_ONCE(p) (*(const volatile uint8_t *)(p))
    static uint32_t ups_le32(const uint8_t *in)
    {
        const volatile uint8_t *p = in;
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
        unsigned flags = UPS_ONCE(in + 2), width = UPS_ONCE(in + 3);
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
