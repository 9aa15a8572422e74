/*
 * A batch of read() or write() calls on a non-blocking descriptor. The twins are in aiotun/linux/calls.py.
 *
 * The GIL is let go of once for the calls of a batch, not once for each: a thread that wants it would otherwise hold up
 * every packet. Packets are read one behind the other into the arena, and become bytes of exactly their size
 * afterwards: os.read() makes bytes of 64 KiB for each and cuts them.
 */
#include "speedups.h"

#include <errno.h>
#include <limits.h>

int check_count(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, %zd were given", name, wanted, given);
    return -1;
}

int as_fd(PyObject *number, int *fd)
{
    long value = PyLong_AsLong(number);

    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value < INT_MIN || value > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a file descriptor is an int of C");
        return -1;
    }
    *fd = (int)value;
    return 0;
}

/* --- read_batch -------------------------------------------------------------------------------------------- */

unsigned char *take_arena(State *state, size_t room)
{
    unsigned char *arena = NULL;

#ifndef Py_GIL_DISABLED
    if (room == ARENA) {
        arena = state->arena;
        state->arena = NULL;
    }
#endif
    (void)state;
    return arena != NULL ? arena : PyMem_RawMalloc(room);
}

void give_arena_back(State *state, unsigned char *arena, size_t room)
{
#ifndef Py_GIL_DISABLED
    if (room == ARENA && state->arena == NULL) {
        state->arena = arena;
        return;
    }
#endif
    (void)state, (void)room;
    PyMem_RawFree(arena);
}

Py_ssize_t read_packets(int fd, unsigned char *arena, size_t room, size_t size, Py_ssize_t limit, size_t sizes[READS],
                        int *error)
{
    Py_ssize_t count = 0;

    *error = 0;
    while (count < limit && count < READS && room >= size) {
        ssize_t got = call_read(fd, arena, size);
        if (got < 0) {
            *error = errno;
            break;
        }
        sizes[count++] = (size_t)got;
        arena += got;
        room -= (size_t)got;
    }
    return count;
}

/* Make bytes of the packets in the arena; return how many became some. */
static Py_ssize_t append_packets(State *state, PyObject *packets, const unsigned char *arena,
                                 const size_t sizes[READS], Py_ssize_t count)
{
    spares_begin(&state->read);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *packet = spares_copy(&state->read, arena, sizes[i]);
        if (packet == NULL || PyList_Append(packets, packet) < 0) {
            Py_XDECREF(packet);
            PyErr_Clear();
            return i;
        }
        Py_DECREF(packet);
        arena += sizes[i];
    }
    return count;
}

static PyObject *read_batch(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    size_t sizes[READS], room;
    Py_ssize_t limit, size, count, made, done = 0;
    int fd, error = 0;
    PyObject *packets;
    unsigned char *arena;

    if (check_count("read_batch", given, 3) < 0 || as_fd(args[0], &fd) < 0)
        return NULL;
    limit = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    size = PyErr_Occurred() ? -1 : PyNumber_AsSsize_t(args[2], PyExc_OverflowError);
    if (PyErr_Occurred())
        return NULL;
    if (size < 0) {
        PyErr_SetString(PyExc_ValueError, "a read has room for 0 bytes or more");
        return NULL;
    }
    room = size > ARENA ? (size_t)size : ARENA;
    arena = take_arena(state, room);
    packets = PyList_New(0);
    if (arena == NULL || packets == NULL) {
        PyMem_RawFree(arena);
        Py_XDECREF(packets);
        return PyErr_NoMemory();
    }
    made = count = 0;
    while (done < limit && error == 0 && made == count) {
        Py_BEGIN_ALLOW_THREADS
        count = read_packets(fd, arena, room, (size_t)size, limit - done, sizes, &error);
        Py_END_ALLOW_THREADS
        made = append_packets(state, packets, arena, sizes, count);
        done += made;
        if (error == EINTR && done == 0) { /* PEP 475; with packets in hand the interpreter runs the handlers later */
            if (PyErr_CheckSignals() < 0) {
                give_arena_back(state, arena, room);
                Py_DECREF(packets);
                return NULL;
            }
            error = 0;
        }
    }
    give_arena_back(state, arena, room);
    if (made < count)
        error = ENOMEM;
    return Py_BuildValue("Nin", packets, error, count - made);
}

/* --- write_batch ------------------------------------------------------------------------------------------- */

/* Write packets until one is not taken whole; return how many were, and in *error* what ended it. */
static Py_ssize_t write_packets(int fd, const Py_buffer packets[], Py_ssize_t count, int *error)
{
    *error = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        ssize_t took = call_write(fd, packets[i].buf, (size_t)packets[i].len);
        if (took != packets[i].len) {
            *error = took < 0 ? errno : EPROTO;
            return i;
        }
    }
    return count;
}

int hold_packet(PyObject *packet, Py_buffer *held)
{
    if (!PyBytes_CheckExact(packet))
        return PyObject_GetBuffer(packet, held, PyBUF_SIMPLE);
    *held = (Py_buffer){.obj = Py_NewRef(packet), .buf = PyBytes_AS_STRING(packet), .len = PyBytes_GET_SIZE(packet)};
    return 0;
}

/* Hold the buffers of packets from *start* on, up to one that has none; return how many, -1 if that is the first. */
static Py_ssize_t hold_packets(PyObject *batch, Py_ssize_t start, Py_buffer packets[WRITES])
{
    Py_ssize_t count = 0;

    while (count < WRITES && start + count < PySequence_Fast_GET_SIZE(batch)) {
        PyObject *packet = Py_NewRef(PySequence_Fast_GET_ITEM(batch, start + count));
        int refused = hold_packet(packet, &packets[count]);
        Py_DECREF(packet);
        if (refused) {
            if (count == 0)
                return -1;
            PyErr_Clear(); /* those before it are written first */
            break;
        }
        count++;
    }
    return count;
}

static PyObject *write_batch(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Py_buffer packets[WRITES];
    Py_ssize_t count, written, done = 0;
    int fd, error = 0;
    PyObject *batch;

    if (check_count("write_batch", given, 2) < 0 || as_fd(args[0], &fd) < 0)
        return NULL;
    batch = hold_batch(args[1]);
    if (batch == NULL)
        return NULL;
    while (error == 0 && (count = hold_packets(batch, done, packets)) != 0) {
        if (count < 0) {
            Py_DECREF(batch);
            return NULL;
        }
        Py_BEGIN_ALLOW_THREADS
        written = write_packets(fd, packets, count, &error);
        Py_END_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++)
            PyBuffer_Release(&packets[i]);
        done += written;
        if (error == EINTR && done == 0) { /* as in read_batch() */
            if (PyErr_CheckSignals() < 0) {
                Py_DECREF(batch);
                return NULL;
            }
            error = 0;
        }
    }
    Py_DECREF(batch);
    return Py_BuildValue("ni", done, error);
}

PyMethodDef calls_functions[] = {
    {"read_batch", (PyCFunction)(void (*)(void))read_batch, METH_FASTCALL,
     PyDoc_STR("read_batch($module, fd, limit, size, /)\n--\n\n"
               "Read up to *limit* packets of up to *size* bytes each, oldest first. Does not wait.\n\n"
               "Returns the packets, the errno that ended the batch or 0, and how many were lost.")},
    {"write_batch", (PyCFunction)(void (*)(void))write_batch, METH_FASTCALL,
     PyDoc_STR("write_batch($module, fd, batch, /)\n--\n\n"
               "Write packets from the front of *batch*, one write each. Does not wait.\n\n"
               "Returns how many the device took, and the errno that ended it or 0.")},
    {NULL},
};
