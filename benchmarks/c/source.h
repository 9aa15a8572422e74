/* What the sources of packets share: time, failing, and a connected UDP socket that may send several datagrams a message. */
#ifndef SOURCE_H
#define SOURCE_H

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define LARGEST 65000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int open_socket(const char *address, int payload, int segments)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0)
        fail("socket");
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1 || connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        fail("connect");
    if (segments > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &payload, sizeof payload) < 0)
        fail("UDP_SEGMENT");
    return fd;
}

#endif
