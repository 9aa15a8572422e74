/*
 * passthrough: the C reference for forwarding super-packets whole.
 *
 *     passthrough NAMESPACE/NAME NAMESPACE/NAME
 *
 * Both tuns have a virtio_net_hdr and every offload. Polls both and moves up to 64 packets a poll from each to the other,
 * the header untouched: what one stack left undone, the other finishes or never needs. Nothing is less work than this.
 */
#include "tun.h"

static void move(int from, int to)
{
    static char buffer[VNET + PACKET];
    ssize_t size;

    for (int i = 0; i < BATCH && (size = read_one(from, buffer, sizeof buffer)); i++)
        if (write(to, buffer, (size_t)size) < 0 && errno != EINVAL && errno != EIO)
            fail("write");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: passthrough NAMESPACE/NAME NAMESPACE/NAME\n");
        return 2;
    }
    int one = attach_vnet(argv[1], OFFLOADS), two = attach_vnet(argv[2], OFFLOADS);
    between(one, two, move);
}
