/* The Internet checksum (RFC 1071), as sums in this machine's byte order: stored as they are, they come out right. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Add *size* bytes to *total*, 32 bits at a time: a loop that the compiler turns into vectors. */
static inline uint64_t add(uint64_t total, const unsigned char *at, size_t size)
{
    size_t words = size / 4;
    uint32_t word;

    for (size_t i = 0; i < words; i++) {
        memcpy(&word, at + 4 * i, 4);
        total += word;
    }
    if (size % 4) {
        word = 0;
        memcpy(&word, at + 4 * words, size % 4);
        total += word;
    }
    return total;
}

static inline uint16_t fold(uint64_t total)
{
    total = (total >> 32) + (total & 0xffffffff);
    total = (total >> 32) + (total & 0xffffffff);
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    return (uint16_t)((total >> 16) + total);
}

#endif
