/*
 * udp_tunnel.c: a plain tunnel, tun -> UDP -> tun, as somebody would write it in C for speed: the reference of
 * benchmarks/udp_tunnel.py. It takes super-packets from the tun, sends the TCP segments they stand for as trains
 * (UDP_SEGMENT), receives trains (UDP_GRO), and gives the tun super-packets made of them, checksums verified.
 *
 * usage: udp_tunnel TUN LOCAL REMOTE PORT     in the network namespace it is started in; IPv4 and TCP over it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define UDP_SEGMENT 103
#define UDP_GRO 104
#define ROOM (1 << 17)
#define TRAIN 65507
#define SEGMENTS 64
#define BATCH 64
#define BUFFER (4 << 20)

typedef struct virtio_net_hdr Vnet;

static int tun, udp;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* --- checksums --------------------------------------------------------------------------------------------- */

static uint64_t sum(const unsigned char *at, size_t size, uint64_t start)
{
    uint64_t lanes[4] = {0}, word;

    for (; size >= 32; at += 32, size -= 32)
        for (int i = 0; i < 4; i++) {
            memcpy(&word, at + 8 * i, 8);
            lanes[i] += word;
            lanes[i] += lanes[i] < word;
        }
    for (int i = 0; i < 4; i++) {
        start += lanes[i];
        start += start < lanes[i];
    }
    while (size > 0) {
        size_t part = size < 8 ? size : 8;
        word = 0;
        memcpy(&word, at, part);
        start += word;
        start += start < word;
        at += part;
        size -= part;
    }
    return start;
}

static uint16_t fold(uint64_t value)
{
    value = (value >> 32) + (value & 0xffffffff);
    value = (value >> 32) + (value & 0xffffffff);
    value = (value >> 16) + (value & 0xffff);
    value = (value >> 16) + (value & 0xffff);
    return (uint16_t)value;
}

static uint64_t pseudo(const struct iphdr *ip, size_t length)
{
    return sum((const unsigned char *)&ip->saddr, 8, (uint64_t)htons(IPPROTO_TCP) + htons((uint16_t)length));
}

/* --- tun to UDP -------------------------------------------------------------------------------------------- */

static void send_train(const unsigned char *octets, size_t size, size_t segment)
{
    union {
        char room[CMSG_SPACE(2)];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {(void *)octets, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (size > segment) {
        uint16_t value = (uint16_t)segment;
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *one = CMSG_FIRSTHDR(&message);
        one->cmsg_level = IPPROTO_UDP;
        one->cmsg_type = UDP_SEGMENT;
        one->cmsg_len = CMSG_LEN(2);
        memcpy(CMSG_DATA(one), &value, 2);
    }
    while (sendmsg(udp, &message, 0) < 0) {
        if (errno != EAGAIN)
            return;
        struct pollfd room = {udp, POLLOUT, 0};
        poll(&room, 1, -1);
    }
}

static void send_segments(unsigned char *packet, size_t size, const Vnet *vnet)
{
    static unsigned char out[ROOM];
    struct iphdr *ip = (struct iphdr *)packet;
    size_t ip_size = ip->ihl * 4u, header = ip_size + ((struct tcphdr *)(packet + ip_size))->doff * 4u;
    size_t payload = vnet->gso_size, length = header + payload, used = 0;
    struct tcphdr first = *(struct tcphdr *)(packet + ip_size);
    uint16_t id = ntohs(ip->id);
    unsigned count = 0;

    for (size_t at = header; at < size; at += payload, count++) {
        size_t now = size - at < payload ? size - at : payload;
        if (used + header + now > TRAIN || used / length >= SEGMENTS) {
            send_train(out, used, length);
            used = 0;
        }
        unsigned char *to = out + used;
        memcpy(to, packet, header);
        memcpy(to + header, packet + at, now);
        struct iphdr *his = (struct iphdr *)to;
        struct tcphdr *tcp = (struct tcphdr *)(to + ip_size);
        his->tot_len = htons((uint16_t)(header + now));
        his->id = htons((uint16_t)(id + count));
        his->check = 0;
        his->check = (uint16_t)~fold(sum(to, ip_size, 0));
        tcp->seq = htonl(ntohl(first.seq) + (uint32_t)(at - header));
        if (at + now < size)
            tcp->fin = tcp->psh = 0;
        tcp->check = 0;
        tcp->check = (uint16_t)~fold(sum(to + ip_size, header - ip_size + now, pseudo(his, header - ip_size + now)));
        used += header + now;
    }
    if (used > 0)
        send_train(out, used, length);
}

static void outbound(void)
{
    static unsigned char buffer[ROOM];

    for (int i = 0; i < BATCH; i++) {
        ssize_t got = read(tun, buffer, sizeof buffer);
        if (got < (ssize_t)sizeof(Vnet))
            return;
        Vnet vnet;
        memcpy(&vnet, buffer, sizeof vnet);
        unsigned char *packet = buffer + sizeof vnet;
        size_t size = (size_t)got - sizeof vnet;
        if (vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
            send_segments(packet, size, &vnet);
            continue;
        }
        if (vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
            uint16_t check = (uint16_t)~fold(sum(packet + vnet.csum_start, size - vnet.csum_start, 0));
            memcpy(packet + vnet.csum_start + vnet.csum_offset, &check, 2);
        }
        send_train(packet, size, size);
    }
}

/* --- UDP to tun -------------------------------------------------------------------------------------------- */

/* The packet that is being made of segments. */
static struct {
    unsigned char octets[ROOM];
    size_t size, header, ip_size, payload;
    uint32_t next;
    unsigned count;
} open_packet;

static void flush_packet(void)
{
    Vnet vnet = {0};

    if (open_packet.size == 0)
        return;
    if (open_packet.count > 1) {
        struct iphdr *ip = (struct iphdr *)open_packet.octets;
        struct tcphdr *tcp = (struct tcphdr *)(open_packet.octets + open_packet.ip_size);
        ip->tot_len = htons((uint16_t)open_packet.size);
        ip->check = 0;
        ip->check = (uint16_t)~fold(sum(open_packet.octets, open_packet.ip_size, 0));
        tcp->check = fold(pseudo(ip, open_packet.size - open_packet.ip_size));
        vnet = (Vnet){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                      .hdr_len = (uint16_t)open_packet.header,
                      .gso_size = (uint16_t)open_packet.payload,
                      .csum_start = (uint16_t)open_packet.ip_size,
                      .csum_offset = 16};
    }
    struct iovec parts[2] = {{&vnet, sizeof vnet}, {open_packet.octets, open_packet.size}};
    if (writev(tun, parts, 2) < 0 && errno != EAGAIN && errno != EINVAL)
        fail("tun");
    open_packet.size = 0;
}

/* Return whether a segment goes on where the open packet ends. */
static int follows(const unsigned char *packet, size_t size, size_t header, size_t ip_size)
{
    const struct iphdr *ip = (const struct iphdr *)packet, *mine = (const struct iphdr *)open_packet.octets;
    const struct tcphdr *tcp = (const struct tcphdr *)(packet + ip_size);
    const struct tcphdr *his = (const struct tcphdr *)(open_packet.octets + ip_size);
    size_t payload = size - header;

    return open_packet.size > 0 && header == open_packet.header && ip_size == open_packet.ip_size && payload > 0
           && payload <= open_packet.payload && open_packet.size + payload <= 65535
           && (open_packet.size - open_packet.header) % open_packet.payload == 0 && ip->saddr == mine->saddr
           && ip->daddr == mine->daddr && ip->tos == mine->tos && ip->ttl == mine->ttl && ip->frag_off == mine->frag_off
           && tcp->source == his->source && tcp->dest == his->dest && ntohl(tcp->seq) == open_packet.next
           && tcp->ack_seq == his->ack_seq && tcp->window == his->window && !his->psh
           && memcmp(tcp + 1, his + 1, header - ip_size - sizeof *tcp) == 0;
}

static void take_datagram(const unsigned char *packet, size_t size)
{
    const struct iphdr *ip = (const struct iphdr *)packet;
    size_t ip_size = 20, header = 40;
    const struct tcphdr *tcp = (const struct tcphdr *)(packet + ip_size);
    int plain = size >= 40 && ip->version == 4 && ip->ihl == 5 && ip->protocol == IPPROTO_TCP
                && ntohs(ip->tot_len) == size && !(ip->frag_off & htons(0x3fff));

    if (plain) {
        header = ip_size + tcp->doff * 4u;
        plain = header >= 40 && header < size && tcp->ack && !tcp->syn && !tcp->fin && !tcp->rst && !tcp->urg
                && fold(sum(packet, ip_size, 0)) == 0xffff
                && fold(sum(packet + ip_size, size - ip_size, pseudo(ip, size - ip_size))) == 0xffff;
    }
    if (plain && follows(packet, size, header, ip_size)) {
        memcpy(open_packet.octets + open_packet.size, packet + header, size - header);
        open_packet.size += size - header;
        open_packet.count++;
        ((struct tcphdr *)(open_packet.octets + ip_size))->psh |= tcp->psh;
    } else {
        flush_packet();
        memcpy(open_packet.octets, packet, size);
        open_packet.size = size;
        open_packet.count = 1;
        open_packet.header = header;
        open_packet.ip_size = ip_size;
        open_packet.payload = plain ? size - header : 0;
        if (!plain)
            flush_packet();
    }
    open_packet.next = plain ? ntohl(tcp->seq) + (uint32_t)(size - header) : 0;
}

static void inbound(void)
{
    static unsigned char buffer[ROOM];

    for (int i = 0; i < BATCH; i++) {
        union {
            char room[256];
            struct cmsghdr align;
        } control;
        struct iovec part = {buffer, 65536};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
        ssize_t got = recvmsg(udp, &message, 0);
        if (got < 0)
            break;
        int segment = (int)got;
        for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one != NULL; one = CMSG_NXTHDR(&message, one))
            if (one->cmsg_level == IPPROTO_UDP && one->cmsg_type == UDP_GRO)
                memcpy(&segment, CMSG_DATA(one), sizeof segment);
        for (ssize_t at = 0; at < got && segment > 0; at += segment)
            take_datagram(buffer + at, (size_t)(got - at < segment ? got - at : segment));
    }
    flush_packet();
}

/* --- opening ----------------------------------------------------------------------------------------------- */

static int attach(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0
        || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
        fail(name);
    return fd;
}

static int connect_udp(const char *local, const char *remote, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, size = BUFFER;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    inet_pton(AF_INET, local, &address.sin_addr);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(local);
    inet_pton(AF_INET, remote, &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(remote);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s TUN LOCAL REMOTE PORT\n", argv[0]);
        return 2;
    }
    tun = attach(argv[1]);
    udp = connect_udp(argv[2], argv[3], (uint16_t)atoi(argv[4]));
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd both[2] = {{tun, POLLIN, 0}, {udp, POLLIN, 0}};
        if (poll(both, 2, -1) < 0)
            fail("poll");
        if (both[0].revents)
            outbound();
        if (both[1].revents)
            inbound();
    }
}
