/*
 * Batches of datagrams that are sent: sendmmsg(). The twin is in aiotun/channel/udp_datagrams.py.
 *
 * What is sent is not copied: the kernel reads it out of the bytes objects themselves.
 */
#ifdef __linux__

#include "datagrams.h"

#define DATAGRAMS 512 /* of one system call */

/* What goes out in one system call. */
typedef struct {
    struct mmsghdr headers[MESSAGES];
    struct iovec parts[DATAGRAMS];
    PyObject *held[DATAGRAMS]; /* the bytes of each part */
    Address to[MESSAGES];
    _Alignas(struct cmsghdr) unsigned char control[MESSAGES][CMSG_SPACE(2) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    int messages, datagrams;
} Departures;

void *append_control(struct msghdr *message, unsigned char *control, int level, int type, size_t size)
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

int send_messages(int fd, struct mmsghdr *headers, int count, int *error)
{
    int done = 0;

    *error = 0;
    while (done < count) { /* the error that ends a call is told by the next one */
        int took = sendmmsg(fd, headers + done, (unsigned)(count - done), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (took < 0) {
            *error = errno;
            break;
        }
        done += took;
    }
    return done;
}

/* Send the messages; return how many datagrams went, and in *refused* those of the message that *error* is about. */
static Py_ssize_t push(int fd, Departures *out, int *error, Py_ssize_t *refused)
{
    int done = send_messages(fd, out->headers, out->messages, error);
    Py_ssize_t sent = 0;

    *refused = *error != 0 ? (Py_ssize_t)out->headers[done].msg_hdr.msg_iovlen : 0;
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

PyMethodDef send_datagrams_functions[] = {
    {"send_datagrams", (PyCFunction)(void (*)(void))send_datagrams, METH_FASTCALL,
     PyDoc_STR("send_datagrams($module, sock, runs, segment, /)\n--\n\n"
               "Send runs of datagrams in order. Does not wait.\n\n"
               "Returns how many went, the errno that ended it or 0, and how many datagrams that refused at once.")},
    {NULL},
};

#endif
