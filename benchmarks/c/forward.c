/*
 * forward: the C reference for forwarding between two tuns.
 *
 *     forward NAMESPACE/NAME NAMESPACE/NAME WARM_UP SECONDS
 *
 * Attaches to both tuns, says "ready", polls both, and moves up to 64 packets a poll from each to the other: one
 * read() and one write() a packet, one buffer, no offload. After WARM_UP seconds it counts for SECONDS, prints packets
 * and bytes of both directions with the wall, user and system time of that interval as one JSON line, and goes on
 * forwarding until killed.
 */
#include "tun.h"

#include <errno.h>
#include <math.h>
#include <poll.h>

static long long packets, bytes;

/* Move up to BATCH packets; what the other side refuses is lost, as on any wire. */
static void move(int from, int to)
{
    static char buffer[PACKET];

    for (int i = 0; i < BATCH; i++) {
        ssize_t size = read(from, buffer, sizeof buffer);
        if (size < 0) {
            if (errno == EAGAIN)
                return;
            fail("read");
        }
        if (write(to, buffer, (size_t)size) == size) {
            packets++;
            bytes += size;
        }
    }
}

static void forward_until(int one, int two, double end)
{
    struct pollfd waiters[] = {{.fd = one, .events = POLLIN}, {.fd = two, .events = POLLIN}};

    while (now() < end) {
        if (poll(waiters, 2, 100) < 0 && errno != EINTR)
            fail("poll");
        if (waiters[0].revents)
            move(one, two);
        if (waiters[1].revents)
            move(two, one);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: forward NAMESPACE/NAME NAMESPACE/NAME WARM_UP SECONDS\n");
        return 2;
    }
    int one = attach(argv[1]), two = attach(argv[2]);
    ready();
    forward_until(one, two, now() + atof(argv[3]));

    packets = bytes = 0;
    struct usage start = used();
    forward_until(one, two, start.wall + atof(argv[4]));
    report(packets, bytes, start, used());
    forward_until(one, two, INFINITY);
    return 0;
}
