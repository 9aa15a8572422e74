/*
 * What the parts of aiotun._speedups share: the module's state, and what each part puts into the module.
 *
 * Rules for changing these files:
 *
 * - Every function has a Python twin of the same name, with the same results and the same errors; the tests run on
 *   both. aiotun/speedups.py chooses.
 * - Nothing is kept between two calls but what is in State, so that every interpreter has its own.
 * - No reference is borrowed across anything that can run Python code or that lets go of the GIL.
 */
#ifndef AIOTUN_SPEEDUPS_H
#define AIOTUN_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#define SUPER_FIELDS 10
#define SUPERS 16            /* that are kept: 1 MiB, if all are of the largest */
#define SUPER_ROOM 65600     /* bytes of one: the largest packet, and a frame's header */
#define LARGE_PACKET 32768   /* bytes from which on one is kept */
#define PLAIN_FIELDS 7       /* of these, what all have: the others are for tunnels */
#define GSO_UDP_TUNNEL 0x60  /* over IPv4, over IPv6 */
#define TCP_CHECKSUM 16 /* where in its header TCP has its checksum */
#define UDP_CHECKSUM 6

/* --- bytes to be taken again: spares.c ---------------------------------------------------------------------- */

#define SPARES 256
#define SPARE_ROOM 2048 /* bytes of one: half a MiB, if all are that large */

typedef struct {
    PyObject *bytes; /* NULL if there are none yet */
    size_t room;     /* how many there is memory for */
} Spare;

typedef struct {
    Spare all[SPARES];
    size_t next;
} Spares;

/* Have the hash of bytes that were just written computed when it is asked for. */
static inline void forget_hash(PyObject *bytes)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    ((PyBytesObject *)bytes)->ob_shash = -1;
#pragma GCC diagnostic pop
}

/* Begin a batch. */
void spares_begin(Spares *spares);

/* Return *size* bytes that the caller writes, and nobody else has; NULL with an exception. */
PyObject *spares_take(Spares *spares, size_t size);

/* Return a copy of *size* bytes. */
PyObject *spares_copy(Spares *spares, const unsigned char *octets, size_t size);

void spares_clear(Spares *spares);

/* --- the state of the module --------------------------------------------------------------------------------- */

typedef struct {
    PyObject *device_closed;             /* aiotun.errors.DeviceClosed */
    PyTypeObject *iterator_type;         /* PacketIterator */
    PyTypeObject *step_type;             /* what PacketIterator.__anext__() returns */
    unsigned char *arena;                /* where read_batch() reads to; NULL while a call uses it */
    unsigned char *slots;                /* the same of recv_datagrams() and recv_packets() */
    Spares read, cut;                    /* packets that were read, and segments: by then both may be in use */
    PyObject *supers[SUPERS];            /* SuperPackets to be taken again */
    int next_super;                      /* the place of the one that is replaced next */
    int large;                           /* whether read_vnet() read a large one last */
    _Atomic(PyObject *) super_type;      /* aiotun.packet.SuperPacket; NULL until it is asked for */
    PyObject *super_names[SUPER_FIELDS]; /* its fields' names, in the order of Super */
} State;

/* Each part's functions. */
extern PyMethodDef checksum_functions[], batch_functions[], calls_functions[], fitness_functions[];
extern PyMethodDef read_vnet_functions[], write_vnet_functions[], segment_functions[], complete_functions[], coalesce_functions[];
#ifdef __linux__
extern PyMethodDef recv_datagrams_functions[], send_datagrams_functions[], packets_functions[];
#endif

/* Return *batch* as what PySequence_Fast_GET_ITEM() reads; where no GIL keeps a list as it is, a copy. */
static inline PyObject *hold_batch(PyObject *batch)
{
#ifdef Py_GIL_DISABLED
    return PySequence_Tuple(batch);
#else
    return PySequence_Fast(batch, "a batch is a sequence of packets");
#endif
}

/* Add PacketIterator to the module. */
int iterator_exec(PyObject *module, State *state);

/* Add Node and Runner to the module. */
int path_exec(PyObject *module);

/* --- SuperPackets: superpacket.c --------------------------------------------------------------------------- */

/* What a SuperPacket says of itself; needs_csum, fixed_id and tunnel_csum are 0 or 1. */
typedef struct {
    int gso_type, gso_size, hdr_len, csum_start, csum_offset, needs_csum, fixed_id;
    int outer_th_offset, inner_nh_offset, tunnel_csum; /* 0 outside of tunnels */
} Super;

/* Make the names of the fields. */
int superpacket_exec(State *state);

/* Return 1 if *packet* is a SuperPacket, 0 if not, -1 with an exception. It then is bytes too. */
int superpacket_check(State *state, PyObject *packet);

/*
 * Read the fields of a SuperPacket. Returns 0; 1 if one of them is no int, or none of C: for the twin in Python to
 * judge; -1 with an exception. Runs code of Python only where somebody derived a class, or set fields to what they are
 * not.
 */
int superpacket_read(State *state, PyObject *packet, Super *fields);

/* Return a SuperPacket of a copy of *size* bytes; NULL with an exception. */
PyObject *superpacket_make(State *state, const unsigned char *octets, Py_ssize_t size, const Super *fields);

#ifndef Py_GIL_DISABLED
/* Return one with room for SUPER_ROOM bytes, to be written to; when its size is known, it shrinks to that. */
PyObject *superpacket_room(State *state);
void superpacket_shrink(PyObject *room, Py_ssize_t size);
#endif

/* The same in steps: one whose bytes are to be written before anybody sees it, and its fields; -1 with an exception. */
PyObject *superpacket_alloc(State *state, Py_ssize_t size);
int superpacket_set(State *state, PyObject *packet, const Super *fields);

/*
 * Return one's bytes, the checksum finished if there is one to finish; NULL with an exception, or without one if the
 * checksum would lie beyond the packet. complete.c
 */
PyObject *superpacket_complete(PyObject *packet, const Super *fields);

/* --- system calls that a batch is made of -------------------------------------------------------------------- */

/*
 * By number: in a process that ever had a second thread libc's are where a thread may be cancelled, and to say so takes
 * 15 ns of the 500 that a packet takes. AddressSanitizer looks at what it knows by name.
 */
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define call_read(fd, to, size) ((ssize_t)syscall(SYS_read, (fd), (to), (size)))
#define call_write(fd, from, size) ((ssize_t)syscall(SYS_write, (fd), (from), (size)))
#define call_readv(fd, parts, count) ((ssize_t)syscall(SYS_readv, (fd), (parts), (count)))
#define call_writev(fd, parts, count) ((ssize_t)syscall(SYS_writev, (fd), (parts), (count)))
#else
#define call_read read
#define call_write write
#define call_readv readv
#define call_writev writev
#endif

/* --- what the batches of system calls share: calls.c ------------------------------------------------------- */

#define ARENA (256 * 1024) /* room for 64 packets of 1500 bytes, and the largest behind them */
#define READS 64           /* packets of one pass through the arena */
#define WRITES 64          /* packets whose buffers are held at a time */

/* Return 0 if a function was *given* as many arguments as it wants, -1 with an exception if not. */
int check_count(const char *name, Py_ssize_t given, Py_ssize_t wanted);

/* Find the descriptor, or return -1 with an exception; one that is not open is for the system call to refuse. */
int as_fd(PyObject *number, int *fd);

/* Take the arena for one call, or make one if a call in another thread has it; NULL if there is no memory. */
unsigned char *take_arena(State *state, size_t room);
void give_arena_back(State *state, unsigned char *arena, size_t room);

/* Hold a packet's bytes where they are, until PyBuffer_Release(): in 3 ns for bytes, where asking for them takes 25. */
int hold_packet(PyObject *packet, Py_buffer *held);

/* Read up to *limit* packets while each has *size* bytes of room; return how many, and in *error* what ended it. */
Py_ssize_t read_packets(int fd, unsigned char *arena, size_t room, size_t size, Py_ssize_t limit, size_t sizes[READS],
                        int *error);

/* --- sums: sums.c ------------------------------------------------------------------------------------------ */

/* Return the one's complement sum of the 16-bit words of *octets*, 0 to 0xffff; a last odd byte is a high half. */
uint16_t sum_words(const unsigned char *octets, size_t size);

/* The same, while they are copied. */
uint16_t copy_and_sum(unsigned char *to, const unsigned char *octets, size_t size);

/* Return a sum of words, or of such sums, as 0 to 0xffff; 0 only if it is 0. */
static inline uint32_t fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint32_t)sum;
}

/* Return a checksum for UDP, where 0 says that there is none (RFC 768), or as Linux finishes one of any protocol. */
static inline uint32_t never_zero(uint32_t checksum)
{
    return checksum == 0 ? 0xffff : checksum;
}

/* Write a checksum where it belongs in a transport header. */
static inline void write_checksum(unsigned char *header, size_t csum_offset, uint32_t checksum)
{
    header[csum_offset] = (unsigned char)(checksum >> 8);
    header[csum_offset + 1] = (unsigned char)checksum;
}

/*
 * Finish the checksum of a packet that has the pseudo-header's sum in its place, where it lies. The caller made sure
 * that csum_start + csum_offset + 2 is not beyond *size*.
 */
void complete_in_place(unsigned char *packet, size_t size, size_t csum_start, size_t csum_offset);

/* --- arguments: arguments.c -------------------------------------------------------------------------------- */

/*
 * Find arguments, the first of which is needed, by their names: NULL for those not given. -1, without an exception, if
 * they do not match: then call_form() raises what a function of Python does.
 */
int match_arguments(const char *const known[], Py_ssize_t most, PyObject *const *args, Py_ssize_t positional,
                    PyObject *names, PyObject *found[]);

/* Find whether an argument is true, where it was given; -1 with an exception. */
int match_flag(PyObject *value, int *flag);

/* Find an argument's number, or the nearest there is, where it was given; false if it is no int. */
int match_number(PyObject *value, Py_ssize_t *number);

/* Call the form in Python of the twin *name*: for what is rare, and for what is refused, which it says in its words. */
PyObject *call_form(const char *name, PyObject *const *args, Py_ssize_t positional, PyObject *names);

#endif
