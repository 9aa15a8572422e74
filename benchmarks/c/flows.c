/*
 * flows: the traffic source of queues.py.
 *
 *     flows ADDRESS PAYLOAD SECONDS SEGMENTS FLOWS RATE
 *
 * Like flood, with FLOWS sockets taken in turn, so that a multi-queue tun has something to spread, and no more than RATE
 * packets a second; 0 is as fast as it can. Every datagram begins with its number within its flow, 8 bytes in this
 * machine's order.
 *
 * Prints one JSON line: packets handed to the stack, and the seconds that took.
 */
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

#include "source.h"

#define MOST_FLOWS 1024

int main(int argc, char **argv)
{
    static char buffer[LARGEST];
    static int sockets[MOST_FLOWS];
    static uint64_t numbers[MOST_FLOWS];
    long long packets = 0;

    if (argc != 7) {
        fprintf(stderr, "usage: flows ADDRESS PAYLOAD SECONDS SEGMENTS FLOWS RATE\n");
        return 2;
    }
    int payload = atoi(argv[2]), segments = atoi(argv[4]), flows = atoi(argv[5]);
    double seconds = atof(argv[3]), rate = atof(argv[6]);
    struct timespec pause = {.tv_nsec = 50000};
    if (payload < 8 || segments < 1 || segments > 64 || payload * segments > LARGEST || flows < 1 || flows > MOST_FLOWS) {
        fprintf(stderr, "flows: PAYLOAD is 8 or more, PAYLOAD x SEGMENTS %d at most, SEGMENTS 1 to 64, FLOWS 1 to %d\n",
                LARGEST, MOST_FLOWS);
        return 2;
    }
    for (int i = 0; i < flows; i++)
        sockets[i] = open_socket(argv[1], payload, segments);

    double start = now(), end = start + seconds;
    for (unsigned flow = 0; now() < end; flow = (flow + 1) % (unsigned)flows) {
        for (int i = 0; i < segments; i++) {
            memcpy(buffer + i * payload, &numbers[flow], sizeof numbers[flow]);
            numbers[flow]++;
        }
        if (send(sockets[flow], buffer, (size_t)(payload * segments), 0) >= 0)
            packets += segments;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
            fail("send");
        while (rate > 0 && (double)packets > (now() - start) * rate)
            nanosleep(&pause, NULL);
    }
    printf("{\"packets\": %lld, \"seconds\": %.6f}\n", packets, now() - start);
    return 0;
}
