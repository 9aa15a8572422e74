/*
 * A batch of writes on a device with vnet headers. The twin is in aiotun/linux/vnet_calls.py.
 *
 * A packet is written from where it is.
 */
#include "speedups.h"
#include "vnet.h"

#include <errno.h>
#include <sys/uio.h>

#define PADDING 512 /* the longest rest of a header that is written */

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
        put16le(header + 2 + 2 * i, words[i]);
    }
    header[0] = fields.needs_csum ? NEEDS_CSUM : 0;
    header[1] = (unsigned char)fields.gso_type;
    if (fields.gso_type & GSO_UDP_TUNNEL) {
        const int outer = fields.outer_th_offset, inner = fields.inner_nh_offset;
        if (length < LONGEST || outer < 0 || outer > 0xffff || inner < 0 || inner > 0xffff)
            return 1;
        put16le(header + 20, outer);
        put16le(header + 22, inner);
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

PyMethodDef write_vnet_functions[] = {
    {"write_vnet", (PyCFunction)(void (*)(void))write_vnet, METH_FASTCALL,
     PyDoc_STR("write_vnet($module, fd, batch, header, /)\n--\n\n"
               "Write packets from the front of *batch*, each behind its vnet header of *header* bytes. "
               "Does not wait.\n\n"
               "Returns how many the device took, and the errno that ended it or 0.")},
    {NULL},
};
