/*
 * What the batches of datagrams share: addresses, what one system call receives, and control messages. Linux only.
 *
 * What is received lands in slots, a message each. A slot is a little longer than a datagram may be, or the first lines
 * of all slots would meet in the same sets of the cache.
 */
#ifndef AIOTUN_DATAGRAMS_H
#define AIOTUN_DATAGRAMS_H

#define _GNU_SOURCE /* recvmmsg(), sendmmsg(), struct in6_pktinfo */
#include "speedups.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT /* Linux include/uapi/linux/udp.h */
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

#define MESSAGES 64    /* of one system call */
#define GRO_MESSAGES 4 /* where each may be a buffer of 64 datagrams */
#define SIZE 65536     /* room of a message, at most */
#define SLOT (SIZE + 1536)
#define CONTROL 128    /* bytes of control messages that are received with one */
#define SEGMENTS 64    /* datagrams of one message: UDP_MAX_SEGMENTS of kernels before 6.9 */
#define TRAIN 65507    /* bytes of one message, at most, as IPv4 has it */
#define HOST (INET6_ADDRSTRLEN + 12)

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

/* Read the arguments' numbers, or return -1 with an exception. */
int as_numbers(PyObject *const *args, Py_ssize_t count, Py_ssize_t numbers[]);

/* Find the socket's descriptor, or return -1 with an exception; a closed one's is for the system call to refuse. */
int as_socket(PyObject *sock, int *fd);

/* --- addresses: addresses.c -------------------------------------------------------------------------------- */

/* Write the text of an IPv6 address, of a mapped one as IPv4; *scope* is an interface's index or 0. */
void write_host(const struct in6_addr *address, unsigned scope, char host[HOST]);

/* Return (host, port). */
PyObject *address_object(const Address *address);

/* Read a numeric host as IPv6, IPv4 as mapped; return 0 if it is none. */
int read_host(PyObject *text, struct in6_addr *address, unsigned *scope);

/* Read (host, port) as an address of the socket's family; -1 with an exception. */
int read_address(PyObject *object, int family, Address *address, socklen_t *size);

/* --- what is received: recv_datagrams.c -------------------------------------------------------------------- */

typedef struct {
    struct mmsghdr headers[MESSAGES];
    struct iovec rooms[MESSAGES];
    Address sources[MESSAGES];
    _Alignas(struct cmsghdr) unsigned char control[MESSAGES][CONTROL];
} Arrivals;

/* The room for one call's messages; a call in another thread makes some for itself. NULL if there is no memory. */
unsigned char *take_slots(State *state);
void give_slots_back(State *state, unsigned char *slots);

/* Receive up to *count* messages with *size* bytes of room each; return how many, and in *error* why not more. */
int receive(int fd, unsigned char *slots, Arrivals *arrivals, int count, size_t size, int addressed, int *error);

/* Find the size that the datagrams of a message have, 0 if it is one, and where they were sent to. In any order. */
size_t read_control(struct msghdr *message, struct in6_addr *local, unsigned *scope);

/* --- what is sent: send_datagrams.c ------------------------------------------------------------------------ */

/* Add a control message, and return where its *size* bytes go. */
void *append_control(struct msghdr *message, unsigned char *control, int level, int type, size_t size);

/* Send messages; return how many went, and in *error* what ended it, or 0. */
int send_messages(int fd, struct mmsghdr *headers, int count, int *error);

#endif
