/* Addresses of datagrams, and the arguments of what takes them. The twins are in aiotun/channel/udp_address.py. */
#ifdef __linux__

#include "datagrams.h"

#include <arpa/inet.h>
#include <stdlib.h>

int as_numbers(PyObject *const *args, Py_ssize_t count, Py_ssize_t numbers[])
{
    for (Py_ssize_t i = 0; i < count; i++) {
        numbers[i] = PyNumber_AsSsize_t(args[i], PyExc_OverflowError);
        if (numbers[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

int as_socket(PyObject *sock, int *fd)
{
    *fd = PyObject_AsFileDescriptor(sock);
    if (*fd >= 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Clear();
    return 0;
}

void write_host(const struct in6_addr *address, unsigned scope, char host[HOST])
{
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        inet_ntop(AF_INET, &address->s6_addr[12], host, HOST);
        return;
    }
    inet_ntop(AF_INET6, address, host, HOST);
    if (scope != 0)
        PyOS_snprintf(host + strlen(host), HOST - strlen(host), "%%%u", scope);
}

PyObject *address_object(const Address *address)
{
    char host[HOST] = "";

    if (address->any.sa_family == AF_INET6)
        write_host(&address->v6.sin6_addr, address->v6.sin6_scope_id, host);
    else
        inet_ntop(AF_INET, &address->v4.sin_addr, host, HOST);
    return Py_BuildValue("si", host, (int)ntohs(address->v4.sin_port)); /* where IPv6 has its port, too */
}

int read_host(PyObject *text, struct in6_addr *address, unsigned *scope)
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

int read_address(PyObject *object, int family, Address *address, socklen_t *size)
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

#endif
