/*
 * A batch of reads or writes on a device with vnet headers. The twins are in aiotun/linux/vnet_calls.py.
 *
 * Packets are read into the arena, header and all, and copied out of it once, as bytes or as a SuperPacket: to read
 * each into bytes of its own takes 64 KiB for a packet of any size. A packet is written from where it is.
 */
#include "speedups.h"

#include <errno.h>
#include <sys/uio.h>

#define HEADER 10   /* struct virtio_net_hdr; what a longer header has behind it is zero... */
#define LONGEST 24  /* ...but in a tunnel: struct virtio_net_hdr_v1_hash_tunnel */
#define PADDING 512 /* the longest rest of a header that is written */
#define NEEDS_CSUM 1
#define TUNNEL_CSUM 8

static unsigned get16(const unsigned char *from)
{
    return from[0] | from[1] << 8;
}

static void put16(unsigned char *to, int number)
{
    to[0] = (unsigned char)number;
    to[1] = (unsigned char)(number >> 8);
}

/* --- read_vnet --------------------------------------------------------------------------------------------- */

/*
 * Return what was read: a SuperPacket if it is to be cut, otherwise bytes, with its checksum; NULL with an exception.
 * A packet of 60 bytes gets its checksum in 20 ns, where to carry it along as a SuperPacket takes 300.
 */
static PyObject *make_packet(State *state, const unsigned char *header, size_t length, unsigned char *packet,
                             size_t size)
{
    Super fields = {
        .gso_type = header[1],
        .gso_size = (int)get16(header + 4),
        .hdr_len = (int)get16(header + 2),
        .csum_start = (int)get16(header + 6),
        .csum_offset = (int)get16(header + 8),
        .needs_csum = header[0] & NEEDS_CSUM,
    };

    if (fields.gso_type & GSO_UDP_TUNNEL && length >= LONGEST) {
        fields.outer_th_offset = (int)get16(header + 20);
        fields.inner_nh_offset = (int)get16(header + 22);
        fields.tunnel_csum = (header[0] & TUNNEL_CSUM) != 0;
    }
    if (fields.gso_type == 0 && fields.needs_csum) {
        if ((size_t)fields.csum_start + (size_t)fields.csum_offset + 2 > size)
            return superpacket_make(state, packet, (Py_ssize_t)size, &fields);
        complete_in_place(packet, size, (size_t)fields.csum_start, (size_t)fields.csum_offset);
    }
    if (fields.gso_type != 0)
        return superpacket_make(state, packet, (Py_ssize_t)size, &fields);
    return spares_copy(&state->read, packet, size);
}

/* Make packets of what lies in the arena; return up to which, and in *short_one* if one is shorter than its header. */
static Py_ssize_t append_packets(State *state, PyObject *packets, unsigned char *arena, const size_t sizes[READS],
                                 Py_ssize_t count, size_t header, int *short_one)
{
    spares_begin(&state->read);
    for (Py_ssize_t i = 0; i < count; arena += sizes[i], i++) {
        PyObject *packet;
        if (sizes[i] < header) {
            *short_one = 1;
            continue;
        }
        packet = make_packet(state, arena, header, arena + header, sizes[i] - header);
        if (packet == NULL || PyList_Append(packets, packet) < 0) {
            Py_XDECREF(packet);
            PyErr_Clear();
            return i;
        }
        Py_DECREF(packet);
    }
    return count;
}

static PyObject *read_vnet(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    Py_ssize_t limit, size, header, wanted, count, made, done = 0;
    size_t sizes[READS], room, left;
    unsigned char *arena, *at;
    int fd, error = 0, short_one = 0;
    PyObject *packets;

    if (check_count("read_vnet", given, 4) < 0 || as_fd(args[0], &fd) < 0)
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
    size += header;
    left = room = size > ARENA ? (size_t)size : ARENA;
    at = arena = take_arena(state, room);
    packets = PyList_New(0);
    if (arena == NULL || packets == NULL) {
        PyMem_RawFree(arena);
        Py_XDECREF(packets);
        return PyErr_NoMemory();
    }
    wanted = made = count = 0;
    while (done < limit && error == 0 && count == wanted) {
        wanted = limit - done < READS ? limit - done : READS;
        Py_BEGIN_ALLOW_THREADS
        count = read_packets(fd, at, left, (size_t)size, wanted, sizes, &error);
        Py_END_ALLOW_THREADS
        made = append_packets(state, packets, at, sizes, count, (size_t)header, &short_one);
        done += made;
        if (made < count)
            break;
        for (Py_ssize_t i = 0; i < count; i++) {
            at += sizes[i];
            left -= sizes[i];
        }
        if (error == EINTR && done == 0) { /* PEP 475; with packets in hand the interpreter runs the handlers later */
            if (PyErr_CheckSignals() < 0) {
                give_arena_back(state, arena, room);
                Py_DECREF(packets);
                return NULL;
            }
            error = 0;
            count = wanted;
        }
    }
    give_arena_back(state, arena, room);
    if (short_one)
        error = EPROTO;
    if (made < count)
        error = ENOMEM;
    return Py_BuildValue("Nin", packets, error, count - made);
}

/* --- write_vnet -------------------------------------------------------------------------------------------- */

typedef struct {
    Py_buffer packet;
    unsigned char header[LONGEST];
} Outgoing;

/* Write packets until one is not taken whole; return how many were, and in *error* what ended it. */
static Py_ssize_t write_packets(int fd, Outgoing packets[], Py_ssize_t count, size_t header, int *error)
{
    static const unsigned char zeros[PADDING];
    const size_t known = header < LONGEST ? header : LONGEST;

    *error = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        const struct iovec parts[] = {
            {packets[i].header, known},
            {(void *)zeros, header - known},
            {packets[i].packet.buf, (size_t)packets[i].packet.len},
        };
        ssize_t took = call_writev(fd, parts, 3);
        if (took != (ssize_t)header + packets[i].packet.len) {
            *error = took < 0 ? errno : EPROTO;
            return i;
        }
    }
    return count;
}

/* Fill in the header of one packet. Returns 0; 1 if a field has no room in it; -1 with an exception. */
static int fill_header(State *state, PyObject *packet, unsigned char header[LONGEST], size_t length)
{
    Super fields;
    int found = superpacket_check(state, packet);

    memset(header, 0, LONGEST);
    if (found > 0)
        found = superpacket_read(state, packet, &fields);
    else
        return found;
    if (found != 0)
        return found;
    if (fields.gso_type < 0 || fields.gso_type > 0xff)
        return 1;
    const int words[] = {fields.hdr_len, fields.gso_size, fields.csum_start, fields.csum_offset};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(words); i++) {
        if (words[i] < 0 || words[i] > 0xffff)
            return 1;
        put16(header + 2 + 2 * i, words[i]);
    }
    header[0] = fields.needs_csum ? NEEDS_CSUM : 0;
    header[1] = (unsigned char)fields.gso_type;
    if (fields.gso_type & GSO_UDP_TUNNEL) {
        const int outer = fields.outer_th_offset, inner = fields.inner_nh_offset;
        if (length < LONGEST || outer < 0 || outer > 0xffff || inner < 0 || inner > 0xffff)
            return 1;
        put16(header + 20, outer);
        put16(header + 22, inner);
        if (fields.tunnel_csum)
            header[0] |= TUNNEL_CSUM;
    }
    return 0;
}

/*
 * Hold the packets from *start* on, up to one that cannot be written; return how many, and in *error* EINVAL if that is
 * for its fields; -1 with an exception if it is the first.
 */
static Py_ssize_t hold_packets(State *state, PyObject *batch, Py_ssize_t start, Outgoing packets[WRITES], size_t header,
                               int *error)
{
    Py_ssize_t count = 0;

    *error = 0;
    while (count < WRITES && start + count < PySequence_Fast_GET_SIZE(batch) && *error == 0) {
        PyObject *packet = Py_NewRef(PySequence_Fast_GET_ITEM(batch, start + count));
        int refused = fill_header(state, packet, packets[count].header, header);
        if (refused > 0)
            *error = EINVAL;
        else if (refused == 0)
            refused = hold_packet(packet, &packets[count].packet);
        Py_DECREF(packet);
        if (refused < 0) {
            if (count == 0)
                return -1;
            PyErr_Clear(); /* those before it are written first */
            break;
        }
        count += !refused;
    }
    return count;
}

static PyObject *write_vnet(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    Py_ssize_t count, written, header, done = 0;
    Outgoing packets[WRITES];
    int fd, error = 0, unfit = 0;
    PyObject *batch;

    if (check_count("write_vnet", given, 3) < 0 || as_fd(args[0], &fd) < 0)
        return NULL;
    header = PyNumber_AsSsize_t(args[2], PyExc_OverflowError);
    if (PyErr_Occurred())
        return NULL;
    if (header < HEADER || header > HEADER + PADDING) {
        PyErr_Format(PyExc_ValueError, "a vnet header has 10 to %d bytes", HEADER + PADDING);
        return NULL;
    }
    batch = hold_batch(args[1]);
    if (batch == NULL)
        return NULL;
    while (error == 0 && done < PySequence_Fast_GET_SIZE(batch)) {
        count = hold_packets(state, batch, done, packets, (size_t)header, &unfit);
        if (count < 0) {
            Py_DECREF(batch);
            return NULL;
        }
        Py_BEGIN_ALLOW_THREADS
        written = write_packets(fd, packets, count, (size_t)header, &error);
        Py_END_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++)
            PyBuffer_Release(&packets[i].packet);
        done += written;
        if (error == EINTR && done == 0) { /* as in read_vnet() */
            if (PyErr_CheckSignals() < 0) {
                Py_DECREF(batch);
                return NULL;
            }
            error = 0;
        } else if (error == 0)
            error = unfit;
    }
    Py_DECREF(batch);
    return Py_BuildValue("ni", done, error);
}

PyMethodDef vnet_functions[] = {
    {"read_vnet", (PyCFunction)(void (*)(void))read_vnet, METH_FASTCALL,
     PyDoc_STR("read_vnet($module, fd, limit, size, header, /)\n--\n\n"
               "Read up to *limit* packets of up to *size* bytes, each behind a vnet header of *header* bytes. "
               "Does not wait.\n\n"
               "Returns the packets, the errno that ended the batch or 0, and how many were lost.")},
    {"write_vnet", (PyCFunction)(void (*)(void))write_vnet, METH_FASTCALL,
     PyDoc_STR("write_vnet($module, fd, batch, header, /)\n--\n\n"
               "Write packets from the front of *batch*, each behind its vnet header of *header* bytes. "
               "Does not wait.\n\n"
               "Returns how many the device took, and the errno that ended it or 0.")},
    {NULL},
};
