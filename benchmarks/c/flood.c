/*
 * flood: the traffic source of the benchmarks.
 *
 *     flood ADDRESS PAYLOAD SECONDS [SEGMENTS]
 *
 * Sends UDP datagrams of PAYLOAD bytes to ADDRESS, port 9, as fast as one CPU can for SECONDS: 64 messages a
 * sendmmsg(), blocking socket, no pacing. Run it inside the namespace whose tun owns the route to ADDRESS. The tun
 * drops what its reader does not fetch in time.
 *
 * SEGMENTS > 1 makes every message carry that many datagrams through UDP_SEGMENT: the stack builds one super-packet and
 * cuts it up just before the tun (which has no offload here), so the source costs less per packet than any reader.
 *
 * Prints one JSON line: packets handed to the stack, and the seconds that took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "source.h"

#define MESSAGES 64

int main(int argc, char **argv)
{
    static char buffer[LARGEST];
    struct mmsghdr messages[MESSAGES];
    struct iovec vector = {.iov_base = buffer};
    long long packets = 0;

    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: flood ADDRESS PAYLOAD SECONDS [SEGMENTS]\n");
        return 2;
    }
    int payload = atoi(argv[2]), segments = argc == 5 ? atoi(argv[4]) : 1;
    double seconds = atof(argv[3]);
    if (payload < 1 || segments < 1 || segments > 64 || payload * segments > LARGEST) {
        fprintf(stderr, "flood: PAYLOAD x SEGMENTS must be 1 to %d bytes, SEGMENTS 1 to 64\n", LARGEST);
        return 2;
    }
    vector.iov_len = (size_t)(payload * segments);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < MESSAGES; i++) {
        messages[i].msg_hdr.msg_iov = &vector;
        messages[i].msg_hdr.msg_iovlen = 1;
    }

    int fd = open_socket(argv[1], payload, segments);
    double start = now(), end = start + seconds;
    while (now() < end) {
        int sent = sendmmsg(fd, messages, MESSAGES, 0);
        if (sent > 0)
            packets += (long long)sent * segments;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
            fail("sendmmsg");
    }
    printf("{\"packets\": %lld, \"seconds\": %.6f}\n", packets, now() - start);
    return 0;
}
