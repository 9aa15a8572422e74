/*
 * Packets and super-packets over a connected UDP socket. The twins are in aiotun/channel/udp_packets.py.
 *
 * What was a super-packet on one side is one on the other, and in between no packet is an object of Python: it is cut
 * where it is sent, straight into what the kernel is given, and merged where it was received. Over loopback, system calls
 * included, a train of 46 packets of 1420 bytes takes 0.85 of the time that segment() and send_datagrams() take to send
 * it, and 0.83 to 0.93 of that of recv_datagrams() and coalesce() to receive it; in a tunnel, where caches are short,
 * there is more in it: see docs/design.md.
 */
#ifdef __linux__

#include "datagrams.h"
#include "offload.h"

/* --- recv_packets ------------------------------------------------------------------------------------------ */

#define SINGLE_MESSAGES 16 /* of one system call, where there were no trains so far, though there might be */

/* What was received, beside the packets. */
typedef struct {
    Py_ssize_t count, bytes, empty, cut, lost;
} Tally;

/* Return how many datagrams a message is, and in *segment* the bytes of each. */
static size_t datagrams_in(struct mmsghdr *header, size_t *segment)
{
    size_t size = header->msg_len;
    struct in6_addr local;
    unsigned scope;

    *segment = read_control(&header->msg_hdr, &local, &scope);
    if (*segment == 0 || *segment > size)
        *segment = size;
    return size == 0 ? 0 : (size + *segment - 1) / *segment;
}

/* What lies in the slots, before it is merged. */
typedef struct {
    Slice *slices;
    size_t total, bytes;
    int messages;
    bool trains; /* whether there are some */
} Harvest;

/* Take note of where the datagrams lie that a call of the system gave. */
static void gather(Harvest *harvest, const unsigned char *slots, Arrivals *arrivals, int count, Tally *tally)
{
    size_t segments[MESSAGES], datagrams[MESSAGES], added = 0;
    Slice *slices;

    for (int i = 0; i < count; i++)
        added += datagrams[i] = datagrams_in(&arrivals->headers[i], &segments[i]);
    slices = PyMem_Realloc(harvest->slices, (harvest->total + added) * sizeof *slices);
    if (slices != NULL)
        harvest->slices = slices;
    for (int i = 0; i < count; i++) {
        struct mmsghdr *header = &arrivals->headers[i];
        const unsigned char *at = slots + (size_t)(harvest->messages + i) * SLOT;
        size_t left = header->msg_len, segment = segments[i];

        if (header->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) /* where its datagrams end nobody knows */
            tally->cut++;
        else if (datagrams[i] == 0)
            tally->empty++;
        else if (slices == NULL)
            tally->lost += (Py_ssize_t)datagrams[i];
        else {
            harvest->trains |= datagrams[i] > 1;
            harvest->bytes += left;
            for (; left > 0; at += segment, left -= segment) {
                segment = Py_MIN(segment, left);
                slices[harvest->total++] = (Slice){.octets = at, .size = segment, .plain = true};
            }
        }
    }
    harvest->messages += count;
}

/* Append packets made of the harvest to the list; count those there is no memory for. */
static void merge(State *state, PyObject *packets, Harvest *harvest, const Limits *limits, Tally *tally)
{
    PyObject *merged;

    if (harvest->total > 0) {
        spares_begin(&state->read);
        merged = coalesce_slices(state, harvest->slices, harvest->total, limits);
        if (merged != NULL &&
            PyList_SetSlice(packets, PyList_GET_SIZE(packets), PyList_GET_SIZE(packets), merged) == 0) {
            tally->count += (Py_ssize_t)harvest->total;
            tally->bytes += (Py_ssize_t)harvest->bytes;
        } else {
            tally->lost += (Py_ssize_t)harvest->total;
            PyErr_Clear(); /* it is in the count */
        }
        Py_XDECREF(merged);
    }
    PyMem_Free(harvest->slices);
    *harvest = (Harvest){0};
}

static PyObject *recv_packets(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    Limits limits = {.max_tcp = MOST_SEGMENTS, .max_udp = MOST_SEGMENTS, .max_size = MAX_SIZE};
    Arrivals arrivals;
    Harvest harvest = {0};
    Tally tally = {0};
    Py_ssize_t limit, left;
    int fd, most, count, gro = 0, ethernet = 0, error = 0;
    PyObject *packets;
    unsigned char *slots;

    if (check_count("recv_packets", given, 4) < 0 || as_socket(args[0], &fd) < 0
        || as_numbers(args + 1, 1, &limit) < 0 || match_flag(args[2], &gro) < 0 || match_flag(args[3], &ethernet) < 0)
        return NULL;
    limits.ethernet = ethernet;
    packets = PyList_New(0);
    slots = packets != NULL ? take_slots(state) : NULL;
    if (slots == NULL) {
        Py_XDECREF(packets);
        return PyErr_NoMemory();
    }
    while (error == 0 && tally.lost == 0
           && (left = limit - tally.count - tally.empty - tally.cut - (Py_ssize_t)harvest.total) > 0) {
        most = !gro ? MESSAGES : harvest.messages == 0 || harvest.trains ? GRO_MESSAGES : SINGLE_MESSAGES;
        most = Py_MIN(most, MESSAGES - harvest.messages);
        Py_BEGIN_ALLOW_THREADS
        count = receive(fd, slots + (size_t)harvest.messages * SLOT, &arrivals, (int)Py_MIN(left, most), SIZE, 0,
                        &error);
        Py_END_ALLOW_THREADS
        gather(&harvest, slots, &arrivals, count, &tally);
        if (harvest.messages == MESSAGES)
            merge(state, packets, &harvest, &limits, &tally);
    }
    merge(state, packets, &harvest, &limits, &tally);
    give_slots_back(state, slots);
    if (tally.lost > 0)
        error = ENOMEM;
    return Py_BuildValue("Ninnnnn", packets, error, tally.count, tally.bytes, tally.empty, tally.cut, tally.lost);
}

/* --- send_packets ------------------------------------------------------------------------------------------ */

#define PARTS 512 /* pieces of memory that one system call sends */

/* How far a batch is sent: the number of a packet, and of a segment of it. */
typedef struct {
    Py_ssize_t packet;
    size_t segment;
} Position;

/* A message: datagrams of *size* bytes, the last of them maybe shorter. */
typedef struct {
    size_t size, bytes, datagrams;
    Position end;
} Trip;

/* What goes out in one system call. */
typedef struct {
    struct mmsghdr headers[MESSAGES];
    struct iovec parts[PARTS];
    Trip trips[MESSAGES];
    PyObject *held[PARTS]; /* whose memory parts are */
    _Alignas(struct cmsghdr) unsigned char control[MESSAGES][CMSG_SPACE(2)];
    unsigned char *arena; /* for segments */
    size_t used;
    int messages, count, holding;
    Py_ssize_t room; /* for datagrams */
} Load;

/* Whether a datagram may go in the train of the last message. */
static bool joins(const Load *load, size_t size, size_t longest)
{
    const Trip *trip;

    if (load->messages == 0 || size == 0)
        return false;
    trip = &load->trips[load->messages - 1];
    return size <= trip->size && trip->size <= longest && trip->bytes + size <= TRAIN && trip->datagrams < SEGMENTS &&
           trip->bytes == trip->size * trip->datagrams; /* none was shorter */
}

/* Add a datagram that lies at *octets*; false if there is no room for it. */
static bool load_datagram(Load *load, const unsigned char *octets, size_t size, size_t longest)
{
    bool joined = joins(load, size, longest);
    struct iovec *last = load->count > 0 ? &load->parts[load->count - 1] : NULL;
    bool goes_on = joined && (const unsigned char *)last->iov_base + last->iov_len == octets;

    if (load->room == 0 || (!joined && load->messages == MESSAGES) || (!goes_on && load->count == PARTS))
        return false;
    load->room--;
    if (!joined) {
        load->trips[load->messages] = (Trip){.size = size};
        load->headers[load->messages++].msg_hdr = (struct msghdr){.msg_iov = &load->parts[load->count]};
    }
    if (goes_on)
        last->iov_len += size;
    else {
        load->parts[load->count++] = (struct iovec){.iov_base = (void *)octets, .iov_len = size};
        load->headers[load->messages - 1].msg_hdr.msg_iovlen++;
    }
    load->trips[load->messages - 1].bytes += size;
    load->trips[load->messages - 1].datagrams++;
    return true;
}

/* Add bytes as they are, which are held until they are sent: 1; 0 if there is no room for them. */
static int load_bytes(Load *load, PyObject *packet, Position *at, size_t longest)
{
    if (at->segment > 0) { /* it went before */
        *at = (Position){.packet = at->packet + 1};
        return 1;
    }
    if (load->holding == PARTS || !load_datagram(load, (const unsigned char *)PyBytes_AS_STRING(packet),
                                                 (size_t)PyBytes_GET_SIZE(packet), longest))
        return 0;
    load->held[load->holding++] = Py_NewRef(packet);
    *at = (Position){.packet = at->packet + 1};
    load->trips[load->messages - 1].end = *at;
    return 1;
}

/* Add the segments of a super-packet, while there is room: 1 if all were, 0 if not. */
static int load_segments(Load *load, const Cut *cut, Position *at, size_t longest)
{
    for (; at->segment < cut->count; at->segment++) {
        size_t size = cut_size(cut, at->segment);
        if (load->used + size > ARENA || !load_datagram(load, load->arena + load->used, size, longest))
            return 0;
        cut_write(cut, at->segment, load->arena + load->used);
        load->used += size;
        load->trips[load->messages - 1].end = at->segment + 1 < cut->count ? (Position){at->packet, at->segment + 1}
                                                                         : (Position){at->packet + 1, 0};
    }
    *at = (Position){.packet = at->packet + 1};
    return 1;
}

/* Add a packet from the position on, and move that: 1; 0 if there is no room for all; -1 if that is for Python to do. */
static int load_packet(State *state, Load *load, PyObject *packet, Position *at, size_t longest, bool ethernet)
{
    PyObject *finished;
    Super fields;
    Cut cut;
    int found = superpacket_check(state, packet), done;

    if (found == 0 && PyBytes_Check(packet))
        return load_bytes(load, packet, at, longest);
    if (found <= 0 || superpacket_read(state, packet, &fields) != 0)
        return -1;
    found = cut_begin(&cut, (const unsigned char *)PyBytes_AS_STRING(packet), (size_t)PyBytes_GET_SIZE(packet), &fields,
                      ethernet);
    if (found == 0)
        return load_segments(load, &cut, at, longest);
    finished = found > 0 ? superpacket_complete(packet, &fields) : NULL;
    if (finished == NULL)
        return -1;
    done = load_bytes(load, finished, at, longest);
    Py_DECREF(finished);
    return done;
}

/* Say of each train how long its datagrams are. */
static void label(Load *load)
{
    for (int i = 0; i < load->messages; i++) {
        uint16_t size = (uint16_t)load->trips[i].size;
        if (load->trips[i].datagrams > 1)
            memcpy(append_control(&load->headers[i].msg_hdr, load->control[i], IPPROTO_UDP, UDP_SEGMENT, sizeof size),
                   &size, sizeof size);
    }
}

/*
 * Send up to *limit* datagrams of a batch from the position on, and move that behind what went; return the errno that
 * ended it, or 0.
 */
static int send_batch(State *state, Load *load, int fd, PyObject *batch, Position *at, size_t longest, Py_ssize_t limit,
                      bool ethernet, Tally *tally)
{
    while (at->packet < PySequence_Fast_GET_SIZE(batch)) {
        Position loaded = *at;
        int room = 1, error, done;

        if (tally->count >= limit)
            return EAGAIN;
        load->messages = load->count = load->holding = 0;
        load->used = 0;
        load->room = limit - tally->count;
        while (room > 0 && loaded.packet < PySequence_Fast_GET_SIZE(batch)) {
            PyObject *packet = Py_NewRef(PySequence_Fast_GET_ITEM(batch, loaded.packet));
            room = load_packet(state, load, packet, &loaded, longest, ethernet);
            Py_DECREF(packet);
        }
        PyErr_Clear(); /* Python, which is to do this packet, will say so */
        if (load->messages == 0) { /* nothing to send, or nothing that can be sent here */
            *at = loaded;
            if (room <= 0)
                return EINVAL;
            continue;
        }
        if (room > 0) /* all of the batch */
            load->trips[load->messages - 1].end = loaded;
        label(load);
        Py_BEGIN_ALLOW_THREADS
        done = send_messages(fd, load->headers, load->messages, &error);
        Py_END_ALLOW_THREADS
        for (int i = 0; i < load->holding; i++)
            Py_DECREF(load->held[i]);
        for (int i = 0; i < done; i++) {
            tally->count += (Py_ssize_t)load->trips[i].datagrams;
            tally->bytes += (Py_ssize_t)load->trips[i].bytes;
            *at = load->trips[i].end;
        }
        if (error != 0)
            return error;
    }
    return 0;
}

static PyObject *send_packets(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    Py_ssize_t numbers[3];
    Position at = {0};
    Tally tally = {0};
    Load load;
    PyObject *batch;
    int fd, ethernet = 0, error;

    if (check_count("send_packets", given, 6) < 0 || as_socket(args[0], &fd) < 0
        || as_numbers(args + 2, 3, numbers) < 0 || match_flag(args[5], &ethernet) < 0)
        return NULL;
    if (numbers[0] < 0 || numbers[1] < 0) {
        PyErr_SetString(PyExc_ValueError, "a segment's number and size are 0 or more");
        return NULL;
    }
    batch = hold_batch(args[1]);
    if (batch == NULL)
        return NULL;
    load.arena = take_arena(state, ARENA);
    if (load.arena == NULL) {
        Py_DECREF(batch);
        return PyErr_NoMemory();
    }
    at.segment = (size_t)numbers[0];
    error = send_batch(state, &load, fd, batch, &at, (size_t)numbers[1], numbers[2], ethernet, &tally);
    give_arena_back(state, load.arena, ARENA);
    Py_DECREF(batch);
    return Py_BuildValue("nninn", at.packet, (Py_ssize_t)at.segment, error, tally.count, tally.bytes);
}

PyMethodDef packets_functions[] = {
    {"recv_packets", (PyCFunction)(void (*)(void))recv_packets, METH_FASTCALL,
     PyDoc_STR("recv_packets($module, sock, limit, gro, ethernet, /)\n--\n\n"
               "Receive what recv_datagrams() does, and return what coalesce() makes of it. Does not wait.")},
    {"send_packets", (PyCFunction)(void (*)(void))send_packets, METH_FASTCALL,
     PyDoc_STR("send_packets($module, sock, batch, first, longest, limit, ethernet, /)\n--\n\n"
               "Send packets, and what super-packets stand for, from the front of *batch*. Does not wait.")},
    {NULL},
};

#endif
