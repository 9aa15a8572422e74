/*
 * merge: what c/resegment merges, to be compared with what aiotun.offload does.
 *
 *     merge < PACKETS > TRAINS
 *
 * Reads packets, each behind its size in 2 bytes, as one batch; writes what resegment would write to a tun, each behind
 * its size in 4 bytes and its virtio_net_hdr. All numbers in this machine's order.
 */
#include "tun.h"

#include "trains.h"

int main(void)
{
    uint16_t size;

    while (fread(&size, sizeof size, 1, stdin) == 1)
        if (packet_count == MOST_PACKETS || used + size > ROOM || fread(keep(size)->at, 1, size, stdin) != size) {
            fprintf(stderr, "merge: too many packets, or one is cut short\n");
            return 1;
        }
    merge();
    for (int i = 0; i < train_count; i++) {
        struct virtio_net_hdr vnet = {0};
        if (trains[i].count > 1)
            vnet = describe(&trains[i]);
        fwrite(&trains[i].size, sizeof trains[i].size, 1, stdout);
        fwrite(&vnet, VNET, 1, stdout);
        for (int number = trains[i].first; number != NONE; number = packets[number].next) {
            size_t skip = number == trains[i].first ? 0 : trains[i].header;
            fwrite(packets[number].at + skip, 1, packets[number].size - skip, stdout);
        }
    }
    return 0;
}
