# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Inner loops of a batch, in one call each and outside the interpreter lock: copies, random numbers, decoding.

A call of numpy per frame holds the lock for about as long as it copies 128 KB, so threads wait for each other instead
of copying. Whoever calls these has the same in numpy, for installations without a C compiler.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


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


include "copies.pxi"
include "scaling.pxi"
include "points.pxi"
include "draws.pxi"
include "lz4.pxi"
include "maps.pxi"
include "moments.pxi"
