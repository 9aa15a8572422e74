/*
 * Many packets to few super-packets. The twin is in aiotun/offload/coalesce.py.
 *
 * The trains of a batch are found by their flow in a table with open addressing, which has room for twice as many as
 * there are packets. None is taken out again: one that is closed is in the way of nothing. A packet of 1448 bytes takes
 * 80 ns, 25 if nothing follows it; the twin 5600 and 2100, with the sums in C 2600 and 1900.
 */
#include "offload.h"

#define BUILT SIZE_MAX /* in the result, for a packet's number: a super-packet is there already */

typedef struct {
    const Slice *packets;
    const Limits *limits;
    Train *trains;
    size_t count, open; /* trains, and how many of them are open */
    size_t *slots;      /* numbers of trains, counted from 1 */
    size_t mask;        /* how many slots there are, less 1 */
    size_t *next;       /* for each packet the number of the one behind it in its train */
    size_t *result;     /* the packets' numbers */
    size_t kept;        /* how many there are in the result */
} Batch;

static size_t hash(const Flow *flow)
{
    uint64_t result = (uint64_t)flow->ports << 8 | (uint64_t)flow->protocol, word;

    for (size_t at = 0; at < flow->width; at += sizeof word) {
        memcpy(&word, flow->ends + at, sizeof word);
        result = (result ^ word) * 0x9e3779b97f4a7c15u; /* 2**64 divided by the golden ratio */
        result ^= result >> 32;
    }
    return (size_t)result;
}

static bool same_ends(const Flow *one, const Flow *other)
{
    return one->width == other->width && memcmp(one->ends, other->ends, one->width) == 0;
}

/* Return where the number of the flow's train is, or belongs. */
static size_t *find_slot(const Batch *batch, const Flow *flow)
{
    for (size_t at = hash(flow);; at++) {
        size_t *slot = &batch->slots[at & batch->mask];
        if (*slot == 0)
            return slot;
        const Flow *other = &batch->trains[*slot - 1].first.flow;
        if (other->ports == flow->ports && other->protocol == flow->protocol && same_ends(other, flow))
            return slot;
    }
}

static void close_train(Batch *batch, Train *train)
{
    batch->open -= train->open;
    train->open = false;
}

/* Close the train of a flow; where its ports are out of reach, all trains between its ends. */
static void close_flow(Batch *batch, const Flow *flow)
{
    if (flow->ports != 0) {
        size_t slot = *find_slot(batch, flow);
        if (slot != 0)
            close_train(batch, &batch->trains[slot - 1]);
        return;
    }
    /* IPv4 always says what it carries; IPv6 does not, behind a header that cannot be stepped over. */
    if (flow->protocol == ICMPV6 || (flow->width == 8 && flow->protocol != TCP && flow->protocol != UDP))
        return;
    for (size_t i = 0; i < batch->count; i++)
        if (same_ends(&batch->trains[i].first.flow, flow))
            close_train(batch, &batch->trains[i]);
}

/* Find the flow of TCP or UDP right behind a plain header, or of what closes no train: its ends are none. */
static bool plain_flow(Flow *flow, const unsigned char *octets, size_t size, bool ethernet)
{
    const unsigned char *ip;
    size_t network;

    *flow = (Flow){.ends = NULL};
    if (!find_network(octets, size, ethernet, &network))
        return true;
    ip = octets + network;
    size -= network;
    if (size < 20)
        return true;
    if (ip[0] >> 4 == 4) {
        if (ip[9] != TCP && ip[9] != UDP)
            return true;
        if (size < 24 || ip[0] != 0x45 || ip[6] & 0x3f || ip[7] || get16(ip + 2) < 24 || get16(ip + 2) > size)
            return false;
        *flow = (Flow){.ends = ip + 12, .width = 8, .ports = get32(ip + 20), .protocol = ip[9]};
        return true;
    }
    if (ip[0] >> 4 != 6 || size < 40 || ip[6] == ICMPV6)
        return true;
    if ((ip[6] != TCP && ip[6] != UDP) || get16(ip + 4) < 4 || get16(ip + 4) > size - 40)
        return false;
    *flow = (Flow){.ends = ip + 8, .width = 32, .ports = get32(ip + 40), .protocol = ip[6]};
    return true;
}

/* Close the trains that *packet* may be of, by what Python finds out of it; -1 with an exception. */
static int close_by_form(Batch *batch, const Slice *slice)
{
    PyObject *module = PyImport_ImportModule("aiotun.offload.headers"), *packet, *found = NULL;
    const char *src, *dst;
    Py_ssize_t width, other;
    unsigned char ends[32];
    int protocol, src_port, dst_port, failed = -1;

    if (module == NULL)
        return -1;
    packet = slice->packet != NULL ? Py_NewRef(slice->packet)
                                   : PyBytes_FromStringAndSize((const char *)slice->octets, (Py_ssize_t)slice->size);
    if (packet != NULL)
        found = PyObject_CallMethod(module, "find_flow", "Oi", packet, (int)batch->limits->ethernet);
    Py_XDECREF(packet);
    Py_DECREF(module);
    if (found == NULL || Py_IsNone(found)) {
        Py_XDECREF(found);
        return found == NULL ? -1 : 0;
    }
    if (PyArg_ParseTuple(found, "iy#y#ii", &protocol, &src, &width, &dst, &other, &src_port, &dst_port)) {
        failed = 0;
        if (width == other && (width == 4 || width == 16)) {
            memcpy(ends, src, (size_t)width);
            memcpy(ends + width, dst, (size_t)width);
            const Flow flow = {ends, 2 * (size_t)width, (uint32_t)src_port << 16 | (uint32_t)dst_port, protocol};
            close_flow(batch, &flow);
        }
    }
    Py_DECREF(found);
    return failed;
}

/* Close the train that a packet, which is not merged itself, may be of: what follows it must not get ahead of it. */
static int close_for(Batch *batch, const Slice *packet)
{
    Flow flow;

    if (batch->open == 0)
        return 0;
    if (packet->octets == NULL || !plain_flow(&flow, packet->octets, packet->size, batch->limits->ethernet))
        return close_by_form(batch, packet);
    if (flow.ends != NULL)
        close_flow(batch, &flow);
    return 0;
}

/* Put the packet of that number into a train, or into the result; -1 with an exception. */
static int place(Batch *batch, size_t number)
{
    const Slice *packet = &batch->packets[number];
    const Limits *limits = batch->limits;
    Candidate candidate;
    Py_ssize_t most = 0;

    if (packet->plain && candidate_read(&candidate, packet->octets, packet->size, limits->ethernet))
        most = candidate.flow.protocol == TCP ? limits->max_tcp : limits->max_udp;
    if (most == 0) {
        batch->result[batch->kept++] = number;
        return close_for(batch, packet);
    }
    size_t *slot = find_slot(batch, &candidate.flow);
    if (*slot != 0) {
        Train *train = &batch->trains[*slot - 1];
        size_t last = train->end;
        if (train->open) {
            if (train_take(train, &candidate, number, most, limits->max_size)) {
                batch->next[last] = number;
                batch->open -= !train->open;
                return 0;
            }
            close_train(batch, train);
        }
    }
    if (!candidate.push) {
        train_start(&batch->trains[batch->count++], &candidate, number, batch->kept);
        *slot = batch->count;
        batch->open++;
    }
    batch->result[batch->kept++] = number;
    return 0;
}

/* Put the super-packet of each train where its first packet is; -1 with an exception. */
static int build_trains(State *state, Batch *batch, PyObject *result)
{
    for (size_t i = 0; i < batch->count; i++) {
        const Train *train = &batch->trains[i];
        if (train->count == 1)
            continue;
        PyObject *packet = train_build(state, train, batch->packets, batch->next);
        if (packet == NULL)
            return -1;
        PyList_SET_ITEM(result, (Py_ssize_t)train->place, packet);
        batch->result[train->place] = BUILT;
    }
    return 0;
}

/* Put every other packet where it is; -1 with an exception. */
static int keep_others(State *state, const Batch *batch, PyObject *result)
{
    for (size_t i = 0; i < batch->kept; i++) {
        if (batch->result[i] == BUILT)
            continue;
        const Slice *slice = &batch->packets[batch->result[i]];
        PyObject *packet = slice->packet != NULL ? Py_NewRef(slice->packet)
                                                 : spares_copy(&state->read, slice->octets, slice->size);
        if (packet == NULL)
            return -1;
        PyList_SET_ITEM(result, (Py_ssize_t)i, packet);
    }
    return 0;
}

static PyObject *build(State *state, Batch *batch)
{
    PyObject *result = PyList_New((Py_ssize_t)batch->kept);

    if (result != NULL && (build_trains(state, batch, result) < 0 || keep_others(state, batch, result) < 0))
        Py_CLEAR(result);
    return result;
}

PyObject *coalesce_slices(State *state, const Slice *packets, size_t count, const Limits *limits)
{
    Batch batch = {.packets = packets, .limits = limits};
    PyObject *result = NULL;
    size_t slots = 8;

    while (slots < 2 * count)
        slots *= 2;
    batch.mask = slots - 1;
    batch.trains = PyMem_New(Train, count);
    batch.slots = PyMem_Calloc(slots, sizeof *batch.slots);
    batch.next = PyMem_New(size_t, count);
    batch.result = PyMem_New(size_t, count);
    if (batch.trains == NULL || batch.slots == NULL || batch.next == NULL || batch.result == NULL)
        PyErr_NoMemory();
    else {
        size_t number = 0;
        while (number < count && place(&batch, number) == 0)
            number++;
        if (number == count)
            result = build(state, &batch);
    }
    PyMem_Free(batch.trains);
    PyMem_Free(batch.slots);
    PyMem_Free(batch.next);
    PyMem_Free(batch.result);
    return result;
}

/* The same for a tuple, which nobody changes while code of Python runs. */
static PyObject *coalesce_batch(State *state, PyObject *batch, const Limits *limits)
{
    size_t count = (size_t)PyTuple_GET_SIZE(batch);
    Slice *packets = PyMem_New(Slice, count);
    PyObject *result;

    if (packets == NULL)
        return PyErr_NoMemory();
    for (size_t i = 0; i < count; i++) {
        PyObject *packet = PyTuple_GET_ITEM(batch, (Py_ssize_t)i);
        packets[i] = (Slice){.packet = packet};
        if (PyBytes_Check(packet)) {
            packets[i].octets = (const unsigned char *)PyBytes_AS_STRING(packet);
            packets[i].size = (size_t)PyBytes_GET_SIZE(packet);
            packets[i].plain = PyBytes_CheckExact(packet);
        }
    }
    result = coalesce_slices(state, packets, count, limits);
    PyMem_Free(packets);
    return result;
}

static PyObject *coalesce(PyObject *module, PyObject *const *args, Py_ssize_t positional, PyObject *names)
{
    static const char *const known[] = {"batch", "ethernet", "tcp", "udp", "max_segments", "max_size"};
    State *state = PyModule_GetState(module);
    Py_ssize_t max_segments = MOST_SEGMENTS, max_size = MAX_SIZE;
    int ethernet = 0, tcp = 1, udp = 1;
    PyObject *found[6], *batch, *result;

    if (match_arguments(known, 6, args, positional, names, found) < 0 || !match_number(found[4], &max_segments) ||
        !match_number(found[5], &max_size))
        return call_form("coalesce", args, positional, names);
    if (match_flag(found[1], &ethernet) < 0 || match_flag(found[2], &tcp) < 0 || match_flag(found[3], &udp) < 0)
        return NULL;
    const Limits limits = {
        .ethernet = ethernet,
        .max_tcp = tcp ? Py_MAX(max_segments, 1) : 0,
        .max_udp = udp ? Py_MAX(Py_MIN(max_segments, MAX_UDP_SEGMENTS), 1) : 0,
        .max_size = Py_MIN(max_size, MAX_SIZE),
    };
    batch = PySequence_Tuple(found[0]);
    if (batch == NULL)
        return NULL;
    result = coalesce_batch(state, batch, &limits);
    Py_DECREF(batch);
    return result;
}

PyMethodDef coalesce_functions[] = {
    {"coalesce", (PyCFunction)(void (*)(void))coalesce, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("coalesce($module, batch, ethernet=False, tcp=True, udp=True, max_segments=64, max_size=65535)\n--\n\n"
               "Return *batch* with each run of packets that may be one super-packet made into one; never raises.")},
    {NULL},
};
