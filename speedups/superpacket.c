/*
 * A SuperPacket from C: whether something is one, its fields, and a new one. Its class is in
 * aiotun/packet/superpacket.py.
 *
 * The class is looked up when the first bytes come that are not plain: until then nothing here needs aiotun.packet.
 */
#include "speedups.h"

#include <limits.h>
#include <stddef.h>

/* The fields, in the order of the names in State. */
static const struct {
    const char *name;
    size_t place;
    int is_bool;
} table[] = {
    {"gso_type", offsetof(Super, gso_type), 0},       {"gso_size", offsetof(Super, gso_size), 0},
    {"hdr_len", offsetof(Super, hdr_len), 0},         {"csum_start", offsetof(Super, csum_start), 0},
    {"csum_offset", offsetof(Super, csum_offset), 0}, {"needs_csum", offsetof(Super, needs_csum), 1},
    {"fixed_id", offsetof(Super, fixed_id), 1},       {"outer_th_offset", offsetof(Super, outer_th_offset), 0},
    {"inner_nh_offset", offsetof(Super, inner_nh_offset), 0}, {"tunnel_csum", offsetof(Super, tunnel_csum), 1},
};

_Static_assert(Py_ARRAY_LENGTH(table) == SUPER_FIELDS, "a row for every field");

/* How many there are to read; the first says which. */
static int count_fields(const Super *fields)
{
    return fields->gso_type & GSO_UDP_TUNNEL ? SUPER_FIELDS : PLAIN_FIELDS;
}

int superpacket_exec(State *state)
{
    for (int i = 0; i < SUPER_FIELDS; i++)
        if ((state->super_names[i] = PyUnicode_InternFromString(table[i].name)) == NULL)
            return -1;
    return 0;
}

/* Return aiotun.packet.SuperPacket, borrowed; NULL with an exception. */
static PyTypeObject *superpacket_type(State *state)
{
    PyObject *module, *found, *none = NULL;

    if (state->super_type != NULL)
        return (PyTypeObject *)state->super_type;
    module = PyImport_ImportModule("aiotun.packet.superpacket");
    if (module == NULL)
        return NULL;
    found = PyObject_GetAttrString(module, "SuperPacket");
    Py_DECREF(module);
    if (found != NULL && !PyType_Check(found)) {
        PyErr_SetString(PyExc_TypeError, "SuperPacket is a class");
        Py_CLEAR(found);
    }
    if (found == NULL)
        return NULL;
    if (!atomic_compare_exchange_strong(&state->super_type, &none, found))
        Py_DECREF(found); /* another thread was quicker */
    return (PyTypeObject *)state->super_type;
}

int superpacket_check(State *state, PyObject *packet)
{
    PyTypeObject *type;

    if (PyBytes_CheckExact(packet) || !PyBytes_Check(packet))
        return 0;
    type = superpacket_type(state);
    if (type == NULL)
        return -1;
    return PyObject_TypeCheck(packet, type);
}

int superpacket_read(State *state, PyObject *packet, Super *fields)
{
    *fields = (Super){0};
    for (int i = 0; i < count_fields(fields); i++) {
        PyObject *value = PyObject_GetAttr(packet, state->super_names[i]);
        long number;
        int overflow = 0;

        if (value == NULL)
            return -1;
        if (table[i].is_bool)
            number = PyObject_IsTrue(value);
        else if (PyLong_Check(value))
            number = PyLong_AsLongAndOverflow(value, &overflow);
        else
            overflow = 1, number = 0;
        Py_DECREF(value);
        if (number == -1 && PyErr_Occurred())
            return -1;
        if (overflow || number < INT_MIN || number > INT_MAX)
            return 1;
        *(int *)((char *)fields + table[i].place) = (int)number;
    }
    return 0;
}

/* --- SuperPackets to be taken again -------------------------------------------------------------------------- */

/* What is behind the bytes: the end of a C string, and the pointer to the fields, whose place the size says. */
static void write_end(PyObject *packet, Py_ssize_t size)
{
    char *end = PyBytes_AS_STRING(packet) + size;

    memset(end, 0, _PyObject_VAR_SIZE(Py_TYPE(packet), size) - (size_t)(end - (char *)packet));
    forget_hash(packet); /* as bytes.__new__() does for a class that is derived from it */
}

/* Return a new one. tp_alloc() would write zeros to all of it, an eighth of what coalesce() takes. */
static PyObject *new_packet(PyTypeObject *type, Py_ssize_t size, Py_ssize_t room)
{
    PyObject *packet = (PyObject *)PyObject_GC_NewVar(PyBytesObject, type, room);

    if (packet != NULL) {
        Py_SET_SIZE((PyVarObject *)packet, size);
        write_end(packet, size);
        PyObject_GC_Track(packet);
    }
    return packet;
}

#ifndef Py_GIL_DISABLED
/*
 * Return one that nobody has any more, as spares_take() does with bytes; the first, which is in the cache. To have the
 * memory given back and got anew by batch after batch, 41,000 page faults a second, took a seventh of a tunnel's CPU time.
 * What somebody wrote on one goes only when it is taken again.
 */
static PyObject *take_again(State *state, PyTypeObject *type, Py_ssize_t size)
{
    PyObject *packet, *fields, **place;

    for (int i = 0; i < SUPERS; i++) {
        packet = state->supers[i];
        if (packet == NULL || Py_REFCNT(packet) > 1)
            continue;
        place = _PyObject_GetDictPtr(packet);
        fields = *place;
        *place = NULL;
        Py_SET_SIZE((PyVarObject *)packet, size);
        write_end(packet, size);
        Py_INCREF(packet);
        Py_XDECREF(fields);
        return packet;
    }
    packet = new_packet(type, size, SUPER_ROOM);
    if (packet != NULL) { /* in place of one that somebody has for longer, or that only the collector can free */
        Py_XSETREF(state->supers[state->next_super], Py_NewRef(packet));
        state->next_super = (state->next_super + 1) % SUPERS;
    }
    return packet;
}

PyObject *superpacket_room(State *state)
{
    PyTypeObject *type = superpacket_type(state);

    return type == NULL ? NULL : take_again(state, type, SUPER_ROOM);
}

void superpacket_shrink(PyObject *room, Py_ssize_t size)
{
    Py_SET_SIZE((PyVarObject *)room, size);
    write_end(room, size);
}
#endif

PyObject *superpacket_alloc(State *state, Py_ssize_t size)
{
    PyTypeObject *type = superpacket_type(state);

    if (type == NULL)
        return NULL;
#ifndef Py_GIL_DISABLED /* without the GIL somebody else's reference does not show in the count */
    if (size >= LARGE_PACKET && size <= SUPER_ROOM)
        return take_again(state, type, size);
#endif
    return new_packet(type, size, size);
}

int superpacket_set(State *state, PyObject *packet, const Super *fields)
{
    const int tunnel = fields->outer_th_offset || fields->inner_nh_offset || fields->tunnel_csum;

    for (int i = 0; i < (tunnel ? SUPER_FIELDS : PLAIN_FIELDS); i++) {
        int number = *(const int *)((const char *)fields + table[i].place), failed;
        PyObject *value = table[i].is_bool ? PyBool_FromLong(number) : PyLong_FromLong(number);

        if (value == NULL)
            return -1;
        failed = PyObject_SetAttr(packet, state->super_names[i], value);
        Py_DECREF(value);
        if (failed)
            return -1;
    }
    return 0;
}

PyObject *superpacket_make(State *state, const unsigned char *octets, Py_ssize_t size, const Super *fields)
{
    PyObject *packet = superpacket_alloc(state, size);

    if (packet == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(packet), octets, (size_t)size);
    if (superpacket_set(state, packet, fields) < 0)
        Py_CLEAR(packet);
    return packet;
}
