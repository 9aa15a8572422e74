/*
 * Batches of datagrams: recvmmsg() and sendmmsg(). The twins are in aiotun/channel/udp_datagrams.py.
 *
 * What is received lands in an arena, a message a slot, and becomes bytes of exactly its size; what is sent is not
 * copied: the kernel reads it out of the bytes objects themselves. A slot is a little longer than a datagram may be, or
 * the first lines of all slots would meet in the same sets of the cache.
 */
#define _GNU_SOURCE /* recvmmsg(), sendmmsg(), struct in6_pktinfo */
#include "speedups.h"

#ifdef __linux__

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT /* Linux include/uapi/linux/udp.h */
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

#define MESSAGES 64   /* of one system call */
#define GRO_MESSAGES 4 /* where each may be a buffer of 64 datagrams */
#define SIZE 65536    /* room of a message, at most */
#define SLOT (SIZE + 1536)
#define CONTROL 128   /* bytes of control messages that are received with one */
#define DATAGRAMS 512 /* of one system call */
#define SEGMENTS 64   /* of one message: UDP_MAX_SEGMENTS of kernels before 6.9 */
#define TRAIN 65507   /* bytes of one message, at most, as IPv4 has it */
#define HOST (INET6_ADDRSTRLEN + 12)

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

/* Read the arguments' numbers, or return -1 with an exception. */
static int as_numbers(PyObject *const *args, Py_ssize_t count, Py_ssize_t numbers[])
{
    for (Py_ssize_t i = 0; i < count; i++) {
        numbers[i] = PyNumber_AsSsize_t(args[i], PyExc_OverflowError);
        if (numbers[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* Find the socket's descriptor, or return -1 with an exception; a closed one's is for the system call to refuse. */
static int as_socket(PyObject *sock, int *fd)
{
    *fd = PyObject_AsFileDescriptor(sock);
    if (*fd >= 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Clear();
    return 0;
}

/* --- addresses --------------------------------------------------------------------------------------------- */

/* Write the text of an IPv6 address, of a mapped one as IPv4; *scope* is an interface's index or 0. */
static void write_host(const struct in6_addr *address, unsigned scope, char host[HOST])
{
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        inet_ntop(AF_INET, &address->s6_addr[12], host, HOST);
        return;
    }
    inet_ntop(AF_INET6, address, host, HOST);
    if (scope != 0)
        PyOS_snprintf(host + strlen(host), HOST - strlen(host), "%%%u", scope);
}

/* Return (host, port). */
static PyObject *address_object(const Address *address)
{
    char host[HOST] = "";

    if (address->any.sa_family == AF_INET6)
        write_host(&address->v6.sin6_addr, address->v6.sin6_scope_id, host);
    else
        inet_ntop(AF_INET, &address->v4.sin_addr, host, HOST);
    return Py_BuildValue("si", host, (int)ntohs(address->v4.sin_port)); /* where IPv6 has its port, too */
}

/* Read a numeric host as IPv6, IPv4 as mapped; return 0 if it is none. */
static int read_host(PyObject *text, struct in6_addr *address, unsigned *scope)
{
    char host[HOST];
    const char *whole = PyUnicode_Check(text) ? PyUnicode_AsUTF8(text) : NULL, *mark;
    size_t size;

    PyErr_Clear(); /* a lone surrogate: no host either */
    *scope = 0;
    if (whole == NULL)
        return 0;
    mark = strchr(whole, '%');
    size = mark != NULL ? (size_t)(mark - whole) : strlen(whole);
    if (size >= sizeof host)
        return 0;
    memcpy(host, whole, size);
    host[size] = '\0';
    if (mark == NULL) {
        static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
        memcpy(address, mapped, sizeof mapped);
        if (inet_pton(AF_INET, host, &address->s6_addr[12]) == 1)
            return 1;
    } else {
        char *end;
        unsigned long index = strtoul(mark + 1, &end, 10);
        *scope = *end == '\0' && end != mark + 1 && index <= UINT32_MAX ? (unsigned)index : if_nametoindex(mark + 1);
        if (*scope == 0)
            return 0;
    }
    return inet_pton(AF_INET6, host, address) == 1;
}

/* Read (host, port) as an address of the socket's family; -1 with an exception. */
static int read_address(PyObject *object, int family, Address *address, socklen_t *size)
{
    struct in6_addr host;
    unsigned scope;
    long port = -1;

    if (PyTuple_Check(object) && PyTuple_GET_SIZE(object) == 2 && PyLong_Check(PyTuple_GET_ITEM(object, 1)))
        port = PyLong_AsLong(PyTuple_GET_ITEM(object, 1));
    PyErr_Clear(); /* of an int beyond C's */
    if (port < 0 || port > 65535 || !read_host(PyTuple_GET_ITEM(object, 0), &host, &scope)
        || (family == AF_INET && !IN6_IS_ADDR_V4MAPPED(&host))) {
        PyErr_Format(PyExc_ValueError, "%R is no (host, port) that this socket can send to", object);
        return -1;
    }
    memset(address, 0, sizeof *address);
    if (family == AF_INET) {
        address->v4.sin_family = AF_INET;
        memcpy(&address->v4.sin_addr, &host.s6_addr[12], 4);
        *size = sizeof address->v4;
    } else {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_addr = host;
        address->v6.sin6_scope_id = scope;
        *size = sizeof address->v6;
    }
    address->v4.sin_port = htons((uint16_t)port);
    return 0;
}

/* --- recv_datagrams ---------------------------------------------------------------------------------------- */

typedef struct {
    struct mmsghdr headers[MESSAGES];
    struct iovec rooms[MESSAGES];
    Address sources[MESSAGES];
    _Alignas(struct cmsghdr) unsigned char control[MESSAGES][CONTROL];
} Arrivals;

/* What the runs are made of, and what became of the rest. */
typedef struct {
    PyObject *runs, *last; /* last: the list of the last run's datagrams, borrowed from it */
    Address source;        /* of the last run */
    struct in6_addr local;
    unsigned scope;
    Py_ssize_t count, empty, cut, lost;
} Taken;

/* Receive up to *count* messages with *size* bytes of room each; return how many, and in *error* why not more. */
static int receive(int fd, unsigned char *arena, Arrivals *arrivals, int count, size_t size, int addressed, int *error)
{
    int got;

    for (int i = 0; i < count; i++) {
        arrivals->rooms[i] = (struct iovec){.iov_base = arena + (size_t)i * SLOT, .iov_len = size};
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

/* Find the size that the datagrams of a message have, 0 if it is one, and where they were sent to. In any order. */
static size_t read_control(struct msghdr *message, struct in6_addr *local, unsigned *scope)
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
static void take(State *state, Taken *taken, const unsigned char *arena, Arrivals *arrivals, int count, int addressed)
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
            append_datagrams(state, taken, arena + (size_t)i * SLOT, size, segment);
    }
    PyErr_Clear(); /* it is in the count */
}

/* The arena of recv_datagrams(), taken for one call; a call in another thread makes one for itself. */
static unsigned char *take_slots(State *state)
{
    unsigned char *slots = NULL;

#ifndef Py_GIL_DISABLED
    slots = state->slots;
    state->slots = NULL;
#endif
    (void)state;
    return slots != NULL ? slots : PyMem_RawMalloc((size_t)MESSAGES * SLOT);
}

static void give_slots_back(State *state, unsigned char *slots)
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

/* --- send_datagrams ---------------------------------------------------------------------------------------- */

/* What goes out in one system call. */
typedef struct {
    struct mmsghdr headers[MESSAGES];
    struct iovec parts[DATAGRAMS];
    PyObject *held[DATAGRAMS]; /* the bytes of each part */
    Address to[MESSAGES];
    _Alignas(struct cmsghdr) unsigned char control[MESSAGES][CMSG_SPACE(2) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    int messages, datagrams;
} Departures;

static void *append_control(struct msghdr *message, unsigned char *control, int level, int type, size_t size)
{
    struct cmsghdr *one = (struct cmsghdr *)(control + message->msg_controllen);

    message->msg_control = control;
    message->msg_controllen += CMSG_SPACE(size);
    memset(one, 0, CMSG_SPACE(size)); /* padding too */
    one->cmsg_level = level;
    one->cmsg_type = type;
    one->cmsg_len = CMSG_LEN(size);
    return CMSG_DATA(one);
}

/* Say which of our addresses a message is to come from; -1 with an exception. */
static int append_source(struct msghdr *message, unsigned char *control, int family, PyObject *source)
{
    struct in6_addr host;
    unsigned scope;

    if (!read_host(source, &host, &scope) || (family == AF_INET && !IN6_IS_ADDR_V4MAPPED(&host))) {
        PyErr_Format(PyExc_ValueError, "%R is no address that this socket can send from", source);
        return -1;
    }
    if (family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, &host.s6_addr[12], 4);
        memcpy(append_control(message, control, IPPROTO_IP, IP_PKTINFO, sizeof info), &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_addr = host, .ipi6_ifindex = scope};
        memcpy(append_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info), &info, sizeof info);
    }
    return 0;
}

/* Return the bytes of a datagram of the batch, -1 with an exception if it is none. */
static Py_ssize_t size_at(PyObject *batch, Py_ssize_t at)
{
    PyObject *datagram = PySequence_Fast_GET_ITEM(batch, at);

    if (PyBytes_Check(datagram))
        return PyBytes_GET_SIZE(datagram);
    PyErr_Format(PyExc_TypeError, "a datagram is bytes, not %.100s", Py_TYPE(datagram)->tp_name);
    return -1;
}

/* Return how many datagrams from *start* on are of one size, the last of them maybe shorter; at least 1. */
static int train_at(PyObject *batch, Py_ssize_t start, Py_ssize_t size, Py_ssize_t segment, int room)
{
    Py_ssize_t total = size, most = Py_MIN(PySequence_Fast_GET_SIZE(batch) - start, Py_MIN(room, SEGMENTS));
    int count = 1;

    if (size == 0 || size > segment)
        return 1;
    while (count < most) {
        PyObject *next = PySequence_Fast_GET_ITEM(batch, start + count);
        Py_ssize_t length = PyBytes_Check(next) ? PyBytes_GET_SIZE(next) : 0;
        if (length == 0 || length > size || total + length > TRAIN)
            break;
        total += length;
        count++;
        if (length < size)
            break;
    }
    return count;
}

/* Return a socket's family; what is none is for the system call to refuse. */
static int family_of(int fd)
{
    int family = AF_INET;
    socklen_t size = sizeof family;

    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    return family;
}

/* Add messages for the datagrams of a run from *start* on, while there is room; return how many, -1 with an exception. */
static Py_ssize_t add_run(Departures *out, PyObject *run, PyObject *batch, Py_ssize_t start, int fd,
                          Py_ssize_t segment)
{
    int family = AF_UNSPEC;
    Py_ssize_t at = start, count = PySequence_Fast_GET_SIZE(batch);
    Address to;
    socklen_t to_size = 0;

    if (PyTuple_GET_ITEM(run, 0) != Py_None || PyTuple_GET_ITEM(run, 1) != Py_None)
        family = family_of(fd);
    if (PyTuple_GET_ITEM(run, 0) != Py_None && read_address(PyTuple_GET_ITEM(run, 0), family, &to, &to_size) < 0)
        return -1;
    while (at < count && out->messages < MESSAGES && out->datagrams < DATAGRAMS) {
        struct msghdr *message = &out->headers[out->messages].msg_hdr;
        unsigned char *control = out->control[out->messages];
        Py_ssize_t size = size_at(batch, at);
        int train;

        *message = (struct msghdr){.msg_iov = &out->parts[out->datagrams]};
        if (size < 0 || (PyTuple_GET_ITEM(run, 1) != Py_None
                         && append_source(message, control, family, PyTuple_GET_ITEM(run, 1)) < 0)) {
            if (at == start)
                return -1;
            PyErr_Clear(); /* those before it go first */
            break;
        }
        if (to_size != 0) {
            out->to[out->messages] = to;
            message->msg_name = &out->to[out->messages];
            message->msg_namelen = to_size;
        }
        train = train_at(batch, at, size, segment, DATAGRAMS - out->datagrams);
        if (train > 1) {
            uint16_t value = (uint16_t)size;
            memcpy(append_control(message, control, IPPROTO_UDP, UDP_SEGMENT, sizeof value), &value, sizeof value);
        }
        message->msg_iovlen = (size_t)train;
        for (int i = 0; i < train; i++, at++) {
            PyObject *datagram = Py_NewRef(PySequence_Fast_GET_ITEM(batch, at));
            out->held[out->datagrams] = datagram;
            out->parts[out->datagrams++] =
                (struct iovec){.iov_base = PyBytes_AS_STRING(datagram), .iov_len = (size_t)PyBytes_GET_SIZE(datagram)};
        }
        out->messages++;
    }
    return at - start;
}

/* Send the messages; return how many datagrams went, and in *refused* those of the message that *error* is about. */
static Py_ssize_t push(int fd, Departures *out, int *error, Py_ssize_t *refused)
{
    int done = 0;
    Py_ssize_t sent = 0;

    *error = 0;
    *refused = 0;
    while (done < out->messages) { /* the error that ends a call is told by the next one */
        int took = sendmmsg(fd, out->headers + done, (unsigned)(out->messages - done), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (took < 0) {
            *error = errno;
            *refused = (Py_ssize_t)out->headers[done].msg_hdr.msg_iovlen;
            break;
        }
        done += took;
    }
    for (int i = 0; i < done; i++)
        sent += (Py_ssize_t)out->headers[i].msg_hdr.msg_iovlen;
    return sent;
}

/* The runs, and how far they are sent. */
typedef struct {
    PyObject *runs;
    Py_ssize_t run, start;
} Place;

/* Fill *out* from the place on, and move that behind it; -1 with an exception if the first datagram is none. */
static int fill(Departures *out, Place *place, int fd, Py_ssize_t segment)
{
    out->messages = out->datagrams = 0;
    while (place->run < PySequence_Fast_GET_SIZE(place->runs) && out->messages < MESSAGES
           && out->datagrams < DATAGRAMS) {
        PyObject *run = PySequence_Fast_GET_ITEM(place->runs, place->run), *batch;
        Py_ssize_t added;

        if (!PyTuple_Check(run) || PyTuple_GET_SIZE(run) != 3) {
            PyErr_SetString(PyExc_TypeError, "a run is (address, source, datagrams)");
            return out->messages > 0 ? (PyErr_Clear(), 0) : -1;
        }
        Py_INCREF(run);
        batch = hold_batch(PyTuple_GET_ITEM(run, 2));
        added = batch != NULL ? add_run(out, run, batch, place->start, fd, segment) : -1;
        if (added >= 0 && place->start + added == PySequence_Fast_GET_SIZE(batch)) {
            place->run++;
            place->start = 0;
        } else if (added > 0)
            place->start += added;
        Py_XDECREF(batch);
        Py_DECREF(run);
        if (added < 0)
            return out->messages > 0 ? (PyErr_Clear(), 0) : -1;
        if (place->start > 0)
            break;
    }
    return 0;
}

static PyObject *send_datagrams(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Departures out;
    Place place = {0};
    Py_ssize_t segment, sent, done = 0, refused = 0;
    int fd, failed, error = 0;

    if (check_count("send_datagrams", given, 3) < 0 || as_socket(args[0], &fd) < 0
        || as_numbers(args + 2, 1, &segment) < 0 || (place.runs = hold_batch(args[1])) == NULL)
        return NULL;
    do {
        failed = fill(&out, &place, fd, segment);
        Py_BEGIN_ALLOW_THREADS
        sent = push(fd, &out, &error, &refused);
        Py_END_ALLOW_THREADS
        for (int i = 0; i < out.datagrams; i++)
            Py_DECREF(out.held[i]);
        done += sent;
    } while (failed == 0 && error == 0 && out.messages > 0);
    Py_DECREF(place.runs);
    if (failed < 0) {
        if (done == 0)
            return NULL;
        PyErr_Clear(); /* the next call begins with it */
    }
    return Py_BuildValue("nin", done, error, refused);
}

PyMethodDef datagrams_functions[] = {
    {"recv_datagrams", (PyCFunction)(void (*)(void))recv_datagrams, METH_FASTCALL,
     PyDoc_STR("recv_datagrams($module, sock, limit, size, addressed, gro, /)\n--\n\n"
               "Receive datagrams until *limit* is reached; a train that begins below it is taken whole. Does not wait.\n\n"
               "Returns runs of them, the errno that ended it or 0, and how many were empty, cut off and lost.")},
    {"send_datagrams", (PyCFunction)(void (*)(void))send_datagrams, METH_FASTCALL,
     PyDoc_STR("send_datagrams($module, sock, runs, segment, /)\n--\n\n"
               "Send runs of datagrams in order. Does not wait.\n\n"
               "Returns how many went, the errno that ended it or 0, and how many datagrams that refused at once.")},
    {NULL},
};

#else

PyMethodDef datagrams_functions[] = {{NULL}};

#endif
