/*
 * A batch of packets, and the trains that are made of it: what a program does that merges packets as they come from a
 * network. Every rule is one of the kernel's own (net/ipv4/tcp_offload.c, net/ipv4/af_inet.c), as in aiotun.offload.
 */
#ifndef TRAINS_H
#define TRAINS_H

#include <errno.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "tcp.h"

#define ROOM (512 * 1024)
#define MOST_PACKETS 2048
#define MOST_SEGMENTS 64
#define LARGEST 65535
#define BUCKETS 256
#define NONE (-1)

struct packet {
    unsigned char *at;
    uint32_t size;
    int next; /* the packet behind it in its train */
};

/* What leaves at once: packets of one flow, each the continuation of the one before; or one packet alone. */
struct train {
    int first, last, count;
    uint32_t size;      /* bytes of the super-packet it makes */
    uint32_t header;    /* bytes of the first packet's headers; 0: not TCP that can be merged */
    uint32_t segment;   /* bytes of the first packet's payload */
    uint32_t seq;       /* the number its next byte has */
    int open, identical; /* whether more may follow; whether all have the first's IPv4 identification */
    int older;          /* the train before it in its bucket */
};

static unsigned char room[ROOM];
static size_t used;
static struct packet packets[MOST_PACKETS];
static struct train trains[MOST_PACKETS];
static int packet_count, train_count;
static int buckets[BUCKETS];

static inline struct packet *keep(size_t size)
{
    struct packet *packet = &packets[packet_count++];

    *packet = (struct packet){.at = room + used, .size = (uint32_t)size, .next = NONE};
    used += size;
    return packet;
}

/* Bytes of the headers if *packet* may be part of a train by itself, or 0. */
static uint32_t mergeable(const unsigned char *packet, size_t size)
{
    size_t transport = is_v4(packet) ? 20 : 40;

    if (size <= transport + 20)
        return 0;
    if (is_v4(packet) ? packet[0] != 0x45 || packet[9] != IPPROTO_TCP || get16(packet + 2) != size ||
                            (get16(packet + 6) & 0xbfff) || fold(add(0, packet, 20)) != 0xffff
                      : packet[0] >> 4 != 6 || packet[6] != IPPROTO_TCP || get16(packet + 4) + 40u != size)
        return 0;
    const unsigned char *tcp = packet + transport;
    size_t header = transport + (size_t)(tcp[12] >> 4) * 4;
    if (header < transport + 20 || header >= size || tcp[12] & 0x0f || (tcp[13] & ~PSH) != ACK)
        return 0;
    if (fold(add(pseudo(packet, size - transport), tcp, size - transport)) != 0xffff)
        return 0;
    return (uint32_t)header;
}

/* Whether two packets of TCP have the same ends. */
static int same_flow(const unsigned char *one, const unsigned char *other)
{
    if (is_v4(one) != is_v4(other))
        return 0;
    return is_v4(one) ? !memcmp(one + 12, other + 12, 8) && !memcmp(one + 20, other + 20, 4)
                      : !memcmp(one + 8, other + 8, 32) && !memcmp(one + 40, other + 40, 4);
}

/* Whether the headers allow *packet* to follow in the train: all is the same but what must differ. */
static int follows(const struct train *train, const unsigned char *packet, uint32_t size, uint32_t header)
{
    const unsigned char *first = packets[train->first].at;
    size_t transport = is_v4(first) ? 20 : 40;
    const unsigned char *tcp = packet + transport, *first_tcp = first + transport;

    if (!train->open || header != train->header || get32(tcp + 4) != train->seq || size - header > train->segment ||
        train->size + size - header > LARGEST || train->count == MOST_SEGMENTS)
        return 0;
    if (is_v4(first)) {
        uint16_t from = get16(first + 4), identification = get16(packet + 4);
        int identical = identification == from && packet[6] & 0x40 && (train->count == 1 || train->identical);
        int counting = identification == (uint16_t)(from + train->count) && (train->count == 1 || !train->identical);
        if (packet[1] != first[1] || packet[6] != first[6] || packet[8] != first[8] || !(identical || counting))
            return 0;
    } else if (memcmp(packet, first, 4) || packet[7] != first[7])
        return 0;
    return !memcmp(tcp + 8, first_tcp + 8, 5) && !memcmp(tcp + 14, first_tcp + 14, 2) &&
           !memcmp(tcp + 18, first_tcp + 18, 2) && !memcmp(tcp + 20, first_tcp + 20, header - transport - 20);
}

static void append(struct train *train, int number, uint32_t header)
{
    struct packet *packet = &packets[number];
    const unsigned char *first = packets[train->first].at;
    uint32_t payload = packet->size - header;

    if (train->count == 1)
        train->identical = is_v4(first) && get16(packet->at + 4) == get16(first + 4);
    packets[train->last].next = number;
    train->last = number;
    train->count++;
    train->size += payload;
    train->seq += payload;
    train->open = payload == train->segment && !(packet->at[(is_v4(first) ? 20 : 40) + 13] & PSH);
}

static int bucket_of(const unsigned char *packet)
{
    size_t ports = is_v4(packet) ? 20 : 40;
    uint32_t mixed = get32(packet + ports) ^ get32(packet + ports - 4) ^ get32(packet + ports - 8);

    return (int)(mixed * 2654435761u >> 24);
}

/* Put each packet into a train, in the order of the first of each. */
static void merge(void)
{
    train_count = 0;
    memset(buckets, 0xff, sizeof buckets);
    for (int number = 0; number < packet_count; number++) {
        struct packet *packet = &packets[number];
        unsigned char *at = packet->at;
        int tcp = is_v4(at) ? packet->size >= 40 && at[9] == IPPROTO_TCP && at[0] == 0x45
                            : packet->size >= 60 && at[6] == IPPROTO_TCP;
        uint32_t header = tcp ? mergeable(at, packet->size) : 0;
        int *bucket = tcp ? &buckets[bucket_of(at)] : NULL;

        if (tcp) {
            int at_train = *bucket;
            while (at_train != NONE && !same_flow(packets[trains[at_train].first].at, at))
                at_train = trains[at_train].older;
            if (at_train != NONE) {
                if (header && follows(&trains[at_train], at, packet->size, header)) {
                    append(&trains[at_train], number, header);
                    continue;
                }
                trains[at_train].open = 0;
            }
        }
        size_t transport = is_v4(at) ? 20 : 40;
        trains[train_count] = (struct train){
            .first = number, .last = number, .count = 1, .size = packet->size, .header = header,
            .segment = packet->size - header, .seq = header ? get32(at + transport + 4) + packet->size - header : 0,
            .open = header && !(at[transport + 13] & PSH), .older = tcp ? *bucket : NONE,
        };
        if (tcp)
            *bucket = train_count;
        train_count++;
    }
}

/* Make the first packet's headers those of the whole train, and say so to the kernel. */
static struct virtio_net_hdr describe(const struct train *train)
{
    unsigned char *first = packets[train->first].at;
    size_t transport = is_v4(first) ? 20 : 40;

    if (is_v4(first)) {
        put16(first + 2, train->size);
        finish_ipv4(first, transport);
    } else
        put16(first + 4, train->size - 40);
    first[transport + 13] |= packets[train->last].at[transport + 13] & PSH;
    put_sum(first + transport + 16, fold(pseudo(first, train->size - transport)));
    return (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = is_v4(first) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
        .hdr_len = (uint16_t)train->header,
        .gso_size = (uint16_t)train->segment,
        .csum_start = (uint16_t)transport,
        .csum_offset = 16,
    };
}

static void write_train(int fd, const struct train *train)
{
    struct virtio_net_hdr vnet = {0};
    struct iovec parts[MOST_SEGMENTS + 1] = {{.iov_base = &vnet, .iov_len = sizeof vnet}};
    int count = 1;

    if (train->count > 1)
        vnet = describe(train);
    for (int number = train->first; number != NONE; number = packets[number].next) {
        size_t skip = number == train->first ? 0 : train->header;
        parts[count++] = (struct iovec){packets[number].at + skip, packets[number].size - skip};
    }
    if (writev(fd, parts, count) < 0 && errno != EINVAL && errno != EIO)
        fail("writev");
}

#endif
