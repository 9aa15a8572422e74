/*
 * Whether a device that takes super-packets takes all of a batch. The twin is in aiotun/endpoint/fitness.py; what makes
 * a super-packet sound is SuperPacket.check() in aiotun/packet/superpacket.py.
 */
#include "offload.h"

enum { UFO = 3 };

static bool is_tcp(int kind)
{
    return kind == TCPV4 || kind == TCPV6;
}

/* Find the end of the headers, as the kernel takes it, 0 if nothing is to be cut or summed; false if that is refused. */
static bool find_end(const Super *fields, size_t size, size_t *end)
{
    int kind = fields->gso_type & ~GSO_ECN;
    size_t transport = 0, network = kind == TCPV6 ? 40 : 20;

    *end = 0;
    if (fields->gso_type != 0) {
        if ((!is_tcp(kind) && kind != UDP_L4 && kind != UFO) || fields->gso_size == 0 || fields->gso_size == 0xffff)
            return false;
        transport = is_tcp(kind) ? 20 : 8;
    }
    if (kind == UDP_L4 && (!fields->needs_csum || fields->gso_type & GSO_ECN))
        return false;
    if (fields->needs_csum) {
        if ((size_t)fields->csum_start < network || (is_tcp(kind) && fields->csum_offset != TCP_CHECKSUM) ||
            (kind == UDP_L4 && fields->csum_offset != UDP_CHECKSUM))
            return false;
        network = (size_t)fields->csum_start;
    } else if (fields->gso_type == 0)
        return true;
    *end = network + transport;
    return *end <= size;
}

static bool in_header(int number)
{
    return number >= 0 && number <= 0xffff;
}

/* Whether the kernel takes the fields of a super-packet that is not in a tunnel. */
static bool is_sound(const Super *fields, size_t size, bool ethernet)
{
    size_t pulled, end;

    if (!in_header(fields->gso_type) || !in_header(fields->gso_size) || !in_header(fields->hdr_len) ||
        !in_header(fields->csum_start) || !in_header(fields->csum_offset))
        return false;
    pulled = (size_t)fields->hdr_len;
    if (fields->needs_csum)
        pulled = Py_MAX(pulled, (size_t)fields->csum_start + (size_t)fields->csum_offset + 2);
    if (pulled > size || (ethernet && (size < 14 || (pulled > 0 && pulled < 14))) || !find_end(fields, size, &end))
        return false;
    return fields->gso_type != UDP_L4 || size - end <= (size_t)fields->gso_size * MAX_UDP_SEGMENTS;
}

/* Return the bytes of the longest packet that a sound super-packet stands for. */
static size_t longest_segment(const Super *fields, const unsigned char *octets, size_t size)
{
    size_t headers = (size_t)fields->hdr_len, start = (size_t)fields->csum_start;

    if (fields->gso_type == 0)
        return size;
    if (fields->needs_csum) {
        size_t transport = 8;
        if (is_tcp(fields->gso_type & ~GSO_ECN))
            transport = start + 12 < size ? (size_t)(octets[start + 12] >> 4) * 4 : 20;
        headers = start + transport;
    }
    return Py_MIN(size, headers + (size_t)fields->gso_size);
}

/* Return 1 if the packet fits, 0 if not, -1 with an exception, -2 if that is for Python to find out. */
static int fits(State *state, PyObject *packet, size_t least, size_t most, bool ethernet)
{
    const unsigned char *octets;
    size_t size;
    Super fields;
    int found;

    if (PyBytes_CheckExact(packet)) {
        size = (size_t)PyBytes_GET_SIZE(packet);
        return least <= size && size <= most;
    }
    found = superpacket_check(state, packet);
    if (found <= 0)
        return found < 0 ? -1 : -2;
    found = superpacket_read(state, packet, &fields);
    if (found != 0)
        return found < 0 ? -1 : -2;
    if (fields.gso_type & GSO_UDP_TUNNEL)
        return -2;
    octets = (const unsigned char *)PyBytes_AS_STRING(packet);
    size = (size_t)PyBytes_GET_SIZE(packet);
    if (fields.gso_type == 0 && !fields.needs_csum)
        return least <= size && size <= most;
    return is_sound(&fields, size, ethernet) && longest_segment(&fields, octets, size) <= most;
}

static PyObject *all_fit(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    Py_ssize_t least, most;
    int ethernet = 0, fit = 1;
    PyObject *packets;

    if (check_count("all_fit", given, 4) < 0)
        return NULL;
    if (!match_number(args[1], &least) || !match_number(args[2], &most) || least < 0 || most < 0)
        return call_form("all_fit", args, given, NULL);
    if (match_flag(args[3], &ethernet) < 0 || (packets = hold_batch(args[0])) == NULL)
        return NULL;
    for (Py_ssize_t i = 0; fit == 1 && i < PySequence_Fast_GET_SIZE(packets); i++) {
        PyObject *packet = Py_NewRef(PySequence_Fast_GET_ITEM(packets, i));
        fit = fits(state, packet, (size_t)least, (size_t)most, ethernet);
        Py_DECREF(packet);
    }
    Py_DECREF(packets);
    if (fit == -2)
        return call_form("all_fit", args, given, NULL);
    return fit < 0 ? NULL : PyBool_FromLong(fit);
}

PyMethodDef fitness_functions[] = {
    {"all_fit", (PyCFunction)(void (*)(void))all_fit, METH_FASTCALL,
     PyDoc_STR("all_fit($module, batch, least, most, ethernet, /)\n--\n\n"
               "Return whether a device that takes super-packets takes all of *batch*: those that are sound, and stand "
               "for packets\nof up to *most* bytes, and plain ones of *least* to *most* bytes.")},
    {NULL},
};
