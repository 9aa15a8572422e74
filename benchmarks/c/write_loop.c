/*
 * write_loop: the C reference for writing to a tun.
 *
 *     write_loop NAMESPACE/NAME PAYLOAD WARM_UP SECONDS
 *
 * Attaches to the tun NAME (IFF_NO_PI, non-blocking), says "ready", and writes one UDP datagram of PAYLOAD bytes again
 * and again, 64 writes between two looks at the clock. Counts
 * packets and bytes for SECONDS after WARM_UP seconds, and prints them as one JSON line with the wall, user and system
 * time of that interval. A tun takes whatever it is given: nothing here polls.
 */
#include "tun.h"

#include <arpa/inet.h>

static long long packets, bytes;
static unsigned char packet[PACKET];
static size_t size;

/* The packet of senders.py: IPv4 10.9.0.2 to 10.9.0.1, UDP 9 to 9, no UDP checksum. */
static void build(size_t payload)
{
    static const unsigned char header[28] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1,
                                             0,    9, 0, 9};
    unsigned sum = 0;

    size = sizeof header + payload;
    memcpy(packet, header, sizeof header);
    packet[2] = (unsigned char)(size >> 8), packet[3] = (unsigned char)size;
    packet[24] = (unsigned char)((payload + 8) >> 8), packet[25] = (unsigned char)(payload + 8);
    for (int i = 0; i < 20; i += 2)
        sum += (unsigned)packet[i] << 8 | packet[i + 1];
    sum = (sum >> 16) + (sum & 0xffff);
    sum = ~((sum >> 16) + sum);
    packet[10] = (unsigned char)(sum >> 8), packet[11] = (unsigned char)sum;
}

static void write_until(int fd, double end)
{
    while (now() < end)
        for (int i = 0; i < BATCH; i++) {
            if (write(fd, packet, size) != (ssize_t)size)
                fail("write");
            packets++;
            bytes += (long long)size;
        }
}

int main(int argc, char **argv)
{
    if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > 1472) {
        fprintf(stderr, "usage: write_loop NAMESPACE/NAME PAYLOAD WARM_UP SECONDS, PAYLOAD 1 to 1472\n");
        return 2;
    }
    int fd = attach(argv[1]);
    build((size_t)atoi(argv[2]));
    ready();
    write_until(fd, now() + atof(argv[3]));

    packets = bytes = 0;
    struct usage start = used();
    write_until(fd, start.wall + atof(argv[4]));
    report(packets, bytes, start, used());
    return 0;
}
