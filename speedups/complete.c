/* Finishing a checksum that was left to the receiver. The twin is in aiotun/offload/complete.py. */
#include "speedups.h"

PyObject *superpacket_complete(PyObject *packet, const Super *fields)
{
    size_t size = (size_t)PyBytes_GET_SIZE(packet), start, end;
    const unsigned char *octets = (const unsigned char *)PyBytes_AS_STRING(packet);
    unsigned char *finished;
    PyObject *result;
    uint32_t sum;

    if (!fields->needs_csum)
        return PyBytes_FromStringAndSize((const char *)octets, (Py_ssize_t)size);
    if (fields->tunnel_csum) /* there is another one to finish */
        return NULL;
    if (fields->csum_start < 0 || fields->csum_offset < 0)
        return NULL;
    start = (size_t)fields->csum_start;
    end = start + (size_t)fields->csum_offset + 2;
    if (end > size)
        return NULL;
    result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (result == NULL)
        return NULL;
    finished = (unsigned char *)PyBytes_AS_STRING(result);
    memcpy(finished, octets, start);
    /* What is in the field is part of the sum, so the bytes are summed as they lie. */
    sum = copy_and_sum(finished + start, octets + start, size - start);
    write_checksum(finished + start, (size_t)fields->csum_offset, never_zero(0xffff - sum));
    return result;
}

static PyObject *complete(PyObject *module, PyObject *const *args, Py_ssize_t positional, PyObject *names)
{
    static const char *const known[] = {"packet"};
    State *state = PyModule_GetState(module);
    PyObject *packet, *result;
    Super fields;
    int found;

    if (match_arguments(known, 1, args, positional, names, &packet) < 0)
        return call_form("complete", args, positional, names);
    found = superpacket_check(state, packet);
    if (found <= 0)
        return found < 0 ? NULL : Py_NewRef(packet);
    found = superpacket_read(state, packet, &fields);
    if (found < 0)
        return NULL;
    result = found > 0 ? NULL : superpacket_complete(packet, &fields);
    if (result == NULL && !PyErr_Occurred())
        return call_form("complete", args, positional, names);
    return result;
}

PyMethodDef complete_functions[] = {
    {"complete", (PyCFunction)(void (*)(void))complete, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("complete($module, packet)\n--\n\n"
               "Return *packet* with its checksum finished, as plain bytes; what needs none is returned as it is.")},
    {NULL},
};
