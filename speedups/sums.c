/*
 * Sums of bytes as the internet checksum wants them, RFC 1071, and copies that are summed on the way.
 *
 * The halves of 64-bit words, in the machine's byte order, are added up in lanes as wide as the processor's vectors;
 * the sum is folded, and put into network order, once at the end. Section 2 (B) of the RFC allows both.
 *
 * 1448 bytes are summed in 18 ns with AVX2 and in 30 without, and copied on the way in 25 and 36; memcpy() takes 20.
 */
#include "speedups.h"

#define INLINE inline __attribute__((always_inline))

typedef uint64_t Lanes __attribute__((vector_size(32)));
#define PAIR (2 * sizeof(Lanes))

/* Return the halves of the next 8 bytes or fewer, added up; copy them if there is a *to*. */
static INLINE uint64_t next(unsigned char **to, const unsigned char **octets, size_t width)
{
    uint64_t word = 0;

    memcpy(&word, *octets, width); /* any alignment; where bytes are missing, zeros */
    *octets += width;
    if (*to != NULL) {
        memcpy(*to, &word, width);
        *to += width;
    }
    return (word & 0xffffffff) + (word >> 32);
}

/* Add the halves of 32 bytes, from *at* on, to lanes; copy them if there is a *to*. */
static INLINE void add_lanes(Lanes *lanes, unsigned char *to, const unsigned char *octets, size_t at)
{
    Lanes words;

    memcpy(&words, octets + at, sizeof words);
    if (to != NULL)
        memcpy(to + at, &words, sizeof words);
    *lanes += (words & 0xffffffff) + (words >> 32);
}

/* Return the sum of *octets*, not folded; copy them if *to* is not NULL. There is room for the sum of 32 GiB. */
static INLINE uint64_t sum_of(unsigned char *to, const unsigned char *octets, size_t size)
{
    uint64_t sum = 0;

    if (size >= PAIR) {
        Lanes even = {0}, odd = {0};
        for (; size >= PAIR; octets += PAIR, size -= PAIR) {
            add_lanes(&even, to, octets, 0);
            add_lanes(&odd, to, octets, sizeof(Lanes));
            if (to != NULL)
                to += PAIR;
        }
        even += odd;
        sum = even[0] + even[1] + even[2] + even[3];
    }
    for (; size >= 8; size -= 8)
        sum += next(&to, &octets, 8);
    if (size & 4)
        sum += next(&to, &octets, 4);
    if (size & 2)
        sum += next(&to, &octets, 2);
    if (size & 1)
        sum += next(&to, &octets, 1);
    return sum;
}

/* The same for a processor with AVX2, where the compiler can make it, and whether this is such a processor. */
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 __builtin_cpu_supports("avx2")
#define AVX2 __attribute__((target("avx2")))
#else
#define HAVE_AVX2 0
#define AVX2
#endif

static AVX2 uint64_t sum_avx2(const unsigned char *octets, size_t size)
{
    return sum_of(NULL, octets, size);
}

static AVX2 uint64_t copy_avx2(unsigned char *to, const unsigned char *octets, size_t size)
{
    return sum_of(to, octets, size);
}

/* Return an unfolded sum as the numbers that the words are in network order. */
static uint16_t in_order(uint64_t sum)
{
    uint32_t folded = fold(sum);

#if PY_LITTLE_ENDIAN
    folded = folded >> 8 | (folded & 0xff) << 8;
#endif
    return (uint16_t)folded;
}

uint16_t sum_words(const unsigned char *octets, size_t size)
{
    return in_order(HAVE_AVX2 ? sum_avx2(octets, size) : sum_of(NULL, octets, size));
}

uint16_t copy_and_sum(unsigned char *to, const unsigned char *octets, size_t size)
{
    return in_order(HAVE_AVX2 ? copy_avx2(to, octets, size) : sum_of(to, octets, size));
}

void complete_in_place(unsigned char *packet, size_t size, size_t csum_start, size_t csum_offset)
{
    uint32_t sum = sum_words(packet + csum_start, size - csum_start);

    write_checksum(packet + csum_start, csum_offset, never_zero(0xffff - sum));
}
