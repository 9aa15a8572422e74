/*
 * One super-packet to many packets. The twin is in aiotun/offload/segment.py; it says why one cannot be cut, this file
 * only finds out that it cannot.
 *
 * The bytes that the segments share are summed once; each payload is summed while it is copied. A segment of 1448 bytes
 * takes 35 ns; the twin takes 3600 ns, 700 with the sums in C.
 */
#include "offload.h"

/* --- where the headers are: false if the packet's fields do not agree with its bytes ------------------------- */

static bool find_ipv4(Layout *layout, const unsigned char *ip, size_t inner)
{
    size_t header = (size_t)(ip[0] & 0xf) * 4;

    if (header < 20 || header > inner || get16(ip + 2) != inner)
        return false;
    if (ip[6] & 0x3f || ip[7]) /* a fragment */
        return false;
    layout->transport = layout->network + header;
    return ip[9] == (layout->is_tcp ? TCP : UDP);
}

static bool find_ipv6(Layout *layout, const unsigned char *packet, size_t size)
{
    size_t inner = size - layout->network;

    if (inner < 40 || get16(packet + layout->network + 4) != inner - 40)
        return false;
    return find_transport6(packet, size, layout->network, &layout->transport) == (layout->is_tcp ? TCP : UDP) &&
           layout->transport <= size;
}

static bool find_payload(Layout *layout, const unsigned char *header, size_t inner, const Super *fields)
{
    size_t length = 8;

    if (inner < (layout->is_tcp ? 20 : 8))
        return false;
    if (!layout->is_tcp && (get16(header + 4) != inner || !fields->needs_csum))
        return false;
    if (layout->is_tcp)
        length = (size_t)(header[12] >> 4) * 4;
    layout->payload = layout->transport + length;
    return !layout->is_tcp || (length >= 20 && length <= inner);
}

static bool find_layout(Layout *layout, const unsigned char *packet, size_t size, const Super *fields, bool ethernet)
{
    int type = fields->gso_type & ~GSO_ECN;
    bool found;

    if (type != TCPV4 && type != TCPV6 && fields->gso_type != UDP_L4)
        return false;
    if (fields->gso_size < 1 || !find_network(packet, size, ethernet, &layout->network) || size < layout->network + 20)
        return false;
    layout->is_tcp = type != UDP_L4;
    layout->is_ipv4 = packet[layout->network] >> 4 == 4;
    if (layout->is_ipv4)
        found = type != TCPV6 && find_ipv4(layout, packet + layout->network, size - layout->network);
    else
        found = type != TCPV4 && packet[layout->network] >> 4 == 6 && find_ipv6(layout, packet, size);
    if (!found)
        return false;
    if (fields->needs_csum && ((size_t)fields->csum_start != layout->transport ||
                               fields->csum_offset != (layout->is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM)))
        return false;
    return find_payload(layout, packet + layout->transport, size - layout->transport, fields);
}

/* --- what the segments share: 2**16 being 1 modulo 0xffff, a sum may take 32 bits at a time ------------------- */

/* Return the sum of the pseudo-header without its length: the packet's own, as the kernel does, if it brings one. */
static uint64_t sum_pseudo(const Layout *layout, const unsigned char *packet, size_t size, const Super *fields)
{
    if (fields->needs_csum) /* taking the length out may not go below 0, and 0xffff more is the same sum */
        return get16(packet + layout->transport + fields->csum_offset) + 0xffff - (size - layout->transport);
    return (layout->is_tcp ? TCP : UDP) + (layout->is_ipv4 ? sum_words(packet + layout->network + 12, 8)
                                                           : sum_words(packet + layout->network + 8, 32));
}

/* Return the sum of the transport header, but for what differs. */
static uint64_t sum_transport(const Layout *layout, const unsigned char *packet)
{
    const unsigned char *header = packet + layout->transport;
    uint64_t sum = get32(header); /* ports */

    if (layout->is_tcp)
        sum += (uint64_t)get32(header + 8) + get16(header + 14) +
               sum_words(header + 18, layout->payload - layout->transport - 18);
    return sum;
}

/* Return the sum of the IPv4 header, but for what differs. */
static uint64_t sum_ipv4(const Layout *layout, const unsigned char *packet)
{
    const unsigned char *ip = packet + layout->network;

    return get16(ip) + (uint64_t)get32(ip + 6) + sum_words(ip + 12, layout->transport - layout->network - 12);
}

static Template make_template(const Layout *layout, const unsigned char *packet, size_t size, const Super *fields)
{
    const unsigned char *ip = packet + layout->network, *header = packet + layout->transport;
    Template template = {
        .layout = *layout,
        .sum = sum_pseudo(layout, packet, size, fields) + sum_transport(layout, packet),
    };

    if (layout->is_tcp) {
        template.seq = get32(header + 4);
        template.word = get16(header + 12);
    }
    if (layout->is_ipv4) {
        template.ip_sum = sum_ipv4(layout, packet);
        template.ident = get16(ip + 4);
        template.ident_step = !fields->fixed_id;
    }
    return template;
}

/* --- the segments -------------------------------------------------------------------------------------------- */

/* Write what differs into a header of TCP, over *length* bytes with it, of which the payload sums up to *sum*. */
static void write_tcp(const Template *template, unsigned char *header, size_t length, uint64_t sum, uint32_t seq,
                      uint32_t cleared)
{
    uint32_t word = template->word & ~cleared;

    put32(header + 4, seq);
    put16(header + 12, word);
    write_checksum(header, TCP_CHECKSUM, 0xffff - fold(template->sum + sum + length + seq + word));
}

static void write_udp(const Template *template, unsigned char *header, size_t length, uint64_t sum)
{
    put16(header + 4, length);
    /* Both the pseudo-header and the header have the length. */
    write_checksum(header, UDP_CHECKSUM, never_zero(0xffff - fold(template->sum + sum + 2 * length)));
}

static void write_ip(const Template *template, unsigned char *ip, size_t total, size_t number)
{
    uint32_t ident = (template->ident + (uint32_t)number * template->ident_step) & 0xffff;

    if (!template->layout.is_ipv4) {
        put16(ip + 4, total - 40);
        return;
    }
    put16(ip + 2, total);
    put16(ip + 4, ident);
    put16(ip + 10, 0xffff - fold(template->ip_sum + total + ident));
}

int cut_begin(Cut *cut, const unsigned char *octets, size_t size, const Super *fields, bool ethernet)
{
    Layout layout;

    if (fields->gso_type == 0)
        return 1;
    if (!find_layout(&layout, octets, size, fields, ethernet))
        return -1;
    cut->octets = octets;
    cut->size = size;
    cut->gso_size = (size_t)fields->gso_size;
    cut->count = (size - layout.payload + cut->gso_size - 1) / cut->gso_size;
    if (cut->count <= 1)
        return 1;
    cut->template = make_template(&layout, octets, size, fields);
    return 0;
}

void cut_write(const Cut *cut, size_t number, unsigned char *to)
{
    const Template *template = &cut->template;
    const Layout *layout = &template->layout;
    size_t done = number * cut->gso_size, last = cut->count - 1, total = cut_size(cut, number);
    size_t part = total - layout->payload, length = total - layout->transport;

    memcpy(to, cut->octets, layout->payload);
    uint64_t sum = copy_and_sum(to + layout->payload, cut->octets + layout->payload + done, part);
    if (layout->is_tcp)
        write_tcp(template, to + layout->transport, length, sum, template->seq + (uint32_t)done,
                  (number > 0 ? CWR : 0) | (number < last ? FIN_PSH : 0));
    else
        write_udp(template, to + layout->transport, length, sum);
    write_ip(template, to + layout->network, total - layout->network, number);
}

/* Return the segments from *first* up to, not including, *stop*. */
static PyObject *cut_out(State *state, const Cut *cut, size_t first, size_t stop)
{
    PyObject *finished = PyList_New((Py_ssize_t)(stop - first));

    if (finished == NULL)
        return NULL;
    spares_begin(&state->cut);
    for (size_t number = first; number < stop; number++) {
        PyObject *segment = spares_take(&state->cut, cut_size(cut, number));
        if (segment == NULL) {
            Py_DECREF(finished);
            return NULL;
        }
        PyList_SET_ITEM(finished, (Py_ssize_t)(number - first), segment);
        cut_write(cut, number, (unsigned char *)PyBytes_AS_STRING(segment));
    }
    return finished;
}

/* Return a list of one packet, which is taken over, or of none if it is not among those asked for. */
static PyObject *alone(PyObject *packet, Py_ssize_t first, Py_ssize_t limit)
{
    bool wanted = first == 0 && limit > 0;
    PyObject *result = packet == NULL ? NULL : PyList_New(wanted);

    if (result != NULL && wanted)
        PyList_SET_ITEM(result, 0, packet);
    else
        Py_XDECREF(packet);
    return result;
}

/* Return the segments of a SuperPacket; NULL with an exception, or without one if it cannot be cut. */
static PyObject *cut_super(State *state, PyObject *packet, bool ethernet, Py_ssize_t first, Py_ssize_t limit)
{
    size_t start = (size_t)first, room = (size_t)limit;
    Super fields;
    Cut cut;
    int whole;

    if (superpacket_read(state, packet, &fields) != 0)
        return NULL;
    whole = cut_begin(&cut, (const unsigned char *)PyBytes_AS_STRING(packet), (size_t)PyBytes_GET_SIZE(packet), &fields,
                      ethernet);
    if (whole != 0)
        return whole < 0 ? NULL : alone(superpacket_complete(packet, &fields), first, limit);
    start = Py_MIN(start, cut.count);
    return cut_out(state, &cut, start, start + Py_MIN(room, cut.count - start));
}

static PyObject *segment(PyObject *module, PyObject *const *args, Py_ssize_t positional, PyObject *names)
{
    static const char *const known[] = {"packet", "ethernet", "first", "limit"};
    State *state = PyModule_GetState(module);
    Py_ssize_t first = 0, limit = 0x10000;
    PyObject *found[4], *result;
    int is_super, ethernet = 0;

    if (match_arguments(known, 4, args, positional, names, found) < 0 || !match_number(found[2], &first) ||
        !match_number(found[3], &limit) || first < 0 || limit < 0)
        return call_form("segment", args, positional, names);
    is_super = superpacket_check(state, found[0]);
    if (is_super <= 0)
        return is_super < 0 ? NULL : alone(Py_NewRef(found[0]), first, limit);
    if (match_flag(found[1], &ethernet) < 0)
        return NULL;
    result = cut_super(state, found[0], ethernet, first, limit);
    if (result == NULL && !PyErr_Occurred())
        return call_form("segment", args, positional, names);
    return result;
}

PyMethodDef segment_functions[] = {
    {"segment", (PyCFunction)(void (*)(void))segment, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("segment($module, packet, ethernet=False, first=0, limit=65536)\n--\n\n"
               "Return the finished packets that *packet* stands for, in order; a plain packet stands for itself.")},
    {NULL},
};
