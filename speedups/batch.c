/* What a batch is as a whole: one pass over its packets. The twins are in aiotun/batch.py. */
#include "speedups.h"

/* Return len(packet), -1 with an exception. What is no bytes may run code meanwhile, and change the batch. */
static inline Py_ssize_t size_of(PyObject *packet)
{
    Py_ssize_t size;

    if (PyBytes_CheckExact(packet))
        return PyBytes_GET_SIZE(packet);
    Py_INCREF(packet);
    size = PyObject_Size(packet);
    Py_DECREF(packet);
    return size;
}

/* Start from *result*, call measure(size, &result) for every packet, and return the result. */
static inline PyObject *over_sizes(PyObject *batch, Py_ssize_t result, void (*measure)(Py_ssize_t, Py_ssize_t *))
{
    Py_ssize_t size = 0;
    PyObject *packets = hold_batch(batch);

    if (packets == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(packets); i++) {
        size = size_of(PySequence_Fast_GET_ITEM(packets, i));
        if (size < 0)
            break;
        measure(size, &result);
    }
    Py_DECREF(packets);
    return size < 0 ? NULL : PyLong_FromSsize_t(result);
}

static void add(Py_ssize_t size, Py_ssize_t *total)
{
    *total += size;
}

static void longer(Py_ssize_t size, Py_ssize_t *longest)
{
    if (size > *longest)
        *longest = size;
}

static PyObject *nbytes(PyObject *Py_UNUSED(module), PyObject *batch)
{
    return over_sizes(batch, 0, add);
}

static PyObject *longest(PyObject *Py_UNUSED(module), PyObject *batch)
{
    return over_sizes(batch, 0, longer);
}

static PyObject *bounds(PyObject *Py_UNUSED(module), PyObject *batch)
{
    Py_ssize_t least = PY_SSIZE_T_MAX, most = -1;
    PyObject *packets;

    if (!PyList_CheckExact(batch) && !PyTuple_CheckExact(batch))
        Py_RETURN_NONE;
    packets = hold_batch(batch);
    if (packets == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(packets); i++) {
        PyObject *packet = PySequence_Fast_GET_ITEM(packets, i);
        if (!PyBytes_CheckExact(packet)) {
            most = -1;
            break;
        }
        if (PyBytes_GET_SIZE(packet) < least)
            least = PyBytes_GET_SIZE(packet);
        if (PyBytes_GET_SIZE(packet) > most)
            most = PyBytes_GET_SIZE(packet);
    }
    Py_DECREF(packets);
    if (most < 0)
        Py_RETURN_NONE;
    return Py_BuildValue("nn", least, most);
}

/* Return the first byte of a packet that is no bytes, -1 if it has none, -2 with an exception. */
static int first_of(PyObject *packet)
{
    PyObject *first;
    long value;

    Py_INCREF(packet);
    first = PySequence_GetItem(packet, 0);
    Py_DECREF(packet);
    if (first == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_IndexError))
            return -2;
        PyErr_Clear();
        return -1;
    }
    value = PyLong_AsLong(first);
    Py_DECREF(first);
    if (value == -1 && PyErr_Occurred())
        return -2;
    return value < 0 || value > 255 ? -1 : (int)value;
}

static PyObject *all_ip(PyObject *Py_UNUSED(module), PyObject *batch)
{
    PyObject *packets = hold_batch(batch);
    int all = 1;

    if (packets == NULL)
        return NULL;
    for (Py_ssize_t i = 0; all && i < PySequence_Fast_GET_SIZE(packets); i++) {
        PyObject *packet = PySequence_Fast_GET_ITEM(packets, i);
        int first;
        if (PyBytes_CheckExact(packet)) /* of empty ones, the NUL behind */
            first = (unsigned char)PyBytes_AS_STRING(packet)[0];
        else if ((first = first_of(packet)) == -2) {
            Py_DECREF(packets);
            return NULL;
        }
        all = first >> 4 == 4 || first >> 4 == 6;
    }
    Py_DECREF(packets);
    return PyBool_FromLong(all);
}

PyMethodDef batch_functions[] = {
    {"nbytes", nbytes, METH_O, PyDoc_STR("nbytes($module, batch, /)\n--\n\nReturn the bytes of a batch together.")},
    {"longest", longest, METH_O,
     PyDoc_STR("longest($module, batch, /)\n--\n\n"
               "Return the bytes of the longest packet of a batch, 0 if it is empty.")},
    {"bounds", bounds, METH_O,
     PyDoc_STR("bounds($module, batch, /)\n--\n\n"
               "Return the bytes of the shortest and of the longest packet; "
               "None for all but a list or tuple of bytes.")},
    {"all_ip", all_ip, METH_O,
     PyDoc_STR("all_ip($module, batch, /)\n--\n\n"
               "Return whether every packet is IPv4 or IPv6, by its first byte.")},
    {NULL},
};
