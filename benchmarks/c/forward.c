/*
 * forward: the C reference for forwarding between two tuns without offload.
 *
 *     forward NAMESPACE/NAME NAMESPACE/NAME
 *
 * Polls both tuns and moves up to 64 packets a poll from each to the other: one read() and one write() a packet, one
 * buffer. Says "ready" first, and goes on until killed.
 */
#include "tun.h"

/* What the other side refuses is lost, as on any wire. */
static void move(int from, int to)
{
    static char buffer[PACKET];
    ssize_t size;

    for (int i = 0; i < BATCH && (size = read_one(from, buffer, sizeof buffer)); i++)
        if (write(to, buffer, (size_t)size) < 0 && errno != EINVAL && errno != EIO)
            fail("write");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: forward NAMESPACE/NAME NAMESPACE/NAME\n");
        return 2;
    }
    int one = attach(argv[1]), two = attach(argv[2]);
    between(one, two, move);
}
