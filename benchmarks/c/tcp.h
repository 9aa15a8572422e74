/* The fields and checksums of TCP over IPv4 and IPv6. */
#ifndef TCP_H
#define TCP_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "checksum.h"

#define FIN 0x01
#define PSH 0x08
#define ACK 0x10
#define CWR 0x80

static inline uint16_t get16(const unsigned char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return ntohs(value);
}

static inline uint32_t get32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static inline void put16(unsigned char *at, size_t value)
{
    uint16_t there = htons((uint16_t)value);
    memcpy(at, &there, sizeof there);
}

static inline void put32(unsigned char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof value);
}

/* Store a sum in this machine's order. */
static inline void put_sum(unsigned char *at, uint16_t sum)
{
    memcpy(at, &sum, sizeof sum);
}

static inline int is_v4(const unsigned char *packet)
{
    return packet[0] >> 4 == 4;
}

static inline void finish_ipv4(unsigned char *packet, size_t header)
{
    put_sum(packet + 10, 0);
    put_sum(packet + 10, (uint16_t)~fold(add(0, packet, header)));
}

/* The sum of TCP's pseudo header, for *size* bytes of TCP. */
static inline uint64_t pseudo(const unsigned char *packet, size_t size)
{
    uint64_t rest = (uint64_t)htons(IPPROTO_TCP) + htons((uint16_t)size);
    return is_v4(packet) ? add(rest, packet + 12, 8) : add(rest, packet + 8, 32);
}

#endif
