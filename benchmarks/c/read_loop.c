/*
 * read_loop: the C reference for reading a tun.
 *
 *     read_loop NAMESPACE/NAME WARM_UP SECONDS
 *
 * Attaches to the tun NAME (IFF_NO_PI, non-blocking), says "ready", polls, and drains up to 64 packets a poll, as a
 * competent C program would. Counts packets and bytes for SECONDS after WARM_UP seconds, and prints them as one JSON
 * line with the wall, user and system time of that interval. Nothing is done with a packet: this is the floor any
 * reader stands on.
 */
#include "tun.h"

#include <errno.h>
#include <poll.h>

static long long packets, bytes;

/* Read up to BATCH packets; the kernel says EAGAIN when the queue is empty. */
static void drain(int fd)
{
    static char buffer[PACKET];

    for (int i = 0; i < BATCH; i++) {
        ssize_t size = read(fd, buffer, sizeof buffer);
        if (size < 0) {
            if (errno == EAGAIN)
                return;
            fail("read");
        }
        packets++;
        bytes += size;
    }
}

static void read_until(int fd, double end)
{
    struct pollfd waiter = {.fd = fd, .events = POLLIN};

    while (now() < end) {
        int ready = poll(&waiter, 1, 100);
        if (ready < 0 && errno != EINTR)
            fail("poll");
        if (ready > 0)
            drain(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: read_loop NAMESPACE/NAME WARM_UP SECONDS\n");
        return 2;
    }
    int fd = attach(argv[1]);
    ready();
    read_until(fd, now() + atof(argv[2]));

    packets = bytes = 0;
    struct usage start = used();
    read_until(fd, start.wall + atof(argv[3]));
    report(packets, bytes, start, used());
    return 0;
}
