# Files that are mapped to be read, and may be cut meanwhile.

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
