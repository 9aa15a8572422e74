/*
 * pingpong: how long a UDP datagram and its answer take.
 *
 *     pingpong serve                          answers every datagram at port 7, until killed; says "ready" first
 *     pingpong ADDRESS PAYLOAD WARM_UP SECONDS
 *
 * One datagram in flight; after WARM_UP seconds it measures for SECONDS, and prints one JSON line: quantiles in
 * microseconds, how many came back, and how many did not within 200 ms.
 */
#include "source.h"

#define PORT 7
#define MOST 1000000

static int by_size(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static void serve(void)
{
    static char buffer[LARGEST];
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    socklen_t length = sizeof peer;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        fail("bind");
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t size = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
        if (size >= 0)
            sendto(fd, buffer, (size_t)size, 0, (struct sockaddr *)&peer, length);
    }
}

/* One round trip in seconds, or less than 0 for one that did not come back. An older answer is passed over. */
static double once(int fd, char *buffer, size_t size)
{
    static uint64_t number;
    uint64_t answer = 0;
    double start = now();

    number++;
    memcpy(buffer, &number, sizeof number);
    if (send(fd, buffer, size, 0) < 0)
        fail("send");
    while (answer != number) {
        if (recv(fd, buffer, size, 0) < 0) {
            if (errno == EAGAIN)
                return -1;
            fail("recv");
        }
        memcpy(&answer, buffer, sizeof answer);
    }
    return now() - start;
}

int main(int argc, char **argv)
{
    static char buffer[LARGEST];
    static double times[MOST];
    struct timeval patience = {.tv_usec = 200000};
    int count = 0, lost = 0;

    if (argc == 2 && !strcmp(argv[1], "serve"))
        serve();
    if (argc != 5 || atoi(argv[2]) < 8 || atoi(argv[2]) > LARGEST) {
        fprintf(stderr, "usage: pingpong serve | pingpong ADDRESS PAYLOAD WARM_UP SECONDS, PAYLOAD 8 or more\n");
        return 2;
    }
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        fail(argv[1]);

    double start = now() + atof(argv[3]), end = start + atof(argv[4]);
    while (now() < start)
        once(fd, buffer, (size_t)atoi(argv[2]));
    while (now() < end && count < MOST) {
        double took = once(fd, buffer, (size_t)atoi(argv[2]));
        if (took < 0)
            lost++;
        else
            times[count++] = took * 1e6;
    }
    if (!count) {
        fprintf(stderr, "pingpong: no answer\n");
        return 1;
    }
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf("{\"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"worst\": %.2f, \"samples\": %d, \"lost\": %d}\n",
           times[count / 2], times[(long long)count * 90 / 100], times[(long long)count * 99 / 100], times[count - 1],
           count, lost);
    return 0;
}
