/*
 * Batches of datagrams that are received: recvmmsg(). The twin is in aiotun/channel/udp_datagrams.py.
 *
 * What lands in the slots becomes bytes of exactly its size.
 */
#ifdef __linux__

#include "datagrams.h"

/* What the runs are made of, and what became of the rest. */
typedef struct {
    PyObject *runs, *last; /* last: the list of the last run's datagrams, borrowed from it */
    Address source;        /* of the last run */
    struct in6_addr local;
    unsigned scope;
    Py_ssize_t count, empty, cut, lost;
} Taken;

int receive(int fd, unsigned char *slots, Arrivals *arrivals, int count, size_t size, int addressed, int *error)
{
    int got;

    for (int i = 0; i < count; i++) {
        arrivals->rooms[i] = (struct iovec){.iov_base = slots + (size_t)i * SLOT, .iov_len = size};
        arrivals->headers[i].msg_hdr = (struct msghdr){
            .msg_name = addressed ? &arrivals->sources[i] : NULL,
            .msg_namelen = addressed ? sizeof arrivals->sources[i] : 0,
            .msg_iov = &arrivals->rooms[i],
            .msg_iovlen = 1,
            .msg_control = arrivals->control[i],
            .msg_controllen = CONTROL,
        };
    }
    got = recvmmsg(fd, arrivals->headers, (unsigned)count, MSG_DONTWAIT, NULL);
    *error = got < 0 ? errno : got < count ? EAGAIN : 0;
    return got < 0 ? 0 : got;
}

size_t read_control(struct msghdr *message, struct in6_addr *local, unsigned *scope)
{
    size_t segment = 0;

    memset(local, 0, sizeof *local);
    *scope = 0;
    for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one != NULL; one = CMSG_NXTHDR(message, one)) {
        size_t size = one->cmsg_len - CMSG_LEN(0);
        if (one->cmsg_level == IPPROTO_UDP && one->cmsg_type == UDP_GRO && size >= sizeof(int)) {
            int value;
            memcpy(&value, CMSG_DATA(one), sizeof value);
            segment = value > 0 ? (size_t)value : 0;
        } else if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO && size >= sizeof(struct in_pktinfo)) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(one), sizeof info);
            local->s6_addr[10] = local->s6_addr[11] = 0xff;
            memcpy(&local->s6_addr[12], &info.ipi_spec_dst, 4);
        } else if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_PKTINFO
                   && size >= sizeof(struct in6_pktinfo)) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(one), sizeof info);
            *local = info.ipi6_addr;
            *scope = IN6_IS_ADDR_LINKLOCAL(local) ? info.ipi6_ifindex : 0;
        }
    }
    return segment;
}

/* Begin a run of datagrams from one source to one address of ours, unless the last one is such; -1 without memory. */
static int begin_run(Taken *taken, const Address *source, const struct in6_addr *local, unsigned scope)
{
    static const struct in6_addr nowhere;
    char host[HOST];
    PyObject *from, *to, *run;

    if (taken->last != NULL && memcmp(&taken->source, source, sizeof *source) == 0
        && memcmp(&taken->local, local, sizeof *local) == 0 && taken->scope == scope)
        return 0;
    from = source->any.sa_family == AF_UNSPEC ? Py_NewRef(Py_None) : address_object(source);
    if (memcmp(local, &nowhere, sizeof nowhere) == 0)
        to = Py_NewRef(Py_None);
    else {
        write_host(local, scope, host);
        to = PyUnicode_FromString(host);
    }
    taken->last = PyList_New(0);
    run = from != NULL && to != NULL && taken->last != NULL ? PyTuple_Pack(3, from, to, taken->last) : NULL;
    Py_XDECREF(from);
    Py_XDECREF(to);
    Py_XDECREF(taken->last);
    if (run == NULL || PyList_Append(taken->runs, run) < 0) {
        Py_XDECREF(run);
        taken->last = NULL;
        return -1;
    }
    Py_DECREF(run);
    taken->source = *source;
    taken->local = *local;
    taken->scope = scope;
    return 0;
}

/* Append the datagrams that a buffer of the kernel's is made of; count those there is no memory for. */
static void append_datagrams(State *state, Taken *taken, const unsigned char *from, size_t size, size_t segment)
{
    if (segment == 0 || segment > size)
        segment = size;
    for (size_t at = 0; at < size; at += segment) {
        size_t length = size - at < segment ? size - at : segment;
        PyObject *datagram = taken->lost == 0 ? spares_copy(&state->read, from + at, length) : NULL;
        if (datagram == NULL || PyList_Append(taken->last, datagram) < 0)
            taken->lost++;
        else
            taken->count++;
        Py_XDECREF(datagram);
    }
}

/* Make runs of what arrived. */
static void take(State *state, Taken *taken, const unsigned char *slots, Arrivals *arrivals, int count, int addressed)
{
    spares_begin(&state->read);
    for (int i = 0; i < count; i++) {
        struct msghdr *message = &arrivals->headers[i].msg_hdr;
        size_t size = arrivals->headers[i].msg_len, segment;
        struct in6_addr local;
        Address source;
        unsigned scope;

        if (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) { /* where its datagrams end nobody knows */
            taken->cut++;
            continue;
        }
        if (size == 0) {
            taken->empty++;
            continue;
        }
        memset(&source, 0, sizeof source);
        if (addressed)
            memcpy(&source, message->msg_name, Py_MIN(message->msg_namelen, sizeof source));
        segment = read_control(message, &local, &scope);
        if (taken->lost == 0 && begin_run(taken, &source, &local, scope) < 0)
            taken->lost = segment ? (Py_ssize_t)((size + segment - 1) / segment) : 1;
        else
            append_datagrams(state, taken, slots + (size_t)i * SLOT, size, segment);
    }
    PyErr_Clear(); /* it is in the count */
}

unsigned char *take_slots(State *state)
{
    unsigned char *slots = NULL;

#ifndef Py_GIL_DISABLED
    slots = state->slots;
    state->slots = NULL;
#endif
    (void)state;
    return slots != NULL ? slots : PyMem_RawMalloc((size_t)MESSAGES * SLOT);
}

void give_slots_back(State *state, unsigned char *slots)
{
#ifndef Py_GIL_DISABLED
    if (state->slots == NULL) {
        state->slots = slots;
        return;
    }
#endif
    (void)state;
    PyMem_RawFree(slots);
}

static PyObject *recv_datagrams(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    State *state = PyModule_GetState(module);
    Arrivals arrivals;
    Taken taken = {0};
    Py_ssize_t numbers[4], limit;
    int fd, most, error = 0;
    unsigned char *slots;

    if (check_count("recv_datagrams", given, 5) < 0 || as_socket(args[0], &fd) < 0
        || as_numbers(args + 1, 4, numbers) < 0)
        return NULL;
    limit = numbers[0];
    if (numbers[1] < 1 || numbers[1] > SIZE) {
        PyErr_Format(PyExc_ValueError, "a datagram has room for 1 to %d bytes, not %zd", SIZE, numbers[1]);
        return NULL;
    }
    most = numbers[3] ? GRO_MESSAGES : MESSAGES;
    taken.runs = PyList_New(0);
    slots = taken.runs != NULL ? take_slots(state) : NULL;
    if (slots == NULL) {
        Py_XDECREF(taken.runs);
        return PyErr_NoMemory();
    }
    /* What is no datagram counts too: a flood of them must not hold the loop. */
    while (error == 0 && taken.lost == 0 && taken.count + taken.empty + taken.cut < limit) {
        Py_ssize_t left = limit - taken.count - taken.empty - taken.cut;
        int count;

        Py_BEGIN_ALLOW_THREADS
        count = receive(fd, slots, &arrivals, (int)Py_MIN(left, most), (size_t)numbers[1], numbers[2] != 0, &error);
        Py_END_ALLOW_THREADS
        take(state, &taken, slots, &arrivals, count, numbers[2] != 0);
    }
    give_slots_back(state, slots);
    if (taken.lost > 0)
        error = ENOMEM;
    return Py_BuildValue("Ninnn", taken.runs, error, taken.empty, taken.cut, taken.lost);
}

PyMethodDef recv_datagrams_functions[] = {
    {"recv_datagrams", (PyCFunction)(void (*)(void))recv_datagrams, METH_FASTCALL,
     PyDoc_STR("recv_datagrams($module, sock, limit, size, addressed, gro, /)\n--\n\n"
               "Receive datagrams until *limit* is reached; a train that begins below it is taken whole. Does not wait.\n\n"
               "Returns runs of them, the errno that ended it or 0, and how many were empty, cut off and lost.")},
    {NULL},
};

#endif
