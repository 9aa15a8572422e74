/*
 * write_loop: the C reference for writing to a tun.
 *
 *     write_loop NAMESPACE/NAME PAYLOAD
 *
 * Writes one UDP datagram of PAYLOAD bytes again and again, until killed. A tun takes whatever it is given: nothing here
 * polls. Says "ready" first.
 */
#include "tun.h"

static unsigned char packet[PACKET];

/* The packet of programs/writers.py: IPv4 10.9.0.2 to 10.9.0.1, UDP 9 to 9, no UDP checksum. */
static size_t build(size_t payload)
{
    static const unsigned char header[28] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1,
                                             0,    9, 0, 9};
    size_t size = sizeof header + payload;
    unsigned sum = 0;

    memcpy(packet, header, sizeof header);
    packet[2] = (unsigned char)(size >> 8), packet[3] = (unsigned char)size;
    packet[24] = (unsigned char)((payload + 8) >> 8), packet[25] = (unsigned char)(payload + 8);
    for (int i = 0; i < 20; i += 2)
        sum += (unsigned)packet[i] << 8 | packet[i + 1];
    sum = (sum >> 16) + (sum & 0xffff);
    sum = ~((sum >> 16) + sum);
    packet[10] = (unsigned char)(sum >> 8), packet[11] = (unsigned char)sum;
    return size;
}

int main(int argc, char **argv)
{
    if (argc != 3 || atoi(argv[2]) < 1 || atoi(argv[2]) > 1472) {
        fprintf(stderr, "usage: write_loop NAMESPACE/NAME PAYLOAD, PAYLOAD 1 to 1472\n");
        return 2;
    }
    int fd = attach(argv[1]);
    size_t size = build((size_t)atoi(argv[2]));
    ready();
    for (;;)
        if (write(fd, packet, size) != (ssize_t)size)
            fail("write");
}
