/*
 * flows: the traffic source with many flows, to one tun or to many.
 *
 *     flows ADDRESS PAYLOAD SEGMENTS FLOWS RATE [NETWORKS]
 *
 * Like flood, with FLOWS sockets taken in turn, one message each, and no more than RATE packets a second; 0 is as fast as
 * it can. With NETWORKS the sockets are spread over as many /24 networks, from that of ADDRESS on. Every datagram begins
 * with its number within its flow, 8 bytes in this machine's order. Goes on until killed.
 */
#include "source.h"

#define MOST_FLOWS 1024

int main(int argc, char **argv)
{
    static char buffer[LARGEST];
    static int sockets[MOST_FLOWS];
    static uint64_t numbers[MOST_FLOWS];
    struct timespec pause = {.tv_nsec = 50000};
    double packets = 0;

    if (argc < 6 || argc > 7) {
        fprintf(stderr, "usage: flows ADDRESS PAYLOAD SEGMENTS FLOWS RATE [NETWORKS]\n");
        return 2;
    }
    int payload = atoi(argv[2]), segments = atoi(argv[3]), flows = atoi(argv[4]), networks = argc == 7 ? atoi(argv[6]) : 1;
    double rate = atof(argv[5]);
    if (payload < 8 || segments < 1 || segments > 64 || payload * segments > LARGEST || flows < 1 || flows > MOST_FLOWS ||
        networks < 1) {
        fprintf(stderr, "flows: PAYLOAD is 8 or more, PAYLOAD x SEGMENTS %d at most, SEGMENTS 1 to 64, FLOWS 1 to %d\n",
                LARGEST, MOST_FLOWS);
        return 2;
    }
    for (int i = 0; i < flows; i++)
        sockets[i] = open_socket(argv[1], (unsigned)(i % networks), payload, segments);

    double start = now();
    for (int flow = 0;; flow = (flow + 1) % flows) {
        for (int i = 0; i < segments; i++) {
            memcpy(buffer + i * payload, &numbers[flow], sizeof numbers[flow]);
            numbers[flow]++;
        }
        if (send(sockets[flow], buffer, (size_t)(payload * segments), 0) >= 0)
            packets += segments;
        else if (!passing())
            fail("send");
        while (rate > 0 && packets > (now() - start) * rate)
            nanosleep(&pause, NULL);
    }
}
