/*
 * A batch of reads on a device with vnet headers. The twin is in aiotun/linux/vnet_calls.py.
 *
 * Packets are read into the arena, header and all, and copied out of it once, as bytes or as a SuperPacket: to read
 * each into bytes of its own takes 64 KiB for a packet of any size. But where large ones come, what is read next goes
 * into SuperPackets that are there already (superpacket.c), and only what is small is copied: a twelfth of a tunnel's CPU
 * time, and less of the cache.
 */
#include "speedups.h"
#include "vnet.h"

#include <errno.h>
#include <sys/uio.h>

#define WHOLE 8 /* packets that are read into SuperPackets before they are looked at */

typedef struct {
    State *state;
    PyObject *packets; /* what was read */
    int fd, error;
    size_t header, size; /* bytes of a header, and of the longest packet with it */
    size_t left;         /* bytes that may still be read */
    int short_one;       /* whether one was shorter than its header */
    Py_ssize_t lost;     /* for want of memory */
} Reading;

/* Read the fields of a packet's header. */
static Super parse_header(const unsigned char *header, size_t length)
{
    Super fields = {
        .gso_type = header[1],
        .gso_size = (int)get16le(header + 4),
        .hdr_len = (int)get16le(header + 2),
        .csum_start = (int)get16le(header + 6),
        .csum_offset = (int)get16le(header + 8),
        .needs_csum = header[0] & NEEDS_CSUM,
    };

    if (fields.gso_type & GSO_UDP_TUNNEL && length >= LONGEST) {
        fields.outer_th_offset = (int)get16le(header + 20);
        fields.inner_nh_offset = (int)get16le(header + 22);
        fields.tunnel_csum = (header[0] & TUNNEL_CSUM) != 0;
    }
    return fields;
}

/*
 * Return what was read: a SuperPacket if it is to be cut, otherwise bytes, with its checksum; NULL with an exception.
 * A packet of 60 bytes gets its checksum in 20 ns, where to carry it along as a SuperPacket takes 300.
 */
static PyObject *make_packet(State *state, const Super *fields, unsigned char *packet, size_t size)
{
    if (fields->gso_type == 0 && fields->needs_csum) {
        if ((size_t)fields->csum_start + (size_t)fields->csum_offset + 2 > size)
            return superpacket_make(state, packet, (Py_ssize_t)size, fields);
        complete_in_place(packet, size, (size_t)fields->csum_start, (size_t)fields->csum_offset);
    }
    if (fields->gso_type != 0)
        return superpacket_make(state, packet, (Py_ssize_t)size, fields);
    return spares_copy(&state->read, packet, size);
}

/* Append a packet, whose reference is taken over; -1 if there is no memory for it. */
static int append(Reading *reading, PyObject *packet)
{
    int failed = packet == NULL || PyList_Append(reading->packets, packet) < 0;

    Py_XDECREF(packet);
    PyErr_Clear();
    return failed ? -1 : 0;
}

/* --- into the arena, and out of it --------------------------------------------------------------------------- */

static int append_copy(Reading *reading, unsigned char *octets, size_t size)
{
    const size_t header = reading->header;
    Super fields;

    if (size < header) {
        reading->short_one = 1;
        return 0;
    }
    fields = parse_header(octets, header);
    if (fields.gso_type != 0 && size - header >= LARGE_PACKET)
        reading->state->large = 1;
    return append(reading, make_packet(reading->state, &fields, octets + header, size - header));
}

/* Read up to *wanted* packets; return how many were. */
static Py_ssize_t read_copies(Reading *reading, unsigned char *arena, Py_ssize_t wanted)
{
    size_t sizes[READS];
    Py_ssize_t count, made = 0;

    Py_BEGIN_ALLOW_THREADS
    count = read_packets(reading->fd, arena, reading->left, reading->size, wanted, sizes, &reading->error);
    Py_END_ALLOW_THREADS
    spares_begin(&reading->state->read);
    while (made < count && append_copy(reading, arena, sizes[made]) == 0) {
        reading->left -= sizes[made];
        arena += sizes[made++];
    }
    reading->lost = count - made;
    return made;
}

/* --- into SuperPackets --------------------------------------------------------------------------------------- */

#ifndef Py_GIL_DISABLED
typedef struct {
    PyObject *rooms[WHOLE];
    unsigned char headers[WHOLE][LONGEST];
    size_t sizes[WHOLE];
} Wave;

/* Have rooms for up to *wanted* packets; return how many there are. */
static Py_ssize_t make_rooms(Reading *reading, Wave *wave, Py_ssize_t wanted)
{
    Py_ssize_t count = 0, most = Py_MIN(wanted, WHOLE);

    if (reading->left / reading->size < (size_t)most)
        most = Py_MAX((Py_ssize_t)(reading->left / reading->size), 1);
    while (count < most && (wave->rooms[count] = superpacket_room(reading->state)) != NULL)
        count++;
    PyErr_Clear();
    return count;
}

/* Read a packet into each room; return how many were. */
static Py_ssize_t fill_rooms(Reading *reading, Wave *wave, Py_ssize_t rooms)
{
    Py_ssize_t count = 0;

    reading->error = 0;
    while (count < rooms) {
        const struct iovec parts[] = {
            {wave->headers[count], reading->header},
            {PyBytes_AS_STRING(wave->rooms[count]), reading->size - reading->header},
        };
        ssize_t got = call_readv(reading->fd, parts, 2);
        if (got < 0) {
            reading->error = errno;
            break;
        }
        wave->sizes[count++] = (size_t)got;
    }
    return count;
}

/* Append what is in a room: that itself, if it is a large super-packet. */
static int append_room(Reading *reading, PyObject *room, const unsigned char *header, size_t size)
{
    Super fields;

    if (size < reading->header) {
        reading->short_one = 1;
        return 0;
    }
    size -= reading->header;
    fields = parse_header(header, reading->header);
    if (fields.gso_type == 0 || size < LARGE_PACKET)
        return append(reading, make_packet(reading->state, &fields, (unsigned char *)PyBytes_AS_STRING(room), size));
    reading->state->large = 1;
    superpacket_shrink(room, (Py_ssize_t)size);
    if (superpacket_set(reading->state, room, &fields) < 0) {
        PyErr_Clear();
        return -1;
    }
    return append(reading, Py_NewRef(room));
}

/* Read up to *wanted* packets; return how many were, -1 if there is no room to read into. */
static Py_ssize_t read_whole(Reading *reading, Py_ssize_t wanted)
{
    Wave wave;
    Py_ssize_t rooms = make_rooms(reading, &wave, wanted), count, made = 0;

    if (rooms == 0)
        return -1;
    Py_BEGIN_ALLOW_THREADS
    count = fill_rooms(reading, &wave, rooms);
    Py_END_ALLOW_THREADS
    reading->state->large = 0;
    spares_begin(&reading->state->read);
    while (made < count && append_room(reading, wave.rooms[made], wave.headers[made], wave.sizes[made]) == 0)
        reading->left -= wave.sizes[made++];
    for (Py_ssize_t i = 0; i < rooms; i++)
        Py_DECREF(wave.rooms[i]);
    reading->lost = count - made;
    return made;
}
#endif

/* --- read_vnet ----------------------------------------------------------------------------------------------- */

/* Read up to *wanted* packets, by the way that suits those that came before; return how many were. */
static Py_ssize_t read_some(Reading *reading, unsigned char *arena, Py_ssize_t wanted)
{
#ifndef Py_GIL_DISABLED
    if (reading->state->large && reading->header <= LONGEST && reading->size - reading->header <= SUPER_ROOM) {
        Py_ssize_t made = read_whole(reading, wanted);
        if (made >= 0)
            return made;
    }
#endif
    return read_copies(reading, arena, Py_MIN(wanted, READS));
}

static int read_all(Reading *reading, unsigned char *arena, size_t room, Py_ssize_t limit)
{
    Py_ssize_t done = 0;

    while (done < limit && (reading->left >= reading->size || reading->left == room)) {
        done += read_some(reading, arena, limit - done);
        if (reading->lost > 0)
            break;
        if (reading->error == EINTR && done == 0) { /* PEP 475; with packets in hand the interpreter does it later */
            if (PyErr_CheckSignals() < 0)
                return -1;
            reading->error = 0;
        }
        if (reading->error != 0)
            break;
    }
    return 0;
}

static PyObject *read_vnet(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    Reading reading = {.state = PyModule_GetState(module)};
    Py_ssize_t limit, size, header;
    unsigned char *arena;
    size_t room;
    int failed;

    if (check_count("read_vnet", given, 4) < 0 || as_fd(args[0], &reading.fd) < 0)
        return NULL;
    limit = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    size = PyErr_Occurred() ? -1 : PyNumber_AsSsize_t(args[2], PyExc_OverflowError);
    header = PyErr_Occurred() ? -1 : PyNumber_AsSsize_t(args[3], PyExc_OverflowError);
    if (PyErr_Occurred())
        return NULL;
    if (size < 0 || header < HEADER || size > PY_SSIZE_T_MAX - header) {
        PyErr_SetString(PyExc_ValueError, "a read has room for a vnet header and 0 bytes or more");
        return NULL;
    }
    reading.header = (size_t)header;
    reading.size = (size_t)(size + header);
    reading.left = room = Py_MAX(reading.size, ARENA);
    arena = take_arena(reading.state, room);
    reading.packets = PyList_New(0);
    if (arena == NULL || reading.packets == NULL) {
        PyMem_RawFree(arena);
        Py_XDECREF(reading.packets);
        return PyErr_NoMemory();
    }
    failed = read_all(&reading, arena, room, limit);
    give_arena_back(reading.state, arena, room);
    if (failed) {
        Py_DECREF(reading.packets);
        return NULL;
    }
    if (reading.short_one)
        reading.error = EPROTO;
    if (reading.lost > 0)
        reading.error = ENOMEM;
    return Py_BuildValue("Nin", reading.packets, reading.error, reading.lost);
}

PyMethodDef read_vnet_functions[] = {
    {"read_vnet", (PyCFunction)(void (*)(void))read_vnet, METH_FASTCALL,
     PyDoc_STR("read_vnet($module, fd, limit, size, header, /)\n--\n\n"
               "Read up to *limit* packets of up to *size* bytes, each behind a vnet header of *header* bytes. "
               "Does not wait.\n\n"
               "Returns the packets, the errno that ended the batch or 0, and how many were lost.")},
    {NULL},
};
