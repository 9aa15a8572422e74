/*
 * resegment: the C reference for forwarding what is cut into packets and merged again.
 *
 *     resegment NAMESPACE/NAME NAMESPACE/NAME
 *
 * Both tuns have a virtio_net_hdr and the offloads of TCP. Super-packets are read, cut into packets with finished
 * checksums, as any program must that looks at packets; then the packets are taken as if they had come from a network:
 * parsed, their checksums verified, merged flow by flow into super-packets, and written. It is the work of segment() and
 * coalesce() of aiotun.offload, by the same rules. Nothing is remembered from the cutting but the packets themselves.
 *
 * A batch ends when the tun is empty or the buffer is full; it is as large as a second-level cache. A train is written by
 * writev() from where its packets lie, so that no payload is copied a second time.
 *
 * Everything else passes: what is not TCP, packets whose checksum is wrong, options of IPv4, extension headers.
 */
#include "tun.h"

#include <linux/virtio_net.h>
#include <stdint.h>

#include "tcp.h"
#include "trains.h"

/* Finish what the kernel left undone in a packet that is not to be cut: RFC 1071 over all that follows csum_start. */
static void complete(const struct virtio_net_hdr *vnet, unsigned char *packet, size_t size)
{
    size_t field = (size_t)vnet->csum_start + vnet->csum_offset;
    uint16_t sum;

    if (field + 2 > size)
        return;
    /* The field holds the pseudo header's sum, and so adds itself. */
    sum = (uint16_t)~fold(add(0, packet + vnet->csum_start, size - vnet->csum_start));
    put_sum(packet + field, sum || vnet->csum_offset != 6 ? sum : 0xffff);
}

/* Cut the TCP super-packet *super* into packets with headers and checksums of their own. */
static void cut(const struct virtio_net_hdr *vnet, const unsigned char *super, size_t size)
{
    size_t transport = vnet->csum_start, step = vnet->gso_size;
    size_t header = transport + (size_t)(super[transport + 12] >> 4) * 4;
    uint32_t seq = get32(super + transport + 4);
    uint16_t identification = get16(super + 4);
    unsigned char flags = super[transport + 13];

    for (size_t done = header; done < size; done += step) {
        size_t payload = size - done < step ? size - done : step;
        struct packet *packet = keep(header + payload);
        unsigned char *at = packet->at, *tcp = at + transport;

        memcpy(at, super, header);
        memcpy(at + header, super + done, payload);
        if (is_v4(at)) {
            put16(at + 2, packet->size);
            put16(at + 4, identification++);
            finish_ipv4(at, transport);
        } else
            put16(at + 4, packet->size - 40);
        put32(tcp + 4, seq);
        tcp[13] = (unsigned char)(flags & ~((done + step < size ? FIN | PSH : 0) | (done > header ? CWR : 0)));
        put_sum(tcp + 16, 0);
        put_sum(tcp + 16, (uint16_t)~fold(add(pseudo(at, packet->size - transport), tcp, packet->size - transport)));
        seq += (uint32_t)payload;
    }
}

/* Whether the kernel's header describes a super-packet of TCP that lies within its bytes. */
static int is_tcp_super_packet(const struct virtio_net_hdr *vnet, const unsigned char *packet, size_t size)
{
    int type = vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    size_t transport = vnet->csum_start;

    return (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6) && vnet->gso_size &&
           is_v4(packet) == (type == VIRTIO_NET_HDR_GSO_TCPV4) && transport >= (is_v4(packet) ? 20 : 40) &&
           transport + 20 <= size && transport + (size_t)(packet[transport + 12] >> 4) * 4 < size;
}

/* Read packets into the room until the tun is empty or another one might not fit. */
static void fetch(int fd)
{
    static struct {
        struct virtio_net_hdr vnet;
        unsigned char packet[PACKET];
    } one;
    _Static_assert(sizeof one == VNET + PACKET, "the packet follows its header");

    used = 0, packet_count = 0;
    /* Cut into 64 bytes of payload each, the largest packet needs twice its room and 1024 packets. */
    while (used + 3 * PACKET < ROOM && packet_count < MOST_PACKETS - 1024) {
        ssize_t size = read_one(fd, &one, sizeof one) - VNET;
        if (size <= 0)
            return;
        if (is_tcp_super_packet(&one.vnet, one.packet, (size_t)size) && one.vnet.gso_size >= 64)
            cut(&one.vnet, one.packet, (size_t)size);
        else if (one.vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
            if (one.vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
                complete(&one.vnet, one.packet, (size_t)size);
            memcpy(keep((size_t)size)->at, one.packet, (size_t)size);
        }
    }
}

static void move(int from, int to)
{
    fetch(from);
    merge();
    for (int i = 0; i < train_count; i++)
        write_train(to, &trains[i]);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: resegment NAMESPACE/NAME NAMESPACE/NAME\n");
        return 2;
    }
    int one = attach_vnet(argv[1], TCP_OFFLOADS), two = attach_vnet(argv[2], TCP_OFFLOADS);
    between(one, two, move);
}
