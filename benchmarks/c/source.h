/* What the ends of the traffic share: time, failing, numbers in order, and a connected UDP socket. */
#ifndef SOURCE_H
#define SOURCE_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LARGEST 65000

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Whether a send failed in a way that a flood passes over: a full queue, or nobody there. */
static inline int passing(void)
{
    return errno == ENOBUFS || errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED;
}

/* Connect to port 9 of the *offset*-th /24 network after that of *address*; SEGMENTS > 1 are cut by the stack. */
static inline int open_socket(const char *address, unsigned offset, int payload, int segments)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail("socket");
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        fail(address);
    peer.sin_addr.s_addr = htonl(ntohl(peer.sin_addr.s_addr) + (offset << 8));
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        fail("connect");
    if (segments > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &payload, sizeof payload) < 0)
        fail("UDP_SEGMENT");
    return fd;
}

#endif
